/** Parameters that methods of workers of every kind have. */
import type { ProgressSink } from "../progress.ts";
import type { Arguments, Notify, Parameter } from "./method.ts";

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
