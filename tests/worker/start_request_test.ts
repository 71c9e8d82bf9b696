import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { EVERYTHING_LOCAL } from "../../lib/environments/policy.ts";
import { WorkerError } from "../../lib/errors.ts";
import type { StageSource } from "../../lib/staging/source.ts";
import { compileManifest } from "../../lib/worker/compile.ts";
import type { Caller } from "../../lib/worker/caller.ts";
import { environmentOf } from "../../lib/worker/environment.ts";
import { prepareStart, type StartContext } from "../../lib/worker/start_method.ts";
import { completeRequest, type StartRequest } from "../../lib/worker/start_request.ts";

const CONTEXT: StartContext = {
  rules: { workspace: "w", public: false, authorizedWorkspaces: undefined },
  serverUrl: "http://localhost:1",
  token: undefined,
  disableSsl: false,
  limits: { resources: {} },
};
const CALLER = {
  kind: "direct",
  workspace: "w",
  user: "u",
  anonymous: false,
  admin: false,
} as const;

function request(manifest: Record<string, unknown>, context = CONTEXT): StartRequest {
  return prepareStart({ id: "s", manifest }, CALLER, context);
}

/** A source that is a table. */
function sourceOf(files: Record<string, string>): StageSource {
  const refuse = () => {
    throw new WorkerError("staging_failed", "Cannot read: it does not exist");
  };
  return {
    name: "table",
    readText: (path) => Promise.resolve().then(() => files[path] ?? refuse()),
    open: refuse,
    list: refuse,
  };
}

Deno.test("a start uses nothing of the machine unless its context says so", () => {
  for (const manifest of [{ channels: ["file:///x"] }, { environment: { name: "base" } }]) {
    const error = assertThrows(() => request(manifest), WorkerError, "operator");
    assertEquals(error.code, "permission_denied");
    assertThrows(() => compileManifest(manifest), WorkerError, "operator");
    request(manifest, { ...CONTEXT, policy: EVERYTHING_LOCAL });
    compileManifest(manifest, EVERYTHING_LOCAL);
  }
});

Deno.test("files of the app complete a request: packages, variables, and the same checks", async () => {
  const signal = new AbortController().signal;
  const manifest = { environment: "e.yml", env: { A: "manifest" }, variables: { B: "direct" } };
  const plain = request(manifest);
  assertEquals(plain.env, { A: "manifest", B: "direct" });
  const complete = (text: string) =>
    completeRequest({ ...plain, source: sourceOf({ "e.yml": text }) }, signal);
  const done = await complete("dependencies: [numpy]\nvariables: {A: file, B: file, C: file}\n");
  assertEquals(done.spec.packages, ["numpy", "python"]);
  assertEquals(done.env, { A: "manifest", B: "direct", C: "file" });
  const refused: [text: string, code: string, reason: string][] = [
    ["dependencies: [-x]", "invalid_spec", "e.yml.dependencies[0]"],
    ["channels: ['file:///x']", "permission_denied", "operator"],
    ["dependencies: ['file:///x::numpy']", "permission_denied", "operator"],
  ];
  for (const [text, code, reason] of refused) {
    const error = await assertRejects(() => complete(text), WorkerError, reason);
    assertEquals(error.code, code);
  }
  // The name in a file is its author's; an existing environment can be named by the manifest only.
  assertEquals((await complete("name: base\n")).spec.existing, undefined);
});

Deno.test("a request without files is complete, and one with files needs a source that has them", async () => {
  const signal = new AbortController().signal;
  const plain = request({ dependencies: ["numpy"] });
  assertEquals(await completeRequest(plain, signal), plain);
  const named = request({ lock: "conda.lock" });
  const missing = { ...named, source: sourceOf({}) };
  for (const one of [{ ...named, source: undefined }, missing]) {
    const error = await assertRejects(() => completeRequest(one, signal), WorkerError);
    assertEquals(error.code, "staging_failed");
  }
});

Deno.test("compile leaves environments alone that are not described by dependencies", () => {
  for (
    const manifest of [
      { environment: "environment.yml" },
      { environment_file: "e.yml" },
      { environment_yml: "dependencies: [numpy]" },
      { conda: { dependencies: ["numpy"] } },
      { lock: "conda.lock" },
    ]
  ) {
    assertEquals(compileManifest(manifest), { ...manifest, entry_point: "main.py" });
  }
  const compiled = compileManifest({ dependencies: ["numpy"] });
  assertEquals(compiled.channels, ["conda-forge"]);
  assertEquals(compiled.dependencies, ["numpy", "pip", { pip: ["hypha-rpc"] }]);
});

Deno.test("compile adds what is not there yet, however that is spelled, and the same again changes nothing", () => {
  const own: unknown[][] = [
    ["python", "pip>=23", { pip: ["hypha-rpc==0.21.40"] }],
    ["python", "conda-forge::pip", { pip: ["Hypha_RPC>=0.20"] }],
    ["python", "PIP", "hypha-rpc>=0.20"],
    ["ipykernel>=6", "pip", { pip: ["rich", "hypha-rpc[all]"] }],
  ];
  for (const dependencies of own) {
    const compiled = compileManifest({ dependencies });
    assertEquals(compiled.dependencies, dependencies);
  }
  // Ours are added to the requirements that are there; the manifest that was given is left as it is.
  const given = { dependencies: ["pip", { pip: ["rich"] }] };
  const compiled = compileManifest(given);
  assertEquals(compiled.dependencies, ["pip", { pip: ["rich", "hypha-rpc"] }]);
  assertEquals(given.dependencies, ["pip", { pip: ["rich"] }]);
  assertEquals(compileManifest(compiled), compiled);
});

Deno.test("compile refuses files that cannot be staged or saved", () => {
  for (const name of ["files_to_stage", "files_to_save"]) {
    const manifest = (entries: unknown) => ({ dependencies: ["numpy"], [name]: entries });
    assertEquals(compileManifest(manifest(["a.csv", "d/:e/"]))[name], ["a.csv", "d/:e/"]);
    for (const entries of [["../a"], ["/a"], [1], 5, ["a:b:c"]]) {
      const error = assertThrows(() => compileManifest(manifest(entries)), WorkerError);
      assertEquals(error.code, "invalid_argument");
    }
  }
});

Deno.test("a start tells which artifact and version its files are of, and where uploads go", () => {
  const start = (more: Record<string, unknown>) =>
    prepareStart({ id: "s", manifest: {}, ...more }, CALLER, CONTEXT);
  const names = (more: Record<string, unknown>) => start(more).source?.name;
  assertEquals(names({ artifact_id: "w/a" }), "artifact w/a");
  assertEquals(names({ artifact_id: "a@v1" }), "artifact w/a (version v1)");
  assertEquals(names({ artifact_id: "o/a@stage" }), "artifact o/a (version stage)");
  assertEquals(names({ app_id: "a", version: "v2" }), "artifact w/a (version v2)");
  assertEquals(names({}), undefined);
  const { writer } = start({ artifact_id: "w/a@v1" });
  assertEquals(writer?.()?.id, "w/a");
  assertEquals(writer?.("b")?.id, "w/b");
  assertEquals(writer?.("o/b")?.id, "o/b");
  assertEquals(start({}).writer?.(), undefined);
});

Deno.test("no variable of a call changes an object instead of being set", () => {
  const given = JSON.parse('{"__proto__": null}');
  const error = assertThrows(() => environmentOf(given, "env"), WorkerError, "__proto__");
  assertEquals(error.code, "invalid_argument");
  assertStringIncludes(error.message, "not a name");
});

Deno.test("the worker's own token writes only for administrators of its workspace", async () => {
  const seen: (string | null)[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    seen.push(request.headers.get("authorization"));
    return Response.json({ detail: "Permission denied" }, { status: 403 });
  });
  try {
    const context = {
      ...CONTEXT,
      serverUrl: `http://127.0.0.1:${server.addr.port}`,
      token: "token-of-the-worker",
    };
    const write = async (caller: Partial<Caller>, more: Record<string, unknown> = {}) => {
      const config = { id: "w/s", workspace: "w", client_id: "s", manifest: {}, ...more };
      const { writer } = prepareStart(config, { ...CALLER, ...caller }, context);
      seen.length = 0;
      await assertRejects(() => writer!("out")!.staged());
      return seen[0];
    };
    assertEquals(await write({}), null);
    assertEquals(await write({ kind: "controller", workspace: "public", admin: true }), null);
    assertEquals(await write({ admin: true }), "Bearer token-of-the-worker");
    assertEquals(await write({}, { token: "token-of-the-session" }), "Bearer token-of-the-session");
  } finally {
    await server.shutdown();
  }
});
