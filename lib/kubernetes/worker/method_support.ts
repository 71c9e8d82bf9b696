/** What the methods of the table share. */
import type { CommonContext } from "../../worker/common_methods.ts";
import type { JobSettings } from "../jobs/settings.ts";
import type { KubernetesSession } from "./session.ts";
import type { StartContext } from "./start_request.ts";
import type { KubernetesWorker } from "./worker.ts";

/** What the methods act on. */
export interface KubernetesMethodContext extends StartContext, CommonContext<KubernetesSession> {
  readonly worker: KubernetesWorker;
  readonly settings: JobSettings;
}
