/** What the methods of the table share. */
import { type AccessRules, checkOwner } from "../../worker/access.ts";
import type { Arguments, Call } from "../../worker/method.ts";
import { fullSessionId } from "../../worker/start_config.ts";
import type { JobSettings } from "../jobs/settings.ts";
import type { KubernetesSession } from "./session.ts";
import type { StartContext } from "./start_request.ts";
import type { KubernetesWorker } from "./worker.ts";

/** What the methods act on. */
export interface KubernetesMethodContext extends StartContext {
  readonly worker: KubernetesWorker;
  readonly rules: AccessRules;
  readonly settings: JobSettings;
  /** Called by `shutdown` when all sessions have ended. */
  readonly onShutdown: () => void;
}

/** The session a call names. One without a workspace is the caller's own. Throws `permission_denied`. */
export function sessionOf(
  context: Pick<KubernetesMethodContext, "worker">,
  args: Arguments,
  { caller }: Call,
  action: string,
): KubernetesSession {
  const id = fullSessionId(args.session_id as string, caller.workspace);
  const session = context.worker.anySession(id);
  checkOwner(caller, session.facts.workspace, `${action} session ${id}`);
  return session;
}
