/** From the `config` of a call to a checked start of a job: who the tenant is, and what is to run. */
import { addTenantSecret } from "../../log.ts";
import { type AccessRules, checkStart } from "../../worker/access.ts";
import type { Caller } from "../../worker/caller.ts";
import { identityOf, parseStartConfig, workspaceOf } from "../../worker/start_config.ts";
import type { JobRequest } from "../jobs/types.ts";

/** What starts need to know of the worker. */
export interface StartContext {
  readonly rules: AccessRules;
  /** Address of the worker's own server. */
  readonly serverUrl: string;
  /** Address that pods reach the server at, if the operator has said one. */
  readonly podServerUrl: string | undefined;
  /** @default the system's */
  readonly now?: () => Date;
}

/** A start, checked as far as it is not about the manifest. */
export interface KubernetesStart {
  /** All of the request but the name of the job, which may have to be chosen twice. */
  readonly request: Omit<JobRequest, "name">;
  /** Whether the app controller starts it. */
  readonly controlled: boolean;
}

/** Whether a caller administers the worker's own workspace. */
export function isOperator(rules: AccessRules, caller: Caller): boolean {
  if (caller.kind === "local") return true;
  return caller.kind === "direct" && !caller.anonymous && caller.admin &&
    caller.workspace === rules.workspace;
}

/** Checks a start. Throws `invalid_argument` or `permission_denied`. */
export function prepareStart(
  config: Record<string, unknown>,
  caller: Caller,
  context: StartContext,
): KubernetesStart {
  const parsed = parseStartConfig(config);
  const workspace = workspaceOf(parsed, caller);
  checkStart(context.rules, caller, workspace);
  addTenantSecret(parsed.token);
  const { id, clientId } = identityOf(parsed, caller, workspace);
  const env = config.env ?? undefined;
  return {
    controlled: caller.kind === "controller",
    request: {
      sessionId: id,
      workspace,
      owner: caller.user,
      operator: isOperator(context.rules, caller),
      appId: parsed.appId ?? clientId,
      clientId,
      serverUrl: context.podServerUrl ?? parsed.serverUrl ?? context.serverUrl,
      ...(parsed.token === undefined ? {} : { token: parsed.token }),
      manifest: parsed.manifest,
      ...(env === undefined ? {} : { envOverrides: env }),
      now: (context.now ?? (() => new Date()))(),
    },
  };
}
