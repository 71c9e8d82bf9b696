/** Makes the objects of a job. */
import { Buffer } from "node:buffer";
import type { Secret } from "../api/types.ts";
import { planAgent } from "./claude_agent.ts";
import { planCondaWorker } from "./conda_worker.ts";
import { exampleOf, type Values } from "./fields.ts";
import { isWorkspace } from "./field_kinds.ts";
import { planJob, TOKEN_KEY } from "./k8s_job.ts";
import type { Scope } from "./kind.ts";
import { readManifest } from "./manifest.ts";
import { annotationsOf, labelsOf, type MarkFacts } from "./marks.ts";
import { isDnsLabel } from "./names.ts";
import type { Plan } from "./plan.ts";
import { jobOf } from "./pod.ts";
import { invalid, type Place, refused } from "./problems.ts";
import type { JobSettings } from "./settings.ts";
import type { BuiltJob, JobRequest } from "./types.ts";

const SERVICE_TIMEOUT = 120;
const MAX_ID = 256;
const MAX_TOKEN = 64 * 1024;
const PLANS = { "k8s-job": planJob, "claude-agent": planAgent, "conda-worker": planCondaWorker };

/**
 * The objects of a job that somebody asks for. Pure: nothing is asked, nothing is changed.
 *
 * @throws WorkerError `invalid_argument` that names the field and says what it must be, or `permission_denied` for what
 * the operator has not allowed
 */
export function buildJob(request: JobRequest, settings: JobSettings): BuiltJob {
  checkRequest(request);
  const { workspace, operator } = request;
  const scope: Scope = { settings, workspace, operator };
  const { type, values, warnings } = readManifest(request.manifest, scope);
  const plan = PLANS[type]({ request, values, scope });
  const { container } = plan.pod;
  const service = awaited(values, plan, request);
  const facts: MarkFacts = {
    type,
    workerId: settings.workerId,
    container: container.name,
    service,
    operatorSecrets: plan.operatorSecrets,
  };
  return {
    type,
    job: jobOf(plan.pod, values, request, settings, facts),
    ...(plan.token === undefined ? {} : { secret: secretOf(plan.token, request, settings, facts) }),
    container: container.name,
    workspace: plan.workspace,
    waitForService: service,
    serviceTimeout: values.service_timeout ?? SERVICE_TIMEOUT,
    startTimeout: values.start_timeout,
    operatorSecrets: plan.operatorSecrets,
    warnings,
  };
}

function secretOf(
  token: string,
  request: JobRequest,
  settings: JobSettings,
  facts: MarkFacts,
): Secret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "Opaque",
    metadata: {
      name: request.name,
      namespace: settings.namespace,
      labels: { ...settings.labels, ...labelsOf(request, facts) },
      annotations: annotationsOf(request, facts),
    },
    immutable: true,
    data: { [TOKEN_KEY]: Buffer.from(token).toString("base64") },
  };
}

/** Full id of the service that the start waits for. Throws when it is in a workspace that is none of the job's. */
function awaited(values: Values, plan: Plan, request: JobRequest): string | undefined {
  const wanted = values.wait_for_service ?? plan.waits;
  if (wanted === false) return undefined;
  if (wanted === true) return plan.ownService;
  const slash = wanted.indexOf("/");
  if (slash < 0) return `${plan.workspace}/${wanted}`;
  const workspace = wanted.slice(0, slash);
  if (workspace === plan.workspace || workspace === request.workspace || request.operator) {
    return wanted;
  }
  throw refused(
    { path: "manifest.wait_for_service", example: exampleOf("wait_for_service") },
    `the service is in workspace ${workspace}, but the job is in ${plan.workspace}`,
    `Name a service of workspace ${plan.workspace}.`,
  );
}

/** The caller checks what comes from outside; these are the bounds that the objects rely on. */
function checkRequest(request: JobRequest): void {
  const check = (path: string, holds: boolean, rule: string) => {
    const place: Place = { path, example: "what the app controller sends" };
    if (!holds) throw invalid(place, rule);
  };
  const plain = (text: string) => text.length <= MAX_ID && !/[\p{Cc}\p{Cs}]/u.test(text);
  check("the name of the job", isDnsLabel(request.name), "a DNS label");
  check("config.id", request.sessionId !== "" && plain(request.sessionId), "a short text");
  check("config.workspace", isWorkspace(request.workspace), "the name of a workspace");
  check(
    "config.client_id",
    plain(request.clientId) && /^\w[\w.@:/-]*$/.test(request.clientId),
    "letters, digits and _.@:/-",
  );
  check("config.app_id", plain(request.appId ?? ""), "a short text");
  check("the user's id", plain(request.owner), "a short text");
  check(
    "config.server_url",
    request.serverUrl.length <= 2048 && /^https?:\/\/[^\s@\p{Cc}]+$/u.test(request.serverUrl),
    "an http or https address without credentials",
  );
  check(
    "config.token",
    (request.token?.length ?? 0) <= MAX_TOKEN,
    `at most ${MAX_TOKEN} characters`,
  );
}
