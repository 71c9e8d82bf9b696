/** Commands in the container of a session. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { WorkerError } from "../../../lib/errors.ts";
import type { FakeExec } from "../fake_api_server.ts";
import { Bench, ended, JOB, member, OPERATOR, runs } from "./support.ts";

type Result = {
  status: string;
  outputs: { type: string; name: string; text: string }[];
  error: { ename: string; evalue: string; traceback: string[] } | null;
  stdout: string;
  stderr: string;
  exit_code: number | null;
  truncated: boolean;
};

/** What a shell says first: the process id behind the mark it was given. */
function sayPid(exec: FakeExec, pid: number): void {
  exec.stderr(`${exec.command[3]} ${pid}\n`);
}

Deno.test("a text is run by a shell, a list as it is; output is streamed and returned", async () => {
  await using bench = await Bench.start();
  const { pod } = await bench.running(JOB, { id: "s" });
  const commands: string[][] = [];
  bench.api.onExec = (exec) => {
    commands.push(exec.command);
    assertEquals([exec.pod, exec.container], [pod, "main"]);
    if (exec.command[0] === "/bin/sh") sayPid(exec, 42);
    exec.stdout("out\n");
    exec.stderr("err\n");
    exec.stdout("more");
    exec.exit(0);
  };
  const streamed: unknown[] = [];
  const result = await bench.call<Result>("execute", {
    "session_id": "s",
    script: "echo out",
    "output_callback": (output: unknown) => void streamed.push(output),
  });
  assertEquals([result.status, result.error, result.exit_code], ["ok", null, 0]);
  assertEquals([result.stdout, result.stderr], ["out\nmore", "err\n"]);
  const joined = (outputs: unknown[], name: string) =>
    (outputs as Result["outputs"]).filter((one) => one.name === name).map((one) => one.text).join(
      "",
    );
  for (const name of ["stdout", "stderr"]) {
    assertEquals(joined(streamed, name), joined(result.outputs, name));
  }
  await bench.call("execute", { "session_id": "s", script: ["python", "-c", "print(1)"] });
  assertEquals(commands[0]!.slice(0, 2), ["/bin/sh", "-c"]);
  assertEquals(commands[0]!.at(-1), "echo out");
  assertEquals(commands[1], ["python", "-c", "print(1)"]);
});

Deno.test("a command that fails is a result", async () => {
  await using bench = await Bench.start();
  await bench.running(JOB, { id: "s" });
  bench.api.onExec = (exec) => {
    exec.stderr("no such thing\n");
    exec.exit(3);
  };
  const result = await bench.call<Result>("execute", { "session_id": "s", script: "false" });
  assertEquals([result.status, result.exit_code], ["error", 3]);
  assertEquals(result.error, {
    ename: "CommandError",
    evalue: "The command ended with exit code 3",
    traceback: ["no such thing"],
  });
});

Deno.test("a command whose time is up, or whose caller has gone, is ended in the container", async () => {
  await using bench = await Bench.start();
  await bench.running(JOB, { id: "s" });
  const begun = Promise.withResolvers<void>();
  const killed: string[] = [];
  bench.api.onExec = async (exec) => {
    if (exec.command[2]!.includes("kill -TERM")) {
      killed.push(exec.command[3]!);
      return exec.exit(0);
    }
    sayPid(exec, 1234 + killed.length);
    exec.stdout("begun\n");
    begun.resolve();
    await exec.closed;
  };
  const result = await bench.call<Result>("execute", {
    "session_id": "s",
    script: "sleep 1000",
    config: { timeout: 0.5 },
  });
  assertEquals([result.status, result.exit_code, result.stdout], ["error", null, "begun\n"]);
  assertEquals(result.error?.ename, "TimeoutError");
  assertEquals(killed, ["1234"]);

  const caller = new AbortController();
  const heard = Promise.withResolvers<void>();
  const reason = new Error("the caller has disconnected");
  const call = bench.call("execute", {
    "session_id": "s",
    script: "sleep 1000",
    "output_callback": () => heard.resolve(),
  }, { signal: caller.signal });
  await heard.promise;
  caller.abort(reason);
  assertEquals(await assertRejects(() => call), reason);
  assertEquals(killed, ["1234", "1235"]);
});

Deno.test("a result keeps only so much output, and says so", async () => {
  await using bench = await Bench.start();
  await bench.running(JOB, { id: "s" });
  bench.api.onExec = (exec) => {
    for (let i = 0; i < 30; i++) exec.stdout("x".repeat(50_000));
    exec.exit(0);
  };
  const result = await bench.call<Result>("execute", { "session_id": "s", script: ["yes"] });
  assertEquals([result.stdout.length, result.truncated], [1_000_000, true]);
});

Deno.test("a slow callback slows the command down", async () => {
  await using bench = await Bench.start();
  await bench.running(JOB, { id: "s" });
  bench.api.onExec = (exec) => {
    for (let i = 0; i < 5; i++) exec.stdout(`${i}`);
    exec.exit(0);
  };
  let waiting = 0;
  let most = 0;
  await bench.call("execute", {
    "session_id": "s",
    script: ["count"],
    "output_callback": async () => {
      most = Math.max(most, ++waiting);
      await Promise.resolve();
      waiting--;
    },
  });
  assertEquals(most, 1);
});

Deno.test("there must be a container that runs", async () => {
  await using bench = await Bench.start();
  const { pod } = await bench.running(JOB, { id: "s" });
  bench.setPod(pod, ended(0, "Completed"));
  await bench.known("ws-a/s", (one) => one.exit_code === 0);
  const error = await assertRejects(
    () => bench.call("execute", { "session_id": "s", script: "ls" }),
    WorkerError,
  );
  assertEquals(error.code, "session_dead");
  assertMatch(error.message, /is succeeded: completed/);
});

Deno.test("a command that cannot be begun says why, and what is wrong is named", async () => {
  await using bench = await Bench.start();
  await bench.running(JOB, { id: "s" });
  bench.api.fail(/\/exec\?/, () => new Response("", { status: 403 }), 5);
  const error = await assertRejects(
    () => bench.call("execute", { "session_id": "s", script: "ls" }),
    WorkerError,
  );
  assert(["job_refused", "kubernetes_unavailable"].includes(error.code), error.code);
  for (const script of ["", [], [1], "a\0b", ["x".repeat(300_000)]]) {
    const wrong = await assertRejects(
      () => bench.call("execute", { "session_id": "s", script }),
      WorkerError,
    );
    assertEquals(wrong.code, "invalid_argument");
  }
});

Deno.test("in pods with secrets of the operator only the operator runs commands", async () => {
  await using bench = await Bench.start();
  const agent = { type: "claude-agent", service_id: "agent" };
  const started = bench.start(agent, { id: "agent" }, { caller: OPERATOR });
  const job = await bench.nextJob();
  const { container } = { container: bench.jobs()[0]!.spec!.template.spec!.containers[0]!.name };
  bench.api.startPod("jobs", job, runs(0, container));
  await started;
  const execute = (caller: typeof OPERATOR) =>
    bench.call<Result>("execute", { "session_id": "home/agent", script: ["ls"] }, { caller });
  assertEquals((await execute(OPERATOR)).status, "ok");
  const error = await assertRejects(() => execute(member("home")), WorkerError);
  assertEquals(error.code, "permission_denied");
});
