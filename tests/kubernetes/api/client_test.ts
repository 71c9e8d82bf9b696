import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { KubernetesClient } from "../../../lib/kubernetes/api/client.ts";
import type { Configuration } from "../../../lib/kubernetes/api/credentials.ts";
import { hasReason, KubernetesError } from "../../../lib/kubernetes/api/errors.ts";
import { FileConfiguration } from "../../../lib/kubernetes/api/file_configuration.ts";
import {
  jobs,
  pathOf,
  pods,
  type ResourcePath,
  secrets,
} from "../../../lib/kubernetes/api/resource_path.ts";
import type { Pod, Secret } from "../../../lib/kubernetes/api/types.ts";
import { clientCertificate, clientKey } from "../certificates.ts";
import { FakeApiServer } from "../fake_api_server.ts";

/** A server, and a client that loses no time. */
async function pair(options: { timeout?: number; tryTimeout?: number } = {}) {
  const stack = new AsyncDisposableStack();
  const server = stack.use(FakeApiServer.start());
  const configuration = stack.use(await server.configuration());
  const client = stack.use(new KubernetesClient(configuration, { backOff: 1, ...options }));
  return { server, client, configuration, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function secret(name: string, labels: Record<string, string> = {}): Secret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, labels },
    data: { key: "dmFsdWU=" },
  };
}

/** What a promise rejects with. */
async function errorOf(promise: Promise<unknown>): Promise<KubernetesError> {
  return await assertRejects(() => promise, KubernetesError);
}

Deno.test("objects are made, read, listed, changed and deleted", async () => {
  await using it = await pair();
  const { client } = it;
  const made = await client.create(secrets("here"), secret("a", { app: "x" }));
  assert(made.metadata?.uid);
  assertEquals((await client.get<Secret>(secrets("here", "a"))).data, { key: "dmFsdWU=" });
  const changed = await client.patch<Secret>(secrets("here", "a"), {
    metadata: { labels: { app: null, tier: "b" } },
  });
  assertEquals(changed.metadata?.labels, { tier: "b" });
  const names = async (labelSelector: string) =>
    (await client.list<Secret>(secrets("here"), { labelSelector })).items
      .map(({ metadata }) => metadata?.name);
  assertEquals(await names("tier=b"), ["a"]);
  assertEquals(await names("app=x"), []);
  await client.delete(secrets("here", "a"), { propagationPolicy: "Background" });
  assertEquals((await errorOf(client.get(secrets("here", "a")))).reason, "NotFound");
});

Deno.test("a dry run keeps nothing", async () => {
  await using it = await pair();
  const { client, server } = it;
  assert((await client.create(secrets("here"), secret("a"), { dryRun: true })).metadata?.uid);
  await assertRejects(() => client.get(secrets("here", "a")), KubernetesError);
  server.create(secrets("here"), secret("a"));
  await client.delete(secrets("here", "a"), { dryRun: true });
  await client.get(secrets("here", "a"));
});

Deno.test("a list comes in pages, and pages whose token is too old are refused", async () => {
  await using it = await pair();
  const { client, server } = it;
  for (const name of ["a", "b", "c"]) server.create(secrets("here"), secret(name));
  const first = await client.list<Secret>(secrets("here"), { limit: 2 });
  assertEquals(first.items.length, 2);
  const page = { limit: 2, continue: first.metadata.continue! };
  assertEquals((await client.list<Secret>(secrets("here"), page)).items.length, 1);
  server.store.compact();
  const error = await errorOf(client.list(secrets("here"), page));
  assertEquals([error.status, error.reason], [410, "Expired"]);
});

Deno.test("refusals have their status, their reason and the API's words", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.create(secrets("here"), secret("a"));
  const exists = await errorOf(client.create(secrets("here"), secret("a")));
  assertEquals([exists.status, exists.reason], [409, "AlreadyExists"]);
  assertStringIncludes(exists.message, 'Cannot create secrets: secrets "a" already exists');
  assert(hasReason(exists, "NotFound", "AlreadyExists"));
  const options = { preconditions: { uid: "another" } };
  assertEquals((await errorOf(client.delete(secrets("here", "a"), options))).reason, "Conflict");
  server.fail(/^GET /, () => new Response("<html>\n  no entry", { status: 403 }));
  const proxy = await errorOf(client.get(secrets("here", "a")));
  assertEquals([proxy.status, proxy.reason], [403, "Forbidden"]);
  assertStringIncludes(proxy.message, "Cannot get secret a: <html> no entry");
});

Deno.test("what the API was too busy to do is asked for again, whatever it is", async () => {
  await using it = await pair();
  const { client, server } = it;
  const busy = (status: number) => () =>
    new Response("busy", { status, headers: { "retry-after": "0" } });
  server.fail(/^POST /, busy(429), 2);
  server.fail(/^POST /, busy(503));
  await client.create(secrets("here"), secret("a"));
  assertEquals(server.count(/^POST /), 4);
});

Deno.test("an API that asks for more patience than there is left is believed at once", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.fail(
    /^GET /,
    () => new Response("busy", { status: 429, headers: { "retry-after": "86400" } }),
  );
  assertEquals((await errorOf(client.get(secrets("here", "a")))).reason, "TooManyRequests");
  assertEquals(server.count(/^GET /), 1);
});

Deno.test("after a server's error only calls that may be done twice are done again", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.create(secrets("here"), secret("a"));
  const failure = () => new Response("oh", { status: 500 });
  server.fail(/./, failure);
  await client.get(secrets("here", "a"));
  server.fail(/./, failure);
  await client.patch(secrets("here", "a"), { data: {} });
  server.fail(/./, failure);
  assertEquals((await errorOf(client.create(secrets("here"), secret("b")))).status, 500);
  server.fail(/./, failure);
  const patch = client.patch(secrets("here", "a"), [], { type: "json" });
  assertEquals((await errorOf(patch)).status, 500);
  server.fail(/./, failure, Infinity);
  const before = server.requests.length;
  assertEquals((await errorOf(client.get(secrets("here", "a")))).status, 500);
  assertEquals(server.requests.length - before, 5);
});

Deno.test("a broken connection is made again for reading, and told of when something may be done", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.create(secrets("here"), secret("a"));
  server.fail(/^GET /, "cut");
  await client.get(secrets("here", "a"));
  server.fail(/^POST /, "cut");
  const error = await errorOf(client.create(secrets("here"), secret("b")));
  assertEquals([error.status, error.reason, error.maybeDone], [0, "Unreachable", true]);
  assertStringIncludes(error.message, `the connection to ${server.url} failed`);
});

Deno.test("a deletion whose answer was lost is no failure when it was done", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.create(secrets("here"), secret("a"));
  server.fail(/^DELETE /, () => {
    server.remove(secrets("here", "a"));
    return new Response("gone away", { status: 504 });
  });
  await client.delete(secrets("here", "a"));
  const error = await errorOf(client.delete(secrets("here", "a")));
  assertEquals([error.reason, error.maybeDone], ["NotFound", false]);
});

Deno.test("calls wait for an API that is away, also those that may not be done twice", async () => {
  await using it = await pair();
  const { client, server, configuration } = it;
  const back = await server.stop();
  let tries = 0;
  const tried = Promise.withResolvers<void>();
  const counting: Configuration = {
    server: configuration.server,
    namespace: "default",
    source: "here",
    credentials: () => {
      if (++tries === 3) tried.resolve();
      return configuration.credentials();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  using other = new KubernetesClient(counting, { backOff: 1 });
  const creating = other.create(secrets("here"), secret("a"));
  await tried.promise;
  back();
  await creating;
  await client.get(secrets("here", "a"));
});

Deno.test("a server that does not answer is asked again, and given up in the end", async () => {
  await using it = await pair({ tryTimeout: 100 });
  const { client, server } = it;
  server.create(secrets("here"), secret("a"));
  server.fail(/^GET /, "hang");
  await client.get(secrets("here", "a"));
  server.fail(/./, "hang", Infinity);
  const error = await errorOf(client.get(secrets("here", "a"), { timeout: 250 }));
  assertEquals(error.reason, "Timeout");
  assertStringIncludes(error.message, `from ${server.url}`);
  const creating = client.create(secrets("here"), secret("b"), { timeout: 250 });
  assertEquals((await errorOf(creating)).maybeDone, true);
  assert(server.count(/^POST /) < 2);
});

Deno.test("a signal stops a call and its waiting, with its own reason", async () => {
  await using it = await pair();
  const { client, server } = it;
  const stop = new AbortController();
  server.fail(/./, "hang");
  const asked = server.arrival(/^GET /);
  const call = client.get(secrets("here", "a"), { signal: stop.signal });
  await asked;
  stop.abort(new RangeError("enough"));
  await assertRejects(() => call, RangeError, "enough");
  const again = client.get(secrets("here", "a"), { signal: stop.signal });
  await assertRejects(() => again, RangeError, "enough");
  const later = new AbortController();
  server.fail(/./, () => {
    queueMicrotask(() => later.abort(new RangeError("enough")));
    return new Response("busy", { status: 429, headers: { "retry-after": "30" } });
  });
  await assertRejects(
    () => client.get(secrets("here", "a"), { signal: later.signal }),
    RangeError,
    "enough",
  );
});

Deno.test("a client that is closed ends its calls, and makes no others", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.fail(/./, "hang");
  const asked = server.arrival(/^GET /);
  const call = errorOf(client.get(secrets("here", "a")));
  await asked;
  client[Symbol.dispose]();
  assertEquals((await call).reason, "Closed");
  assertEquals((await errorOf(client.get(secrets("here", "a")))).reason, "Closed");
  assertEquals(server.requests.length, 1);
});

Deno.test("a token that has become another is read anew when the old one is refused", async () => {
  await using server = FakeApiServer.start();
  let token = "the-first-token";
  server.tokens.add(token);
  await using configuration = await FileConfiguration.open(
    "here",
    "default",
    () => Promise.resolve({ server: server.url, token, tls: { caCerts: [server.authority] } }),
  );
  using client = new KubernetesClient(configuration, { backOff: 1 });
  await client.list(secrets("here"));
  server.tokens.delete(token);
  token = "the-second-token";
  server.tokens.add(token);
  // Nothing was done, so this may be tried again although it must not be done twice.
  await client.create(secrets("here"), secret("a"));
  assertEquals(server.count(/^POST /), 2);
  server.tokens.clear();
  const error = await errorOf(client.get(secrets("here", "a")));
  assertEquals([error.status, error.reason], [401, "Unauthorized"]);
  assertEquals(server.count(/^GET .*\/a$/), 2);
});

Deno.test("no error tells a token, even when the server does", async () => {
  await using it = await pair();
  const { client, server } = it;
  const jwt = `eyJ${"a".repeat(20)}.${"b".repeat(20)}.${"c".repeat(20)}`;
  server.fail(/./, ({ headers }) =>
    Response.json({
      kind: "Status",
      message: `${headers.get("authorization")} and ${jwt}`,
      reason: "Invalid",
    }, { status: 422 }));
  const error = await errorOf(client.get(secrets("here", "a")));
  assertStringIncludes(error.message, "Bearer *** and ***");
  const shown = Deno.inspect(error) + JSON.stringify(error);
  assert(!shown.includes("token-of-the-fake") && !shown.includes(jwt), shown);
});

Deno.test("a server whose certificate is not trusted is not asked again and again", async () => {
  await using server = FakeApiServer.start();
  const read: boolean[] = [];
  using connections = Deno.createHttpClient({});
  const configuration: Configuration = {
    server: server.url,
    namespace: "default",
    source: "here",
    credentials: ({ renew = false } = {}) => {
      read.push(renew);
      return Promise.resolve({
        server: server.url,
        client: connections,
        tls: {},
        authorization: "Bearer token-of-the-fake",
      });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  using client = new KubernetesClient(configuration, { backOff: 1 });
  const error = await errorOf(client.get(secrets("here", "a")));
  assertEquals(error.reason, "Unreachable");
  assertStringIncludes(error.message, "certificate");
  // The authority's file was read once more, since it might have been replaced.
  assertEquals(read, [false, true]);
  const socket = client.connect(pods("here", "p"), { protocols: ["v5.channel.k8s.io"] });
  assertStringIncludes((await errorOf(socket)).message, "certificate");
  assertEquals(server.requests, []);
});

Deno.test("a redirection is not followed", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.fail(/./, () => new Response(null, { status: 302, headers: { location: "/elsewhere" } }));
  assertEquals((await errorOf(client.get(secrets("here", "a")))).status, 302);
  assertEquals(server.count(/elsewhere/), 0);
});

Deno.test("an answer that is not JSON is told of, but not shown", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.fail(/./, () => new Response("a secret thing"));
  const error = await errorOf(client.get(secrets("here", "a")));
  assertEquals(error.message, "Cannot get secret a: the answer is not JSON");
});

Deno.test("names cannot lead out of their place", () => {
  assertEquals(
    pathOf(pods("a/b", "../x?y"), { command: ["sh", "-c"], left: undefined, follow: true }),
    "/api/v1/namespaces/a%2Fb/pods/..%2Fx%3Fy?command=sh&command=-c&follow=true",
  );
  assertEquals(pathOf(jobs("x")), "/apis/batch/v1/namespaces/x/jobs");
  for (const name of ["", ".", ".."]) {
    const path: ResourcePath = pods("x", name);
    let thrown: unknown;
    try {
      pathOf(path);
    } catch (error) {
      thrown = error;
    }
    assert(thrown instanceof TypeError, name);
  }
});

Deno.test("a list whose items are null is empty", async () => {
  await using it = await pair();
  const { client, server } = it;
  server.fail(/./, () => Response.json({ kind: "PodList", metadata: {}, items: null }));
  assertEquals((await client.list<Pod>(pods("here"))).items, []);
});

Deno.test("a client certificate is shown to a server that asks for one", async () => {
  const openssl = await new Deno.Command("openssl", { args: ["version"] }).output()
    .then(({ success }) => success, () => false);
  if (!openssl) return console.warn("Skipped: openssl is not there");
  const { authority, serverCertificate, serverKey } = await import("../certificates.ts");
  const folder = await Deno.makeTempDir();
  const body = '{"kind":"Pod","metadata":{"name":"p"}}';
  const files = {
    "ca.pem": authority,
    "server.pem": serverCertificate + serverKey,
    "p": `HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n${body}`,
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
  await Deno.mkdir(`${folder}/api/v1/namespaces/here/pods`, { recursive: true });
  await Deno.rename(`${folder}/p`, `${folder}/api/v1/namespaces/here/pods/p`);
  const child = new Deno.Command("openssl", {
    args: ["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-HTTP"]
      .concat(["-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"]),
    cwd: folder,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    let said = "";
    const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let port: string | undefined;
    while (port === undefined) {
      const { value, done } = await output.read();
      assert(!done, said);
      said += value;
      port = /ACCEPT .*:(\d+)/.exec(said)?.[1];
    }
    const drained = (async () => {
      while (!(await output.read()).done);
    })();
    const open = (keys: { cert?: string; key?: string }) =>
      FileConfiguration.open("here", "default", () =>
        Promise.resolve({
          server: `https://127.0.0.1:${port}`,
          tls: { caCerts: [authority], ...keys },
        }));
    await using without = await open({});
    using stranger = new KubernetesClient(without, { backOff: 1 });
    const refused = await errorOf(stranger.get(pods("here", "p")));
    assertEquals(refused.reason, "Unreachable");
    await using configuration = await open({ cert: clientCertificate, key: clientKey });
    using client = new KubernetesClient(configuration, { backOff: 1 });
    assertEquals((await client.get<Pod>(pods("here", "p"))).metadata?.name, "p");
    child.kill("SIGKILL");
    await drained;
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
});
