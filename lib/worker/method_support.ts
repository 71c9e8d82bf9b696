/** What the methods of the table share. */
import type { EnvironmentAdmin } from "../environments/admin.ts";
import type { CommonContext } from "./common_methods.ts";
import type { Session } from "./session.ts";
import type { StartContext } from "./start_method.ts";
import type { Environments } from "./starting.ts";
import type { Worker } from "./worker.ts";

/** What the methods act on. */
export interface MethodContext extends StartContext, CommonContext<Session> {
  readonly worker: Worker;
  /** Where environments come from. */
  readonly environments: Environments;
  /** Looks after those that are there. */
  readonly admin: Pick<EnvironmentAdmin, "list" | "get" | "remove" | "prune" | "export">;
}
