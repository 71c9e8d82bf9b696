import { assertEquals } from "@std/assert";
import { callerFromContext, clientFromContext } from "../../lib/service/caller.ts";

const root = {
  id: "root",
  roles: ["admin"],
  "is_anonymous": false,
  scope: { workspaces: { "*": "a" } },
};
const user = (rights: string) => ({
  id: "user-1",
  roles: [],
  "is_anonymous": false,
  scope: { workspaces: { "ws-1": rights } },
});

Deno.test("caller: root from workspace public is the controller", () => {
  assertEquals(callerFromContext({ ws: "public", user: root }), {
    kind: "controller",
    workspace: "public",
    user: "root",
    anonymous: false,
    admin: true,
  });
});

Deno.test("caller: root from elsewhere, and others from public, are direct callers", () => {
  assertEquals(callerFromContext({ ws: "ws-1", user: root }).kind, "direct");
  assertEquals(
    callerFromContext({ ws: "public", user: { ...user("a"), id: "user" } }).kind,
    "direct",
  );
  assertEquals(callerFromContext({ ws: "public", user: { ...root, roles: [] } }).kind, "direct");
  assertEquals(
    callerFromContext({ ws: "public", user: { ...root, "is_anonymous": true } }).kind,
    "direct",
  );
});

Deno.test("caller: rights over the workspace make an administrator", () => {
  assertEquals(callerFromContext({ ws: "ws-1", user: user("a") }).admin, true);
  assertEquals(callerFromContext({ ws: "ws-1", user: user("rw") }).admin, false);
  assertEquals(callerFromContext({ ws: "ws-2", user: user("a") }).admin, false);
});

Deno.test("caller: what is missing makes the caller anonymous", () => {
  const contexts: unknown[] = [
    undefined,
    null,
    "text",
    {},
    { ws: "ws-1" },
    { ws: "ws-1", user: "root" },
    { ws: "ws-1", user: { id: "u" } },
    { user: user("a") },
    { ws: 5, user: root },
    { ws: "public", user: { id: "root", roles: ["admin"] } },
  ];
  for (const context of contexts) {
    const caller = callerFromContext(context);
    assertEquals([caller.kind, caller.anonymous, caller.admin], ["direct", true, false]);
  }
  assertEquals(clientFromContext({ from: "ws/client" }), "ws/client");
  assertEquals(clientFromContext({}), "");
});
