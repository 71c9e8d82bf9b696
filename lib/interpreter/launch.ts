/** Forks the process of a session and connects to it. */
import { delay, settledWithin } from "../delay.ts";
import { messageOf, WorkerError } from "../errors.ts";
import { describeExit } from "./escalation.ts";
import type { ForkedProcess, ForkServer } from "./fork_server.ts";
import { FrameDecoder } from "./frames.ts";
import { isolationRequest, isolationState } from "./isolation.ts";
import type { InterpreterOptions, IsolationState } from "./options.ts";
import {
  close,
  type Connection,
  firstFrame,
  remainingText,
  type Switchboard,
} from "./switchboard.ts";

const START_TIMEOUT = 30_000;
/** A process that fails ends by itself, and its last words arrive, within this time (milliseconds). */
const LAST_WORDS = 500;
const ROLES = ["control", "stdout", "stderr"] as const;

/** A process that is ready to run cells. */
export interface Launched {
  /** Its name at the fork server. */
  readonly id: string;
  /** What its marks begin with. */
  readonly nonce: string;
  readonly process: ForkedProcess;
  readonly control: Connection;
  readonly stdout: Connection;
  readonly stderr: Connection;
  /** Reads the control connection, and may hold what came behind `ready`. */
  readonly decoder: FrameDecoder;
  /** How it is isolated. */
  readonly isolation: IsolationState;
}

/** Forks a session and waits until it is ready. Throws `interpreter_failed` or `isolation_unavailable`. */
export async function launch(
  server: ForkServer,
  switchboard: Switchboard,
  options: InterpreterOptions,
): Promise<Launched> {
  const id = crypto.randomUUID();
  const token = crypto.randomUUID();
  const nonce = crypto.randomUUID().replaceAll("-", "");
  const ended = new AbortController();
  const giveUp = AbortSignal.any([ended.signal, server.gone, AbortSignal.timeout(START_TIMEOUT)]);
  const expected = ROLES.map((role) => switchboard.expect(token, role, giveUp));
  const connections = Promise.all(expected);
  connections.catch(() => {});
  let process: ForkedProcess | undefined;
  let launched = false;
  try {
    process = await server.fork(id, {
      token,
      nonce,
      cwd: options.cwd,
      env: options.env,
      variables: options.variables ?? {},
      argv: options.argv ?? [""],
      limits: options.limits ?? {},
      ...isolationRequest(options.isolation, server.landlock),
      ...(options.overlay === undefined ? {} : { overlay: options.overlay }),
    });
    process.exited.then(async (exit) => {
      if (launched) return;
      // It may have connected and written why, and only the news of its end came faster.
      await delay(LAST_WORDS, ended.signal).catch(() => {});
      ended.abort(new Error(`it ended with ${describeExit(exit)}`));
    });
    const [control, stdout, stderr] = await connections as [Connection, Connection, Connection];
    const decoder = new FrameDecoder();
    decoder.push(control.rest);
    const ready = await firstFrame(control.conn, decoder, { signal: giveUp });
    const isolation = isolationState(options.isolation, ready);
    launched = true;
    return { id, nonce, process, control, stdout, stderr, decoder, isolation };
  } catch (error) {
    launched = true;
    if (process !== undefined) {
      // One that has closed its connection is about to end, with an exit code that tells something.
      if (!giveUp.aborted && !(error instanceof WorkerError)) {
        await settledWithin(process.exited, LAST_WORDS);
      }
      await server.signal(id, "SIGKILL");
    }
    ended.abort(new Error("the session could not be started"));
    let output = "";
    for (const [at, one] of (await Promise.allSettled(expected)).entries()) {
      if (one.status !== "fulfilled") continue;
      if (ROLES[at] === "stderr") output = await remainingText(one.value);
      close(one.value.conn);
    }
    if (error instanceof WorkerError) throw error;
    const exit = await process?.exited;
    const reason = exit === undefined || exit.signal === "SIGKILL"
      ? messageOf(error)
      : `it ended with ${describeExit(exit)}`;
    throw new WorkerError(
      "interpreter_failed",
      `Cannot start a Python session: ${reason}${output === "" ? "" : `\n${output}`}`,
      { cause: error },
    );
  }
}
