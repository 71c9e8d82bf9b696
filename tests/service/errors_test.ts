import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { addSecret, addTenantSecret, createLogger, redact, silentLogger } from "../../lib/log.ts";
import { toWireError } from "../../lib/service/errors.ts";

Deno.test("errors: a worker error keeps its name and says what to do, without a stack", () => {
  const error = toWireError(
    new WorkerError("session_not_found", "Cannot execute: no session a/b"),
    "execute",
    silentLogger,
  );
  assertEquals(error.name, "SessionNotFoundError");
  assertEquals(error.stack, "");
  assertStringIncludes(String(error), "SessionNotFoundError: Cannot execute: no session a/b. List");
  assertStringIncludes(error.message, "list_sessions");
});

Deno.test("errors: the last line alone says what happened and what to do, as HTTP callers get no other", () => {
  const lines = (message: string) =>
    toWireError(
      new WorkerError("solver_conflict", message, { suggestion: "Loosen it." }),
      "start",
      silentLogger,
    ).message.split("\n");
  assertEquals(lines("Cannot create it: no"), ["Cannot create it: no. Loosen it."]);
  assertEquals(lines("Cannot create it: no.\n"), ["Cannot create it: no. Loosen it."]);
  assertEquals(lines("Cannot create it:\n  a needs b\n  b is old"), [
    "Cannot create it:",
    "  a needs b",
    "  b is old",
    "Cannot create it: Loosen it.",
  ]);
});

Deno.test("errors: a fault is logged whole and told only in general", () => {
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line) });
  const error = toWireError(new TypeError("x of undefined at /srv/x.ts"), "stop", log);
  assertEquals(error.name, "WorkerError");
  assert(!error.message.includes("undefined"));
  assertStringIncludes(lines.join(), "x of undefined");
  assertStringIncludes(toWireError("text", "stop", log).message, "Cannot finish stop");
});

Deno.test("errors: secrets do not cross the wire", () => {
  addSecret("very-secret-token-1");
  const thrown = new WorkerError("connection_failed", "Cannot use very-secret-token-1: no");
  assert(!toWireError(thrown, "start", silentLogger).message.includes("very-secret"));
});

Deno.test("errors: any number of tenants' secrets costs no more than the last of them", () => {
  // The usual form is known without being remembered, wherever in a text it stands.
  const token = (n: number) =>
    `eyJhbGciOiJIUzI1NiJ9.${btoa(`{"session":"number ${n}"}`)}.${"c".repeat(43)}`;
  for (let n = 0; n < 1000; n++) addTenantSecret(token(n).replaceAll("=", ""));
  assertEquals(redact(`x${token(1).replaceAll("=", "")} y`), "x*** y");
  for (let n = 0; n < 1000; n++) addTenantSecret(`opaque-token-of-session-${n}-end`);
  assertEquals(redact("use opaque-token-of-session-999-end"), "use ***");
  addTenantSecret("opaque-token-of-session-801-end");
  for (let n = 1000; n < 1100; n++) addTenantSecret(`opaque-token-of-session-${n}-end`);
  // One that is used again counts as new; whatever is old is forgotten.
  assertEquals(redact("opaque-token-of-session-801-end"), "***");
  assertEquals(redact("opaque-token-of-session-1-end"), "opaque-token-of-session-1-end");
});
