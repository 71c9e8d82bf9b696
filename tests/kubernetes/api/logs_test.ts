import { assertEquals, assertRejects } from "@std/assert";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { within } from "../../../lib/delay.ts";
import { KubernetesClient } from "../../../lib/kubernetes/api/client.ts";
import { KubernetesError } from "../../../lib/kubernetes/api/errors.ts";
import { podLog, type PodLogOptions } from "../../../lib/kubernetes/api/logs.ts";
import { pods } from "../../../lib/kubernetes/api/resource_path.ts";
import { FakeApiServer } from "../fake_api_server.ts";

/** A server with the pod `p`, and a client. */
async function withPod() {
  const stack = new AsyncDisposableStack();
  const server = stack.use(FakeApiServer.start());
  const configuration = stack.use(await server.configuration());
  const client = stack.use(new KubernetesClient(configuration, { backOff: 1 }));
  server.create(pods("here"), { metadata: { name: "p" } });
  const open = (options?: PodLogOptions) => podLog(client, "here", "p", options);
  const read = async (options?: PodLogOptions) => await new Response(open(options)).text();
  return { server, client, open, read, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("what a container has written is read, as far as it is asked for", async () => {
  await using it = await withPod();
  const log = it.server.log("p");
  log.line("one", "2026-01-01T00:00:01.000Z");
  log.line("two", "2026-01-01T00:00:02.000Z");
  assertEquals(await it.read(), "one\ntwo\n");
  assertEquals(await it.read({ tailLines: 1 }), "two\n");
  assertEquals(await it.read({ sinceTime: "2026-01-01T00:00:02Z" }), "two\n");
  assertEquals(await it.read({ limitBytes: 5 }), "one\nt");
  assertEquals(
    await it.read({ timestamps: true, tailLines: 1 }),
    "2026-01-01T00:00:02.000000000Z two\n",
  );
  it.server.log("p", "main", "previous").line("zero");
  assertEquals(await it.read({ previous: true, container: "main" }), "zero\n");
});

Deno.test("a log that is followed comes as it is written, until the container ends", async () => {
  await using it = await withPod();
  const log = it.server.log("p");
  log.line("one");
  const reader = it.open({ follow: true }).getReader();
  assertEquals((await reader.read()).value, bytesOf("one\n"));
  const next = reader.read();
  log.line("two");
  assertEquals((await next).value, bytesOf("two\n"));
  log.end();
  assertEquals((await reader.read()).done, true);
});

Deno.test("bytes that are not UTF-8 come as they are", async () => {
  await using it = await withPod();
  it.server.log("p").line(Uint8Array.of(0xff, 0x00, 0xc3));
  const bytes = await new Response(it.open()).bytes();
  assertEquals([...bytes], [0xff, 0x00, 0xc3, 10]);
});

Deno.test("what is not read is not asked for, and does not fill memory", async () => {
  await using it = await withPod();
  let sent = 0;
  const piece = new Uint8Array(2 ** 20);
  it.server.fail(/\/log/, () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          sent += piece.length;
          controller.enqueue(piece);
          if (sent >= 2 ** 30) controller.close();
        },
      }, { highWaterMark: 0 }),
    ));
  const stream = it.open();
  assertEquals(it.server.count(/\/log/), 0);
  const reader = stream.getReader();
  await reader.read();
  // Sockets hold some; the rest stays where it is. Another request's whole way is time enough for more.
  let before = -1;
  while (sent !== before) {
    before = sent;
    for (let i = 0; i < 20; i++) await it.client.get(pods("here", "p"));
  }
  assertEquals(sent < 2 ** 26, true, `${sent} bytes were sent`);
  await reader.cancel();
});

Deno.test("a log that cannot be read fails with the API's reason", async () => {
  await using it = await withPod();
  const starting = await assertRejects(() => it.read(), KubernetesError, "ContainerCreating");
  assertEquals(starting.reason, "BadRequest");
  it.server.remove(pods("here", "p"));
  const gone = await assertRejects(() => it.read(), KubernetesError);
  assertEquals(gone.reason, "NotFound");
});

Deno.test("a connection that breaks ends the stream with an error, after what has come", async () => {
  await using it = await withPod();
  it.server.log("p").line("one");
  const reader = it.open({ follow: true }).getReader();
  assertEquals((await reader.read()).value, bytesOf("one\n"));
  const next = assertRejects(() => reader.read(), KubernetesError);
  const back = await it.server.stop();
  assertEquals((await next).reason, "Unreachable");
  back();
});

Deno.test("a log that is silent for too long fails, so that it can be opened again", async () => {
  await using it = await withPod();
  it.server.log("p").line("one");
  const reader = it.open({ follow: true, idleTimeout: 200 }).getReader();
  await reader.read();
  const error = await assertRejects(() => reader.read(), KubernetesError);
  assertEquals(error.reason, "Timeout");
});

Deno.test("a signal ends the stream with its reason, before and after it has begun", async () => {
  await using it = await withPod();
  it.server.log("p").line("one");
  const stop = new AbortController();
  const reader = it.open({ follow: true, signal: stop.signal }).getReader();
  await reader.read();
  const next = assertRejects(() => reader.read(), RangeError, "enough");
  stop.abort(new RangeError("enough"));
  await next;
  await assertRejects(() => it.read({ signal: stop.signal }), RangeError, "enough");
  assertEquals(it.server.count(/\/log/), 1);
});

Deno.test("a signal ends the stream also after the runtime has collected garbage", async () => {
  await using it = await withPod();
  it.server.log("p").line("one");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const stop = new AbortController();
  const reader = it.open({ follow: true, signal: stop.signal }).getReader();
  await reader.read();
  for (let i = 0; i < 2; i++) {
    // Another request's whole way lets go of what the first one held.
    await it.client.get(pods("here", "p"));
    collect();
  }
  stop.abort(new RangeError("enough"));
  // The limit only keeps this from hanging when it fails.
  await assertRejects(() => within(reader.read(), 10_000), RangeError, "enough");
});

Deno.test("a client that is closed ends its logs", async () => {
  await using it = await withPod();
  it.server.log("p").line("one");
  const reader = it.open({ follow: true }).getReader();
  await reader.read();
  const next = assertRejects(() => reader.read(), KubernetesError);
  it.client[Symbol.dispose]();
  assertEquals((await next).reason, "Closed");
});
