import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { KubernetesClient } from "../../../lib/kubernetes/api/client.ts";
import { KubernetesError } from "../../../lib/kubernetes/api/errors.ts";
import { exec, type ExecOptions, type Execution } from "../../../lib/kubernetes/api/exec.ts";
import { pods } from "../../../lib/kubernetes/api/resource_path.ts";
import { FakeApiServer } from "../fake_api_server.ts";

/** A server with the pod `p`, and a client. */
async function withPod() {
  const stack = new AsyncDisposableStack();
  const server = stack.use(FakeApiServer.start());
  const configuration = stack.use(await server.configuration());
  const client = stack.use(new KubernetesClient(configuration, { backOff: 1 }));
  server.create(pods("here"), { metadata: { name: "p" } });
  const run = (options: Partial<ExecOptions> = {}) =>
    exec(client, "here", "p", { command: ["true"], ...options });
  return { server, client, run, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream).text();
}

/** Everything about a command. */
async function all(execution: Execution) {
  using _ = execution;
  const [stdout, stderr, status] = await Promise.all([
    textOf(execution.stdout),
    textOf(execution.stderr),
    execution.status,
  ]);
  return { stdout, stderr, status };
}

Deno.test("a command gets its arguments, and gives its output and exit code", async () => {
  await using it = await withPod();
  it.server.onExec = (exec) => {
    exec.stdout(`${exec.container}: ${JSON.stringify(exec.command)}`);
    exec.stderr("warning");
    exec.channel(1, "");
    exec.exit(3);
  };
  const command = ["sh", "-c", "echo 'ä' & exit 3"];
  assertEquals(await all(it.run({ command, container: "main" })), {
    stdout: `main: ${JSON.stringify(command)}`,
    stderr: "warning",
    status: { exitCode: 3 },
  });
  assertEquals(it.server.count(/stdin=false&stdout=true&stderr=true/), 1);
});

for (const protocol of ["v5.channel.k8s.io", "v4.channel.k8s.io"]) {
  Deno.test(`a command reads its input, over ${protocol}`, async () => {
    await using it = await withPod();
    it.server.protocols = [protocol];
    let spoken = "";
    const size = 100_000;
    it.server.onExec = async (exec) => {
      spoken = exec.protocol;
      let read = 0;
      const reader = exec.stdin.getReader();
      // Only the newer protocol has an end of the input.
      while (protocol.startsWith("v5") || read < size) {
        const { done, value } = await reader.read();
        if (done) break;
        read += value.length;
      }
      exec.stdout(String(read));
      exec.exit(0);
    };
    const stdin = ReadableStream.from([new Uint8Array(1), new Uint8Array(size - 1)]);
    assertEquals(await all(it.run({ stdin })), {
      stdout: String(size),
      stderr: "",
      status: { exitCode: 0 },
    });
    assertEquals(spoken, protocol);
  });
}

Deno.test("an API that speaks neither protocol is told of", async () => {
  await using it = await withPod();
  it.server.protocols = [];
  const error = await assertRejects(() => it.run().status, KubernetesError, "unable to upgrade");
  assertEquals(error.status, 400);
});

Deno.test("output that was not read yet is there after the command's end", async () => {
  await using it = await withPod();
  it.server.onExec = (exec) => {
    exec.stdout("a");
    exec.stderr("b");
    exec.stdout("c");
    exec.exit(0);
  };
  using execution = it.run();
  assertEquals(await execution.status, { exitCode: 0 });
  assertEquals(await textOf(execution.stdout), "ac");
  assertEquals(await textOf(execution.stderr), "b");
});

Deno.test("bytes that are not UTF-8 come as they are", async () => {
  await using it = await withPod();
  const bytes = Uint8Array.of(0, 0xff, 0xc3, 1);
  it.server.onExec = (exec) => {
    exec.stdout(bytes);
    exec.exit(0);
  };
  using execution = it.run();
  assertEquals(await new Response(execution.stdout).bytes(), bytes);
  await execution.stderr.cancel();
});

Deno.test("much output comes whole and in order, in messages of every size", async () => {
  await using it = await withPod();
  const sizes = [0, 1, 124, 125, 126, 65_533, 65_534, 65_535, 1_000_000];
  it.server.onExec = (exec) => {
    sizes.forEach((size, index) => exec.stdout(new Uint8Array(size).fill(index)));
    exec.exit(0);
  };
  using execution = it.run();
  const [bytes] = await Promise.all([
    new Response(execution.stdout).bytes(),
    execution.stderr.cancel(),
  ]);
  assertEquals(bytes.length, sizes.reduce((sum, size) => sum + size));
  let at = 0;
  sizes.forEach((size, index) => {
    const wrong = bytes.subarray(at, at += size).findIndex((byte) => byte !== index);
    assertEquals(wrong, -1, `message ${index}`);
  });
});

Deno.test("a command that cannot be run says why, and has no exit code", async () => {
  await using it = await withPod();
  it.server.onExec = (exec) =>
    exec.end({
      status: "Failure",
      reason: "InternalError",
      message: 'exec: "nothing": executable file not found in $PATH',
      code: 500,
    });
  const { status } = await all(it.run());
  assertEquals(status.exitCode, undefined);
  assertStringIncludes(status.message!, "executable file not found");
  it.server.onExec = (exec) => {
    exec.channel(3, "plain words");
    exec.close();
  };
  assertStringIncludes((await all(it.run())).status.message!, "plain words");
});

Deno.test("refusals have the API's status and reason; a connection that could not begin is tried again", async () => {
  await using it = await withPod();
  it.server.fail(/exec/, () => new Response("no entry", { status: 403 }));
  const refused = await assertRejects(() => it.run().status, KubernetesError, "no entry");
  assertEquals([refused.status, refused.reason], [403, "Forbidden"]);
  const busy = () => new Response("busy", { status: 429, headers: { "retry-after": "0" } });
  it.server.fail(/exec/, busy);
  assertEquals(await it.run().status, { exitCode: 0 });
  it.server.remove(pods("here", "p"));
  const execution = it.run();
  const gone = await assertRejects(() => execution.status, KubernetesError);
  assertEquals(gone.reason, "NotFound");
  await assertRejects(() => textOf(execution.stdout), KubernetesError);
});

Deno.test("a connection that ends without a word of the command's end is a failure", async () => {
  await using it = await withPod();
  it.server.onExec = (exec) => {
    exec.stdout("until here");
    exec.close();
  };
  using execution = it.run();
  const reader = execution.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "until here");
  await assertRejects(() => reader.read(), KubernetesError, "closed before the command's end");
  await assertRejects(() => execution.status, KubernetesError, "closed before the command's end");
  it.server.onExec = () => {};
  const broken = it.run();
  const failed = assertRejects(() => broken.status, KubernetesError);
  await it.server.arrival(/exec/);
  const back = await it.server.stop();
  assertEquals((await failed).reason, "Unreachable");
  back();
});

Deno.test("a signal, disposing, and the client's end close the connection, whenever they come", async () => {
  await using it = await withPod();
  let opened = Promise.withResolvers<void>();
  const closed: Promise<void>[] = [];
  it.server.onExec = async (exec) => {
    closed.push(exec.closed);
    opened.resolve();
    await exec.closed;
  };
  const stop = new AbortController();
  const first = it.run({ signal: stop.signal });
  const reading = assertRejects(() => textOf(first.stdout), RangeError, "enough");
  await opened.promise;
  stop.abort(new RangeError("enough"));
  await assertRejects(() => first.status, RangeError, "enough");
  await reading;
  await assertRejects(() => it.run({ signal: stop.signal }).status, RangeError, "enough");

  opened = Promise.withResolvers();
  const second = it.run();
  await opened.promise;
  second[Symbol.dispose]();
  const error = await assertRejects(() => second.status, KubernetesError);
  assertEquals(error.reason, "Closed");

  const third = it.run();
  third[Symbol.dispose]();
  await assertRejects(() => third.status, KubernetesError);

  opened = Promise.withResolvers();
  const fourth = it.run();
  await opened.promise;
  it.client[Symbol.dispose]();
  await assertRejects(() => fourth.status, KubernetesError);
  await Promise.all(closed);
});

Deno.test("an input that fails ends the command's connection, as it must not look like its end", async () => {
  await using it = await withPod();
  it.server.onExec = async (exec) => {
    await exec.closed;
  };
  const stdin = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.error(new Error("the input broke"));
    },
  });
  await assertRejects(() => it.run({ stdin }).status, KubernetesError);
});

Deno.test("a command that ends before it has read its input is no failure", async () => {
  await using it = await withPod();
  it.server.onExec = (exec) => exec.exit(0);
  const stdin = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
  assertEquals(await it.run({ stdin }).status, { exitCode: 0 });
});
