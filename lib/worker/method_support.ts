/** What the methods of the table share. */
import { WorkerError } from "../errors.ts";
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

/** Environment variables of a call, checked. Throws `invalid_argument` naming the variable. */
export function environmentOf(given: unknown, name: string): Record<string, string | null> {
  if (given === undefined || given === null) return {};
  const refuse = (what: string) =>
    new WorkerError("invalid_argument", `Cannot set environment variables: ${what}`, {
      context: { argument: name },
    });
  if (typeof given !== "object" || Array.isArray(given)) throw refuse(`${name} must be an object`);
  const result: Record<string, string | null> = {};
  for (const [key, value] of Object.entries(given)) {
    if (!/^[A-Za-z_]\w*$/.test(key)) throw refuse(`${JSON.stringify(key)} is not a name`);
    if (value !== null && typeof value !== "string" && typeof value !== "number") {
      throw refuse(`${name}.${key} must be text`);
    }
    const text = value === null ? null : String(value);
    if (text?.includes("\0")) throw refuse(`${name}.${key} has a NUL character`);
    result[key] = text;
  }
  return result;
}
