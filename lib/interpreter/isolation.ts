/** What the worker and Python say to each other about the isolation of a session; the rest is in `isolation.py`. */
import { WorkerError } from "../errors.ts";
import type { Landlock } from "./fork_server.ts";
import type { Header } from "./frames.ts";
import type { IsolationMode, IsolationOptions, IsolationState } from "./options.ts";

/**
 * The part of a fork request that says how the session is isolated.
 *
 * @throws WorkerError `isolation_unavailable` when it must be and cannot be
 */
export function isolationRequest(
  options: IsolationOptions | undefined,
  landlock: Landlock,
): Header {
  if (options === undefined || options.mode === "off") return {};
  const { mode, sessions, hidden, writable } = options;
  if (mode === "required" && landlock.abi === 0) throw unavailable(landlock.reason);
  return { isolation: { required: mode === "required", sessions, hidden, writable } };
}

/**
 * How a session that has reported to be ready is isolated.
 *
 * @throws WorkerError `isolation_unavailable` when it must be and is not
 */
export function isolationState(
  options: IsolationOptions | undefined,
  ready: Header,
): IsolationState {
  const told = ready.isolation as Omit<IsolationState, "mode">;
  if (options?.mode === "required" && !told.restricted) throw unavailable(told.reason ?? "");
  return { mode: options?.mode ?? "off", ...told };
}

/**
 * Refuses a mode that this system is known not to provide, before anything is started. Whether a kernel that is new
 * enough has Landlock switched on is known only when Python has asked it.
 *
 * @throws WorkerError `isolation_unavailable`
 */
export function checkIsolation(mode: IsolationMode, os: string, release: string): void {
  if (mode !== "required") return;
  if (os !== "linux") throw unavailable("only Linux has Landlock");
  const [major = 0, minor = 0] = release.split(".").map((part) => parseInt(part));
  if (major < 5 || (major === 5 && minor < 13)) {
    throw unavailable(`this is Linux ${release}, and Landlock came with Linux 5.13`);
  }
}

function unavailable(reason: string): WorkerError {
  return new WorkerError(
    "isolation_unavailable",
    `Cannot isolate sessions, as --isolation required asks for: ${reason}`,
    { context: { reason } },
  );
}
