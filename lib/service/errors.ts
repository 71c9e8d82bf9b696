/** Errors on their way to the caller. */
import { messageOf, WorkerError } from "../errors.ts";
import { type Logger, redact } from "../log.ts";

/**
 * The error that crosses the wire for something a handler threw.
 *
 * The client sends `name: message` and the stack (Hypha contract). The name tells the kind of error; the stack is
 * empty, since paths of this machine are nobody's business, and the controller repeats it after the message. Anything
 * that is no `WorkerError` is a fault of the worker: it is logged with its stack, and the caller learns only that it
 * happened.
 *
 * @param method Name of the method, for the log.
 */
export function toWireError(error: unknown, method: string, log: Logger): Error {
  const known = error instanceof WorkerError;
  if (!known) {
    log.error(`Cannot finish ${method}: unexpected error`, {
      error: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
    });
  }
  const message = known
    ? withSuggestion(error.message, error.suggestion)
    : `Cannot finish ${method}: the worker met an unexpected error`;
  const result = new Error(redact(message));
  result.name = known ? error.name : "WorkerError";
  result.stack = "";
  return result;
}

/**
 * The message with the suggestion behind it. Of a message with several lines HTTP callers get the last one only (Hypha
 * contract), so the last line says what happened and what to do.
 */
function withSuggestion(message: string, suggestion: string): string {
  const text = message.trimEnd();
  const end = text.indexOf("\n");
  const first = (end < 0 ? text : text.slice(0, end)).trimEnd();
  const sentence = /[.!?:]$/.test(first) ? first : `${first}.`;
  return `${end < 0 ? "" : `${text}\n`}${sentence} ${suggestion}`;
}
