/** `execute`: a command in the container of a session. */
import { WorkerError } from "../../errors.ts";
import { checkOperator } from "../../worker/access.ts";
import type { Caller } from "../../worker/caller.ts";
import { sessionOf } from "../../worker/common_methods.ts";
import type { Method, Notify } from "../../worker/method.ts";
import { PROGRESS, progressOf, SESSION_ID } from "../../worker/parameters.ts";
import type { KubernetesMethodContext } from "./method_support.ts";
import type { KubernetesSession } from "./session.ts";

/** Default time of a command, as in the reference worker (seconds). */
const TIMEOUT = 30;
/** Longest command, all its arguments together (characters). */
const MAX_COMMAND = 256 * 1024;
const MAX_ARGUMENTS = 1000;

function bad(name: string, problem: string): WorkerError {
  return new WorkerError("invalid_argument", `Cannot execute: ${name} ${problem}`, {
    context: { argument: name },
  });
}

function commandOf(script: unknown): string | string[] {
  const parts = typeof script === "string" ? [script] : script;
  if (
    !Array.isArray(parts) || parts.length === 0 || parts.length > MAX_ARGUMENTS ||
    !parts.every((part) => typeof part === "string")
  ) throw bad("script", "must be a text, or a list of texts: a program and its arguments");
  if (parts.some((part) => part.includes("\0"))) {
    throw bad("script", "must not have null characters");
  }
  if (parts.join("").length > MAX_COMMAND) {
    throw bad("script", `must have at most ${MAX_COMMAND} characters`);
  }
  if (parts[0]!.trim() === "") throw bad("script", "must not be empty");
  return typeof script === "string" ? script : parts;
}

function timeoutOf(config: Record<string, unknown> | undefined): number | undefined {
  const value = config?.timeout === undefined ? TIMEOUT : config.timeout;
  if (value === null || value === 0) return undefined;
  if (typeof value !== "number" || !(value > 0)) {
    throw bad("config.timeout", "must be a number of seconds");
  }
  // setTimeout takes 31 bits of milliseconds.
  return Math.min(value * 1000, 2 ** 31 - 1);
}

/** Commands of the operator's own pods are the operator's: their surroundings hold its secrets. */
function checkRights(
  context: KubernetesMethodContext,
  session: KubernetesSession,
  caller: Caller,
): void {
  if (!session.facts.operatorSecrets) return;
  checkOperator(
    context.rules,
    caller,
    `execute in session ${session.id} of type ${session.facts.type}`,
  );
}

/** The method. */
export function execute(context: KubernetesMethodContext): Method {
  return {
    name: "execute",
    description:
      "Runs a command in the container of a session: a text by /bin/sh, a list as it is. Returns {status, outputs, error, " +
      "stdout, stderr, exit_code, truncated, duration}; a command that fails is a result, not a failure of the call. What " +
      "a text has started is ended when its time is up or its caller has gone; a program that is given as a list may go " +
      "on by itself.",
    parameters: [
      SESSION_ID,
      {
        name: "script",
        required: true,
        schema: {
          anyOf: [
            { type: "string", description: "A script for /bin/sh." },
            {
              type: "array",
              description: "A program and its arguments.",
              items: { type: "string", description: "An argument.", examples: ["-c"] },
            },
          ],
          description: "The command.",
          examples: ["ls -l /tmp", ["python", "-c", "print(1 + 1)"]],
        },
      },
      {
        name: "config",
        schema: {
          type: "object",
          description: "How it is run.",
          properties: {
            timeout: {
              type: "number",
              description: "Seconds until the command is ended; 0 for no limit.",
              default: TIMEOUT,
            },
          },
          additionalProperties: true,
        },
      },
      PROGRESS,
      {
        name: "output_callback",
        callback: true,
        schema: {
          description:
            "A function that is called with each output while the command runs, in order. One that is slow slows the " +
            "command down. Leave it out where functions cannot be passed: the result has all outputs.",
        },
      },
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "execute in");
      checkRights(context, session, call.caller);
      const command = commandOf(args.script);
      const timeout = timeoutOf(args.config as Record<string, unknown> | undefined);
      const progress = progressOf(args);
      progress({ type: "info", message: "Executing command in the container..." });
      const result = await context.worker.execute(session, {
        command,
        timeout,
        signal: call.signal,
        onOutput: args.output_callback as Notify | undefined,
      });
      progress(
        result.status === "ok"
          ? { type: "success", message: "Command executed successfully" }
          : { type: "error", message: "Command failed" },
      );
      return result;
    },
  };
}
