/** Names of Kubernetes' objects, as it has them. */
import { createHash } from "node:crypto";

/** Begins the name of every job and of every secret of a session. */
export const JOB_PREFIX = "hypha-job-";

/** Longest name of a job, which becomes the value of a label of its pods. */
const MAX_NAME = 63;
const HASH = 10;

/** A short hash of a text, in letters and digits that names may have. */
export function shortHash(text: string, length = HASH): string {
  return createHash("sha256").update(text).digest("hex").slice(0, length);
}

/** Whether a text can be a name where names become host names: at most 63 of `a-z`, `0-9` and `-`. */
export function isDnsLabel(text: string): boolean {
  return text.length <= MAX_NAME && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(text);
}

/** Whether a text can be the name of an object: DNS labels with dots between them, at most 253 characters. */
export function isObjectName(text: string): boolean {
  return text.length <= 253 &&
    text.split(".").every((part) =>
      part.length <= MAX_NAME && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(part)
    );
}

/** Whether a text can be the value of a label. */
export function isLabelValue(text: string): boolean {
  return text.length <= MAX_NAME && /^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/.test(text);
}

/** Whether a text can be the key of a label, an annotation or a resource: `name` or `domain/name`. */
export function isQualifiedName(text: string): boolean {
  const slash = text.indexOf("/");
  const name = text.slice(slash + 1);
  return name !== "" && isLabelValue(name) && (slash < 0 || isObjectName(text.slice(0, slash)));
}

/** The domain of a key; empty when it has none. */
export function domainOf(key: string): string {
  const slash = key.indexOf("/");
  return slash < 0 ? "" : key.slice(0, slash);
}

/** Whether a domain belongs to Kubernetes, whose keys have effects of their own. */
export function isKubernetesDomain(domain: string): boolean {
  return /(^|\.)(kubernetes|k8s)\.io$/.test(domain);
}

/**
 * Name of a session's job: what can be read of the session id, and a hash that keeps different ids apart.
 *
 * @param salt Makes another name for the same session, where a name is taken by somebody else's job.
 */
export function jobName(sessionId: string, salt = ""): string {
  const hash = shortHash(salt === "" ? sessionId : `${salt}\0${sessionId}`);
  const words = sessionId.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
  // The end tells sessions apart: they begin with the workspace.
  const room = MAX_NAME - JOB_PREFIX.length - HASH - 1;
  const readable = words.slice(-room).replace(/^-+|-+$/g, "");
  return readable === "" ? `${JOB_PREFIX}${hash}` : `${JOB_PREFIX}${readable}-${hash}`;
}

/** A text as the value of a label: itself where that is possible, else readable and with a hash. */
export function labelValue(text: string): string {
  if (text !== "" && isLabelValue(text)) return text;
  const readable = text.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, MAX_NAME - HASH - 1)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");
  return readable === "" ? shortHash(text) : `${readable}-${shortHash(text)}`;
}
