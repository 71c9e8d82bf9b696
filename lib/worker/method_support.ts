/** What the methods of the table share. */
import { checkOwner } from "./access.ts";
import type { Arguments, Call, Parameter } from "./method.ts";
import type { Session } from "./session.ts";
import { fullSessionId, type StartContext } from "./start_method.ts";
import type { Worker } from "./worker.ts";

/** What the methods act on. */
export interface MethodContext extends StartContext {
  readonly worker: Worker;
  /** Called by `shutdown` when all sessions have ended. */
  readonly onShutdown: () => void;
}

/** The parameter that names a session. */
export const SESSION_ID: Parameter = {
  name: "session_id",
  required: true,
  schema: {
    type: "string",
    description: "Id of the session, as start returned it.",
    examples: ["my-workspace/my-session"],
  },
};
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
