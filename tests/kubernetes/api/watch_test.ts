import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { KubernetesClient } from "../../../lib/kubernetes/api/client.ts";
import { KubernetesError } from "../../../lib/kubernetes/api/errors.ts";
import { JsonLines } from "../../../lib/kubernetes/api/json_lines.ts";
import { pods } from "../../../lib/kubernetes/api/resource_path.ts";
import type { Pod } from "../../../lib/kubernetes/api/types.ts";
import { Mirror, type MirrorOptions } from "../../../lib/kubernetes/api/watch.ts";
import { FakeApiServer } from "../fake_api_server.ts";

const LIST = /^GET \/api\/v1\/namespaces\/here\/pods\?(?!watch)/;
const WATCH = /^GET \/api\/v1\/namespaces\/here\/pods\?watch/;

/** A server, and a mirror of its pods that loses no time. */
async function mirrored(options: MirrorOptions = {}, prepare = (_: FakeApiServer) => {}) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(FakeApiServer.start());
  prepare(server);
  const configuration = stack.use(await server.configuration());
  const client = stack.use(new KubernetesClient(configuration, { backOff: 1, timeout: 1000 }));
  const mirror = stack.use(new Mirror<Pod>(client, pods("here"), { backOff: 1, ...options }));
  const told: string[] = [];
  mirror.changes(({ type, object }) => told.push(`${type} ${object.metadata?.name}`));
  return { server, client, mirror, told, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function pod(name: string, labels: Record<string, string> = {}): Pod {
  return { metadata: { name, labels }, status: { phase: "Pending" } };
}

/** Resolves when the pod has this phase; `undefined` when it shall be gone. */
async function phase(mirror: Mirror<Pod>, name: string, phase: string | undefined): Promise<void> {
  await mirror.wait((it) => it.get(name)?.status?.phase === phase ? true : undefined);
}

/** Resolves when the server has a watch. */
async function watching(server: FakeApiServer): Promise<void> {
  if (server.watches === 0) await server.arrival(WATCH);
}

Deno.test("what is there is known when the mirror is ready, and changes are told in order", async () => {
  await using it = await mirrored({}, (server) => server.create(pods("here"), pod("a")));
  const { server, mirror, told } = it;
  await mirror.ready;
  assertEquals(mirror.values().map(({ metadata }) => metadata?.name), ["a"]);
  server.create(pods("here"), pod("b"));
  server.patch(pods("here", "a"), { status: { phase: "Running" } });
  server.remove(pods("here", "b"));
  await phase(mirror, "a", "Running");
  await phase(mirror, "b", undefined);
  assertEquals(told, ["added a", "added b", "modified a", "deleted b"]);
  assertEquals(mirror.problem, undefined);
});

Deno.test("only what is selected is told, and what is no more selected is gone", async () => {
  await using it = await mirrored({ labelSelector: "app=x" });
  const { server, mirror, told } = it;
  await mirror.ready;
  server.create(pods("here"), pod("other"));
  server.create(pods("here"), pod("a", { app: "x" }));
  await phase(mirror, "a", "Pending");
  server.patch(pods("here", "a"), { metadata: { labels: { app: "y" } } });
  await phase(mirror, "a", undefined);
  assertEquals(told, ["added a", "deleted a"]);
});

Deno.test("waiting ends with the signal's reason, with what the predicate throws, and with the mirror", async () => {
  await using it = await mirrored();
  const { mirror } = it;
  const stop = new AbortController();
  const waiting = mirror.wait(() => undefined, { signal: stop.signal });
  stop.abort(new RangeError("enough"));
  await assertRejects(() => waiting, RangeError, "enough");
  await assertRejects(
    () =>
      mirror.wait(() => {
        throw new RangeError("no");
      }),
    RangeError,
    "no",
  );
  const endless = assertRejects(() => mirror.wait(() => undefined), KubernetesError, "is over");
  await mirror[Symbol.asyncDispose]();
  await endless;
  await assertRejects(() => mirror.wait(() => undefined), KubernetesError, "is over");
});

for (const end of ["end", "cut", "silence"] as const) {
  Deno.test(`a stream that comes to its ${end} is followed by one that leaves nothing out`, async () => {
    // A stream that is silent is given up after its time.
    await using it = await mirrored({ watchSeconds: 1, grace: 1 });
    const { server, mirror, told } = it;
    await mirror.ready;
    await watching(server);
    server.create(pods("here"), pod("a"));
    await phase(mirror, "a", "Pending");
    server.endWatches(end);
    server.patch(pods("here", "a"), { status: { phase: "Running" } });
    server.remove(pods("here", "a"));
    server.create(pods("here"), pod("b"));
    await phase(mirror, "b", "Pending");
    assertEquals(told, ["added a", "modified a", "deleted a", "added b"]);
    // Nothing is asked for that was known.
    assertEquals(server.count(LIST), 1);
  });
}

Deno.test("when the API has forgotten, objects are listed again and every difference is told", async () => {
  await using it = await mirrored();
  const { server, mirror, told } = it;
  for (const name of ["stays", "changes", "goes", "another"]) {
    server.create(pods("here"), pod(name));
  }
  await phase(mirror, "another", "Pending");
  await watching(server);
  told.length = 0;
  server.endWatches("silence");
  server.patch(pods("here", "changes"), { status: { phase: "Running" } });
  server.remove(pods("here", "goes"));
  server.remove(pods("here", "another"));
  server.create(pods("here"), pod("another"));
  server.create(pods("here"), pod("new"));
  server.store.compact();
  // The silent stream is broken, so that the next one begins where the API remembers nothing.
  const back = await server.stop();
  back();
  await phase(mirror, "new", "Pending");
  assertEquals(told, [
    "deleted goes",
    "deleted another",
    "modified changes",
    "added another",
    "added new",
  ]);
});

Deno.test("an API that is away is waited for, and its absence is told", async () => {
  await using it = await mirrored();
  const { server, client, mirror } = it;
  await mirror.ready;
  await watching(server);
  const back = await server.stop();
  // The stream's end alone says nothing yet.
  await assertRejects(() => client.get(pods("here", "a"), { timeout: 50 }), KubernetesError);
  back();
  server.create(pods("here"), pod("a"));
  await phase(mirror, "a", "Pending");
  assertEquals(mirror.problem, undefined);
});

Deno.test("a watch that is refused later is tried again, and says why it is old", async () => {
  await using it = await mirrored();
  const { server, mirror } = it;
  await mirror.ready;
  await watching(server);
  let seen: string | undefined;
  server.fail(WATCH, () => {
    seen ??= mirror.problem;
    return new Response("no entry", { status: 403 });
  }, 5);
  server.endWatches("cut");
  server.create(pods("here"), pod("a"));
  await mirror.wait(({ problem }) => problem === undefined && mirror.get("a") ? true : undefined);
  assertStringIncludes(seen ?? "", `the connection to ${server.url} failed`);
});

Deno.test("a mirror that may not list says so and stops", async () => {
  await using it = await mirrored(
    {},
    (server) => server.fail(LIST, () => new Response("no entry", { status: 403 }), Infinity),
  );
  const { server, mirror } = it;
  const error = await assertRejects(() => mirror.ready, KubernetesError, "no entry");
  assertEquals(error.reason, "Forbidden");
  await assertRejects(() => mirror.wait(() => undefined), KubernetesError, "no entry");
  assertEquals(server.requests.length, 1);
});

Deno.test("streams that end at once are not asked for without end", async () => {
  await using it = await mirrored(
    {},
    (server) => server.fail(WATCH, () => new Response(null), 3),
  );
  const { server, mirror } = it;
  await mirror.ready;
  server.create(pods("here"), pod("a"));
  await phase(mirror, "a", "Pending");
  // After three of them the place itself is doubted.
  assertEquals(server.count(LIST), 2);
});

Deno.test("a place that the API takes for the future is given up", async () => {
  const future = {
    kind: "Status",
    status: "Failure",
    reason: "Timeout",
    message: "Too large resource version: 9, current: 1",
    code: 504,
  };
  await using it = await mirrored({}, (server) =>
    server.fail(
      /watch.*resourceVersion=1000/,
      () => new Response(`${JSON.stringify({ type: "ERROR", object: future })}\n`),
      3,
    ));
  const { server, mirror } = it;
  await mirror.ready;
  server.create(pods("here"), pod("a"));
  await phase(mirror, "a", "Pending");
  assertEquals(server.count(LIST), 2);
});

Deno.test("garbage in a stream does not end the mirror", async () => {
  await using it = await mirrored(
    {},
    (server) => server.fail(WATCH, () => new Response("<html>\n")),
  );
  const { server, mirror } = it;
  await mirror.ready;
  server.create(pods("here"), pod("a"));
  await phase(mirror, "a", "Pending");
});

Deno.test("a listener that fails does not keep others from being told", async () => {
  await using it = await mirrored();
  const { server, mirror } = it;
  using _failing = mirror.changes(() => {
    throw new Error("no");
  });
  let heard = 0;
  const listening = mirror.changes(() => heard++);
  server.create(pods("here"), pod("a"));
  await phase(mirror, "a", "Pending");
  listening[Symbol.dispose]();
  server.create(pods("here"), pod("b"));
  await phase(mirror, "b", "Pending");
  assertEquals(heard, 1);
});

Deno.test("more objects than one page holds are all known", async () => {
  await using it = await mirrored({}, (server) => {
    for (let i = 0; i < 501; i++) server.create(pods("here"), pod(`p${i}`));
  });
  const { server, mirror } = it;
  await mirror.ready;
  assertEquals(mirror.values().length, 501);
  assertEquals(server.count(LIST), 2);
});

Deno.test("a large object comes whole", async () => {
  await using it = await mirrored();
  const { server, mirror } = it;
  await mirror.ready;
  const note = "größer ".repeat(150_000);
  server.create(pods("here"), { ...pod("a"), metadata: { name: "a", annotations: { note } } });
  await phase(mirror, "a", "Pending");
  assert(mirror.get("a")?.metadata?.annotations?.["note"] === note);
});

Deno.test("lines are put together from pieces of any size", () => {
  const values = [{ a: "ä€😀" }, [1, 2], "x"];
  const bytes = new TextEncoder().encode(
    values.map((one) => JSON.stringify(one)).join("\n") + "\n\n",
  );
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const lines = new JsonLines();
    const found: unknown[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      found.push(...lines.push(bytes.subarray(at, at + size)));
    }
    assertEquals(found, values);
  }
});
