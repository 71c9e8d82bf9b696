/** Who calls, read from the context that the Hypha server stamps on each message. */
import type { Caller } from "../worker/caller.ts";

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/**
 * The caller of a message.
 *
 * The app controller calls as user `root` with role `admin` from workspace `public`; everybody else is a direct
 * caller with an identity of their own. The server overwrites these fields on every message, so a client cannot
 * choose them. What is missing makes the caller anonymous, never more than that.
 *
 * @param context The last argument of a service function (Hypha contract).
 */
export function callerFromContext(context: unknown): Caller {
  const { ws, user: rawUser } = record(context);
  const user = record(rawUser);
  const workspace = text(ws);
  const id = text(user.id);
  const roles = Array.isArray(user.roles) ? user.roles : [];
  const anonymous = user.is_anonymous !== false || id === "" || workspace === "";
  const administers = roles.includes("admin");
  if (!anonymous && workspace === "public" && id === "root" && administers) {
    return { kind: "controller", workspace, user: id, anonymous: false, admin: true };
  }
  const rights = record(record(user.scope).workspaces);
  return {
    kind: "direct",
    workspace,
    user: id === "" ? "anonymous" : id,
    anonymous,
    admin: !anonymous && (administers || rights[workspace] === "a" || rights["*"] === "a"),
  };
}

/** The client a message comes from, `<workspace>/<client id>`; empty when the context does not say. */
export function clientFromContext(context: unknown): string {
  return text(record(context).from);
}
