/** What the methods of the table share. */
import type { EnvironmentAdmin } from "../environments/admin.ts";
import { checkOwner } from "./access.ts";
import type { ProgressSink } from "../progress.ts";
import type { Arguments, Call, Notify, Parameter } from "./method.ts";
import type { Session } from "./session.ts";
import { fullSessionId, type StartContext } from "./start_method.ts";
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

/** The parameter for progress. */
export const PROGRESS: Parameter = {
  name: "progress_callback",
  callback: true,
  schema: {
    description:
      "A function that is called with {type, message, …} while the method runs. Leave it out where functions cannot be " +
      "passed.",
  },
};

/** Where progress goes. */
export function progressOf(args: Arguments): ProgressSink {
  const notify = args.progress_callback as Notify | undefined;
  return notify ?? (() => {});
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
