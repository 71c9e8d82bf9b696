/** What the methods of the table share. */
import type { EnvironmentAdmin } from "../environments/admin.ts";
import { checkOwner } from "./access.ts";
import type { Arguments, Call } from "./method.ts";
export { PROGRESS, progressOf, SESSION_ID } from "./parameters.ts";
import type { Session } from "./session.ts";
import { fullSessionId } from "./start_config.ts";
import type { StartContext } from "./start_method.ts";
import type { Environments, Worker } from "./worker.ts";

/** What the methods act on. */
export interface MethodContext extends StartContext {
  readonly worker: Worker;
  /** Where environments come from. */
  readonly environments: Environments;
  /** Looks after those that are there. */
  readonly admin: Pick<EnvironmentAdmin, "list" | "get" | "remove" | "prune" | "export">;
  /** Called by `shutdown` when all sessions have ended. */
  readonly onShutdown: () => void;
}

/**
 * Ids belong to workspaces: one without a workspace means a session of the caller's own, so that tenants who choose
 * the same id do not meet.
 */
export function sessionOf(
  context: MethodContext,
  args: Arguments,
  { caller }: Call,
  action: string,
): Session {
  const id = fullSessionId(args.session_id as string, caller.workspace);
  const session = context.worker.anySession(id);
  checkOwner(caller, session.request.workspace, `${action} session ${id}`);
  return session;
}
