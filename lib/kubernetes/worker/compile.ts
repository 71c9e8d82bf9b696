/** What `compile` does to an app's manifest before it is installed (Hypha contract). */
import type { Caller } from "../../worker/caller.ts";
import type { AccessRules } from "../../worker/access.ts";
import { buildJob } from "../jobs/build.ts";
import type { JobSettings } from "../jobs/settings.ts";
import { JOB_TYPES } from "../jobs/types.ts";
import { isOperator } from "./start_request.ts";

/** For whom a manifest is compiled. */
export interface CompileScope {
  /** Workspace of the app. */
  readonly workspace: string;
  readonly caller: Caller;
  readonly context: { readonly rules: AccessRules; readonly settings: JobSettings };
}

/**
 * Fills in defaults and checks the manifest as `start` will.
 *
 * The app controller waits for a service of every app and stops apps that send nothing for ten minutes. Jobs need
 * not register anything nor send anything, so both are off unless the manifest says otherwise.
 *
 * @throws WorkerError `invalid_argument` or `permission_denied` naming the field
 */
export function compileManifest(
  manifest: Record<string, unknown>,
  { workspace, caller, context }: CompileScope,
): Record<string, unknown> {
  const compiled: Record<string, unknown> = { ...manifest, type: manifest.type ?? JOB_TYPES[0] };
  const { settings, rules } = context;
  buildJob({
    sessionId: `${workspace}/compile`,
    name: "compile",
    workspace,
    owner: caller.user,
    operator: isOperator(rules, caller),
    clientId: "compile",
    serverUrl: settings.serverUrl,
    manifest: compiled,
    now: new Date(0),
  }, settings);
  const startup = compiled.startup_config;
  const given = typeof startup === "object" && startup !== null && !Array.isArray(startup)
    ? startup as Record<string, unknown>
    : {};
  compiled.startup_config = {
    ...given,
    wait_for_service: given.wait_for_service ?? false,
    // A daemon may have no time limit of this kind.
    ...(compiled.daemon === true ? {} : { stop_after_inactive: given.stop_after_inactive ?? 0 }),
  };
  return compiled;
}
