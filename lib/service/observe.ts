/**
 * Watches calls: each leaves one line in the operator's log and is counted, whatever its end.
 */
import { messageOf, WorkerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Arguments, Method } from "../worker/method.ts";
import type { Environments } from "../worker/starting.ts";
import type { Metrics } from "./metrics.ts";

/** Calls that only read: clients repeat them by the second, so they are logged as details. */
const READING = new Set([
  "get_logs",
  "list_sessions",
  "get_session_info",
  "get_load",
  "complete",
  "inspect",
  "list_variables",
  "list_environments",
  "get_environment",
  "list_files",
  "read_file",
]);
/** Calls that run a cell. */
const EXECUTING = new Set(["execute", "execute_code"]);

/** Where calls are noted. */
export interface Observers {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Milliseconds, from any start. @default performance.now */
  readonly now?: () => number;
  /** Does something soon. @default when whatever is ready has been done */
  readonly defer?: (task: () => void) => void;
}

/** What a call was about: the session it names, or the one it asks for. */
function subjectOf(args: Arguments): Record<string, unknown> {
  const config = args.config as Record<string, unknown> | undefined;
  const facts: Record<string, unknown> = {};
  const session = args.session_id ?? config?.id;
  if (typeof session === "string") facts.session = session.slice(0, 200);
  const workspace = config?.workspace ?? args.workspace;
  if (typeof workspace === "string") facts.workspace = workspace.slice(0, 200);
  if (typeof config?.app_id === "string") facts.app = config.app_id.slice(0, 200);
  return facts;
}

/** How a cell ended, by the shape of its result. */
function cellOutcome(result: unknown): string {
  const { status, success } = (result ?? {}) as { status?: unknown; success?: unknown };
  return status === "ok" || success === true ? "ok" : "error";
}

/** The same methods, watched. */
export function observeMethods(methods: readonly Method[], observers: Observers): Method[] {
  const { log, metrics, now = () => performance.now() } = observers;
  const { defer = (task) => void setTimeout(task, 0) } = observers;
  return methods.map((method) => ({
    ...method,
    handler: async (args, call) => {
      const started = now();
      const note = (outcome: string, facts: Record<string, unknown>) => {
        const milliseconds = now() - started;
        metrics.call(method.name, outcome, milliseconds / 1000);
        const level = outcome !== "ok" ? "warning" : READING.has(method.name) ? "debug" : "info";
        // The caller gets its answer first: whoever reads the log would wake up and take a processor.
        defer(() =>
          log[level]("call", {
            method: method.name,
            outcome,
            ms: Math.round(milliseconds * 10) / 10,
            caller: call.caller.workspace,
            user: call.caller.user,
            ...subjectOf(args),
            ...facts,
          })
        );
      };
      try {
        const result = await method.handler(args, call);
        if (EXECUTING.has(method.name)) {
          const cell = cellOutcome(result);
          metrics.execution(cell);
          note("ok", { cell });
        } else note("ok", {});
        return result;
      } catch (error) {
        const code = error instanceof WorkerError ? error.code : "internal";
        if (EXECUTING.has(method.name)) metrics.execution(code);
        note(code, { reason: messageOf(error).slice(0, 500) });
        throw error;
      }
    },
  }));
}

/** The same environments, with hits, builds and failures counted. */
export function observeEnvironments(
  environments: Environments,
  observers: Pick<Observers, "metrics" | "now">,
): Environments {
  const { metrics, now = () => performance.now() } = observers;
  return {
    acquire: async (spec, options) => {
      const started = now();
      try {
        const lease = await environments.acquire(spec, options);
        metrics.environment(lease.cached ? "hit" : "built", (now() - started) / 1000);
        return lease;
      } catch (error) {
        metrics.environment("failed", (now() - started) / 1000);
        throw error;
      }
    },
  };
}
