import { assertEquals } from "@std/assert";
import { methodSchema, serviceConfig } from "../../lib/service/register.ts";
import type { Method } from "../../lib/worker/method.ts";

const info = { id: "conda", name: "n", description: "d", supportedTypes: [] };

Deno.test("register: a protected worker authorises itself, those listed, and the controller", () => {
  assertEquals(serviceConfig(info, "ws-1"), {
    visibility: "protected",
    "require_context": true,
    "run_in_executor": true,
    "authorized_workspaces": ["ws-1", "public"],
  });
  const listed = { ...info, authorizedWorkspaces: ["ws-2", "public", "ws-1"] };
  assertEquals(serviceConfig(listed, "ws-1").authorized_workspaces, ["ws-1", "ws-2", "public"]);
});

Deno.test("register: other visibilities have no list of workspaces", () => {
  for (const visibility of ["public", "unlisted"] as const) {
    const config = serviceConfig({ ...info, visibility, authorizedWorkspaces: ["ws-2"] }, "ws-1");
    assertEquals([config.visibility, "authorized_workspaces" in config], [visibility, false]);
  }
});

Deno.test("register: the schema names every parameter and the required ones", () => {
  const method: Method = {
    name: "stop",
    description: "Ends a session.",
    parameters: [
      { name: "session_id", schema: { type: "string" }, required: true },
      { name: "force", schema: { type: "boolean" } },
    ],
    handler: () => Promise.resolve(),
  };
  assertEquals(methodSchema(method), {
    name: "stop",
    description: "Ends a session.",
    parameters: {
      type: "object",
      properties: { session_id: { type: "string" }, force: { type: "boolean" } },
      required: ["session_id"],
    },
  });
});
