import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { type ArtifactSourceOptions, createArtifactSource } from "../../lib/staging/artifact.ts";
import { retryAfter } from "../../lib/staging/http.ts";
import { bytes, startArtifactServer, truncated } from "./artifact_server.ts";

function sourceOf(url: string, more: Partial<ArtifactSourceOptions> = {}) {
  return createArtifactSource({
    serverUrl: url,
    workspace: "ws",
    alias: "app",
    token: "secret-token",
    backOff: 5,
    ...more,
  });
}

Deno.test("artifact: odd names are percent-encoded and the token is in no address", async () => {
  await using server = startArtifactServer();
  const name = "dir a/50% #1?.txt";
  server.files.set(name, bytes("content ü"));
  assertEquals(await sourceOf(server.url).readText(name), "content ü");
  const [request] = server.requests;
  assertStringIncludes(request?.path ?? "", "/dir%20a/50%25%20%231%3F.txt?");
  assertStringIncludes(request?.path ?? "", "use_proxy=true");
  assertStringIncludes(request?.path ?? "", "silent=true");
  assert(!request?.path.includes("secret-token"));
  assertEquals(request?.headers.get("authorization"), "Bearer secret-token");
});

Deno.test("artifact: open tells size and etag", async () => {
  await using server = startArtifactServer();
  server.files.set("a", bytes("12345"));
  const file = await sourceOf(server.url).open("a");
  assertEquals([file.size, file.etag], [5, '"a"']);
  assertEquals(await new Response(file.body).text(), "12345");
});

Deno.test("artifact: listings are read page by page, also when the last page is full", async () => {
  for (const count of [0, 1, 9, 10, 11, 20]) {
    await using server = startArtifactServer();
    server.files.set("d/sub/x", bytes("x"));
    for (let i = 0; i < count; i++) server.files.set(`d/f${i}`, bytes("x"));
    const names: string[] = [];
    for await (const item of sourceOf(server.url, { pageSize: 10 }).list("d")) {
      names.push(`${item.type} ${item.name}`);
    }
    assertEquals(names.length, count + 1);
    assertEquals(names[0], "directory sub");
  }
});

const refusals: [number, string | object, string, string][] = [
  [401, { detail: "x" }, "does not accept the token", "f"],
  [403, { detail: "Permission denied" }, "permission denied", "f"],
  [404, "File not found, details: {}", "the file does not exist", "f"],
  [404, { detail: "File or directory not found" }, "the folder does not exist", "f/"],
  [404, { detail: "Artifact not found" }, "the artifact does not exist", "f"],
  [418, "teapot", "answered 418: teapot", "f"],
];
for (const [status, body, reason, path] of refusals) {
  Deno.test(`artifact: ${status} for ${path} is "${reason}" and not tried again`, async () => {
    await using server = startArtifactServer();
    server.fault = () =>
      typeof body === "string" ? new Response(body, { status }) : Response.json(body, { status });
    const source = sourceOf(server.url);
    const error = await assertRejects(
      () => path === "f" ? source.readText(path) : Array.fromAsync(source.list("f")),
      WorkerError,
      reason,
    );
    assertEquals(error.code, "staging_failed");
    assertStringIncludes(error.message, "ws/app");
    assert(!error.message.includes("secret-token"));
    assertEquals(server.requests.length, 1);
  });
}

Deno.test("artifact: 429 and 5xx are tried again, a bounded number of times", async () => {
  await using server = startArtifactServer();
  server.files.set("f", bytes("ok"));
  const answers = [429, 503, 500];
  server.fault = () => {
    const status = answers.shift();
    if (status === undefined) return undefined;
    return new Response("busy", { status, headers: status === 429 ? { "retry-after": "0" } : {} });
  };
  assertEquals(await sourceOf(server.url).readText("f"), "ok");
  assertEquals(server.requests.length, 4);

  server.fault = () => new Response("busy", { status: 429 });
  await assertRejects(() => sourceOf(server.url).readText("f"), WorkerError, "limits the rate");
  assertEquals(server.requests.length, 8);
});

Deno.test("artifact: retry-after is read as seconds or as a date, and bounded", () => {
  assertEquals(retryAfter("2"), 2000);
  assertEquals(retryAfter("99999"), 30_000);
  assertEquals(retryAfter("Thu, 01 Jan 1970 00:00:05 GMT", 1000), 4000);
  assertEquals(retryAfter("soon"), undefined);
  assertEquals(retryAfter(null), undefined);
});

Deno.test("artifact: a lost body is resumed where it ended", async () => {
  await using server = startArtifactServer();
  const content = crypto.getRandomValues(new Uint8Array(50_000));
  server.files.set("f", content);
  let faults = 2;
  server.fault = (_, request) => {
    if (faults-- <= 0) return undefined;
    const start = Number(/\d+/.exec(request.headers.get("range") ?? "")?.[0] ?? 0);
    const rest = content.slice(start);
    const response = truncated(rest, 20_000, { etag: '"f"' });
    return start === 0
      ? response
      : new Response(response.body, { status: 206, headers: { etag: '"f"' } });
  };
  const file = await sourceOf(server.url).open("f");
  assertEquals(await new Response(file.body).bytes(), content);
  const ranges = server.requests.map((request) => request.headers.get("range"));
  assertEquals(ranges[0], null);
  assert(ranges.length >= 2 && ranges.slice(1).every((range) => range?.startsWith("bytes=")));
});

Deno.test("artifact: a server that ignores ranges still gives the right bytes", async () => {
  await using server = startArtifactServer();
  const content = crypto.getRandomValues(new Uint8Array(30_000));
  server.files.set("f", content);
  server.fault = (_, request) =>
    request.headers.has("range") ? new Response(content) : truncated(content, 10_000);
  const file = await sourceOf(server.url).open("f");
  assertEquals(await new Response(file.body).bytes(), content);
});

Deno.test("artifact: a body that never gets anywhere ends as a typed error", async () => {
  await using server = startArtifactServer();
  server.fault = () => truncated(bytes("abcdef"), 0);
  await assertRejects(
    () => sourceOf(server.url).readText("f"),
    WorkerError,
    '"f" of artifact ws/app',
  );
});

Deno.test("artifact: a file that changes while it is read is refused", async () => {
  await using server = startArtifactServer();
  const content = new Uint8Array(30_000);
  server.files.set("f", content);
  server.fault = (_, request) =>
    request.headers.has("range") ? undefined : truncated(content, 10_000, { etag: '"old"' });
  await assertRejects(() => sourceOf(server.url).readText("f"), WorkerError, "changed while");
});

Deno.test("artifact: a silent server is given up", async () => {
  await using server = startArtifactServer();
  server.fault = () => {
    let started = false;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (started) return new Promise(() => {});
        started = true;
        controller.enqueue(bytes("ab"));
      },
    });
    return new Response(body, { headers: { "content-length": "6" } });
  };
  const source = sourceOf(server.url, { timeout: 100, attempts: 2 });
  await assertRejects(() => source.readText("f"), WorkerError, "stopped sending");
});

Deno.test("artifact: redirects lose the token and reach no other kind of address", async () => {
  await using server = startArtifactServer();
  server.files.set("g", bytes("redirected"));
  server.fault = (path) =>
    path === "f"
      ? new Response(null, { status: 307, headers: { location: "./g?signature=1" } })
      : undefined;
  assertEquals(await sourceOf(server.url).readText("f"), "redirected");
  assertEquals(server.requests[1]?.headers.get("authorization"), null);

  server.fault = () =>
    new Response(null, { status: 307, headers: { location: "file:///etc/hosts" } });
  await assertRejects(
    () => sourceOf(server.url, { attempts: 1 }).readText("f"),
    WorkerError,
    "redirects to a file:",
  );
});

Deno.test("artifact: an address that is not http is refused", () => {
  assertThrows(() => sourceOf("file:///etc"), WorkerError, "neither http nor https");
  assertThrows(() => sourceOf("nonsense"), WorkerError, "not a URL");
});

Deno.test("artifact: a listing with names that are paths is refused", async () => {
  for (const name of ["../x", "a/b", "..", "", "a\\b"]) {
    await using server = startArtifactServer();
    server.fault = () => Response.json([{ type: "file", name, size: 1 }]);
    await assertRejects(
      () => Array.fromAsync(sourceOf(server.url).list("d")),
      WorkerError,
      "unusable item",
    );
  }
});

Deno.test("artifact: the signal stops waits between tries", async () => {
  await using server = startArtifactServer();
  server.fault = () => new Response("", { status: 503, headers: { "retry-after": "20" } });
  const reason = new Error("stop now");
  const signal = AbortSignal.any([AbortSignal.timeout(50)]);
  const error = await assertRejects(() => sourceOf(server.url).readText("f", { signal }));
  assertEquals(error, signal.reason);
  await assertRejects(
    () => sourceOf(server.url).readText("f", { signal: AbortSignal.abort(reason) }),
    Error,
    "stop now",
  );
});
