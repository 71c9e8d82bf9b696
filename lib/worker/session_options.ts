/** What a session is started with, and where it can be in its life. */
import type { IsolationOptions } from "../interpreter/options.ts";
import type { Switchboard } from "../interpreter/switchboard.ts";
import type { Logger } from "../log.ts";
import type { StartRequest } from "./start_request.ts";

/** Where a session is in its life. */
export type SessionState = "starting" | "running" | "stopped" | "failed" | "dead";

/** What a session needs of its worker. */
export interface SessionOptions {
  request: StartRequest;
  /** Directory of its own; made at start, removed at the end. */
  directory: string;
  switchboard: Switchboard;
  log: Logger;
  now: () => Date;
  /** Executions that may wait. */
  queueLimit: number;
  /** Variables of the worker that sessions get too. */
  passedVariables: Readonly<Record<string, string>>;
  /** From what its process is kept; its own directory is added to what it may write to. */
  isolation: IsolationOptions;
}
