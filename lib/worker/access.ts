/**
 * Who may do what (architecture decision 6).
 *
 * The app controller calls as root from workspace `public` whoever the user is, so for it the tenant is what
 * `config.workspace` says, and the worker itself decides which tenants it serves. Direct callers carry their real
 * workspace and may touch only what belongs to it.
 */
import { WorkerError } from "../errors.ts";
import type { Caller } from "./caller.ts";

/** Whom a worker serves. */
export interface AccessRules {
  /** Workspace the worker is registered in. */
  readonly workspace: string;
  /** Whether the service is for everyone. */
  readonly public: boolean;
  /** Workspaces it serves besides its own; `*` for all. `undefined`: not said. */
  readonly authorizedWorkspaces: readonly string[] | undefined;
}

function denied(action: string, reason: string, suggestion?: string): WorkerError {
  return new WorkerError(
    "permission_denied",
    `Cannot ${action}: ${reason}`,
    suggestion === undefined ? {} : { suggestion },
  );
}

/** Whether a workspace's apps are run here. */
export function servesWorkspace(rules: AccessRules, workspace: string): boolean {
  if (rules.workspace === workspace) return true;
  const listed = rules.authorizedWorkspaces;
  if (listed === undefined) return rules.public || rules.workspace === "public";
  return listed.includes(workspace) || listed.includes("*");
}

/** Refuses a start, or another action that prepares one, that the caller may not ask for. */
export function checkStart(
  rules: AccessRules,
  caller: Caller,
  workspace: string,
  action = "start session",
): void {
  if (caller.kind === "local") return;
  if (caller.kind === "direct") {
    if (caller.anonymous) throw denied(action, "anonymous users may not start sessions");
    if (caller.workspace !== workspace) {
      throw denied(
        action,
        `you call from workspace ${caller.workspace}, but config.workspace is ${workspace}`,
        "Start sessions of your own workspace.",
      );
    }
  }
  if (!servesWorkspace(rules, workspace)) {
    throw denied(
      action,
      `workspace ${workspace} is not authorised for this worker`,
      "Ask the operator to add it to --authorized-workspaces.",
    );
  }
}

/** Whether a caller may use what belongs to a workspace. */
export function mayUse(caller: Caller, workspace: string): boolean {
  if (caller.kind !== "direct") return true;
  return !caller.anonymous && caller.workspace === workspace;
}

/** Refuses a caller who does not own what belongs to a workspace. */
export function checkOwner(caller: Caller, workspace: string, action: string): void {
  if (!mayUse(caller, workspace)) throw denied(action, "it belongs to another workspace");
}

/** Refuses everybody from outside the worker's own workspace: what concerns all its tenants is not for one of them. */
export function checkMember(rules: AccessRules, caller: Caller, action: string): void {
  if (caller.kind === "local") return;
  if (caller.kind === "direct" && mayUse(caller, rules.workspace)) return;
  throw denied(
    action,
    `only members of workspace ${rules.workspace} may`,
    "Ask the operator of the worker.",
  );
}

/** Refuses everybody but the administrators of the worker's own workspace. */
export function checkOperator(rules: AccessRules, caller: Caller, action: string): void {
  if (caller.kind === "local") return;
  if (
    caller.kind === "direct" && !caller.anonymous && caller.admin &&
    caller.workspace === rules.workspace
  ) {
    return;
  }
  throw denied(action, `only administrators of workspace ${rules.workspace} may`);
}
