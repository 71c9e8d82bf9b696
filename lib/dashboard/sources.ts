/** What the dashboard looks at and what it may do; the command that starts the worker puts it together. */
import type { EnvironmentEntry } from "../environments/admin.ts";
import type { Session } from "../worker/session.ts";
import type { Builds } from "./builds.ts";
import type { LogTail } from "./log_tail.ts";

/** A session as far as it is shown. */
export type ShownSession = Pick<
  Session,
  | "id"
  | "state"
  | "request"
  | "log"
  | "createdAt"
  | "lastActive"
  | "pendingExecutions"
  | "serving"
  | "pid"
  | "death"
  | "pythonVersion"
  | "isolation"
  | "usage"
>;

/** Facts about the worker. Keys as in the JSON; what is not known is `null`. */
export interface WorkerFacts {
  version: string;
  manager: string | null;
  server_url: string;
  workspace: string;
  service_id: string;
  client_id: string;
  visibility: string;
  /** Whether calls can arrive. */
  state: "starting" | "connected" | "reconnecting" | "stopping";
  reconnects: number;
  /** When the server answered last (ISO 8601). */
  last_contact: string | null;
  /** ISO 8601. */
  started_at: string;
  /** How full it is; 1 is full. */
  load: number;
  /** Sessions at once, when the operator has set it. */
  max_sessions: number | null;
  isolation: string;
  cache_dir: string;
}

/** What is shown. */
export interface DashboardSources {
  worker(): WorkerFacts;
  sessions(): readonly ShownSession[];
  /** Environments in the cache; takes a while. */
  environments(): Promise<readonly EnvironmentEntry[]>;
  /** Bytes that are free for the cache. */
  freeBytes(): Promise<number | undefined>;
  readonly builds: Builds;
  readonly log: LogTail;
}

/** What can be done. Each throws a `WorkerError` when it cannot be. */
export interface DashboardActions {
  /** Ends a session; resolves when nothing of it is left, which takes as long as saving its files. */
  stop(session: string): Promise<void>;
  /** Interrupts what runs in a session. Whether something ran. */
  interrupt(session: string): Promise<boolean>;
  /** Removes an environment nobody uses. */
  remove(environment: string): Promise<void>;
}
