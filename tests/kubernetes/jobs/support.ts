/** Requests and settings for tests of jobs. */
import { buildJob } from "../../../lib/kubernetes/jobs/build.ts";
import { DEFAULT_JOB_SETTINGS, type JobSettings } from "../../../lib/kubernetes/jobs/settings.ts";
import { jobName } from "../../../lib/kubernetes/jobs/names.ts";
import type { BuiltJob, JobRequest } from "../../../lib/kubernetes/jobs/types.ts";
import { WorkerError } from "../../../lib/errors.ts";

/** Settings of an operator who has said nothing that he need not. */
export function settings(given: Partial<JobSettings> = {}): JobSettings {
  return {
    ...DEFAULT_JOB_SETTINGS,
    namespace: "hypha",
    workerId: "hypha-agents/k8s-1:k8s-worker",
    workspace: "hypha-agents",
    serverUrl: "http://hypha-server.hypha.svc.cluster.local:9520",
    ...given,
  };
}

/** A start by a tenant. */
export function request(manifest: unknown, given: Partial<JobRequest> = {}): JobRequest {
  const sessionId = given.sessionId ?? "ws-tenant/_rapp_brave-fox-12345678__rlb";
  return {
    sessionId,
    name: jobName(sessionId),
    workspace: "ws-tenant",
    owner: "user-1",
    operator: false,
    appId: "my-app",
    clientId: "_rapp_brave-fox-12345678__rlb",
    serverUrl: "https://hypha.example.org",
    token: "session-token",
    manifest,
    now: new Date("2026-01-02T03:04:05.000Z"),
    ...given,
  };
}

/** A job of a tenant. */
export function build(
  manifest: unknown,
  changed: Partial<JobSettings> = {},
  given: Partial<JobRequest> = {},
): BuiltJob {
  return buildJob(request(manifest, given), settings(changed));
}

/** What refuses a manifest; fails when nothing does. */
export function refusal(
  manifest: unknown,
  changed: Partial<JobSettings> = {},
  given: Partial<JobRequest> = {},
): WorkerError {
  try {
    build(manifest, changed, given);
  } catch (error) {
    if (error instanceof WorkerError) return error;
    throw error;
  }
  throw new Error(`not refused: ${JSON.stringify(manifest)}`);
}

/** The pod of a job. */
export function podOf(built: BuiltJob) {
  return built.job.spec!.template.spec!;
}

/** The container of a job. */
export function containerOf(built: BuiltJob) {
  return podOf(built).containers[0]!;
}
