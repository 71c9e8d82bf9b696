/**
 * What is written on every object, so that a worker that was restarted finds its sessions again without any state of its
 * own, and so that people see what an object is.
 */
import { PROGRAM } from "../../version.ts";
import { labelValue, shortHash } from "./names.ts";
import type { JobRequest, JobType } from "./types.ts";

/** Domain of the worker's labels and annotations. */
export const MARK_DOMAIN = "hypha.amun.ai";

/** Keys of the labels, by which objects are found. */
export const LABELS = {
  managedBy: "app.kubernetes.io/managed-by",
  /** The type of the app. */
  component: "app.kubernetes.io/component",
  /** The worker's id; see {@linkcode labelValue}. */
  worker: `${MARK_DOMAIN}/worker`,
  /** Hash of the session id; see {@linkcode sessionHash}. */
  session: `${MARK_DOMAIN}/session`,
} as const;

/** Keys of the annotations. */
export const ANNOTATIONS = {
  sessionId: `${MARK_DOMAIN}/session-id`,
  workspace: `${MARK_DOMAIN}/workspace`,
  owner: `${MARK_DOMAIN}/owner`,
  appId: `${MARK_DOMAIN}/app-id`,
  clientId: `${MARK_DOMAIN}/client-id`,
  manifestType: `${MARK_DOMAIN}/manifest-type`,
  /** Id of the worker. */
  startedBy: `${MARK_DOMAIN}/started-by`,
  /** RFC 3339. */
  startedAt: `${MARK_DOMAIN}/started-at`,
  /** Name of the container whose output is the session's. */
  container: `${MARK_DOMAIN}/container`,
  /** Full id of the service that the start waits for; absent without one. */
  service: `${MARK_DOMAIN}/service`,
  /** `true` when the pod holds secrets of the operator; absent otherwise. */
  operatorSecrets: `${MARK_DOMAIN}/operator-secrets`,
} as const;

/** Value of the label {@linkcode LABELS.session}. */
export function sessionHash(sessionId: string): string {
  return shortHash(sessionId, 32);
}

/** The labels of a worker's objects, for a selector. */
export function workerLabels(workerId: string): Record<string, string> {
  return { [LABELS.managedBy]: PROGRAM, [LABELS.worker]: labelValue(workerId) };
}

/** What the annotations say besides the request. */
export interface MarkFacts {
  readonly type: JobType;
  readonly workerId: string;
  readonly container: string;
  readonly service: string | undefined;
  readonly operatorSecrets: boolean;
}

/** Labels of an object of a session. */
export function labelsOf(request: JobRequest, facts: MarkFacts): Record<string, string> {
  return {
    ...workerLabels(facts.workerId),
    [LABELS.component]: facts.type,
    [LABELS.session]: sessionHash(request.sessionId),
  };
}

/** Annotations of an object of a session. */
export function annotationsOf(request: JobRequest, facts: MarkFacts): Record<string, string> {
  return {
    [ANNOTATIONS.sessionId]: request.sessionId,
    [ANNOTATIONS.workspace]: request.workspace,
    [ANNOTATIONS.owner]: request.owner,
    ...(request.appId === undefined ? {} : { [ANNOTATIONS.appId]: request.appId }),
    [ANNOTATIONS.clientId]: request.clientId,
    [ANNOTATIONS.manifestType]: facts.type,
    [ANNOTATIONS.startedBy]: facts.workerId,
    [ANNOTATIONS.startedAt]: request.now.toISOString(),
    [ANNOTATIONS.container]: facts.container,
    ...(facts.service === undefined ? {} : { [ANNOTATIONS.service]: facts.service }),
    ...(facts.operatorSecrets ? { [ANNOTATIONS.operatorSecrets]: "true" } : {}),
  };
}
