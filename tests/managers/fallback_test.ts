/** What happens when a manager is broken and there are others. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { detectManager } from "../../lib/managers/detect.ts";
import { FallbackManager } from "../../lib/managers/fallback.ts";
import type { Manager } from "../../lib/managers/manager.ts";
import type { Progress } from "../../lib/progress.ts";
import type { ManagerFaults } from "../stack/stack.ts";
import { Double } from "./double.ts";

/** Remembers warnings. */
class Warnings implements Logger {
  readonly lines: string[] = [];
  debug(): void {}
  info(): void {}
  error(): void {}
  warning(message: string, fields: Record<string, unknown> = {}): void {
    this.lines.push(`${message} ${JSON.stringify(fields)}`);
  }
}

/** A mamba with faults before a healthy conda. */
class Pair implements AsyncDisposable {
  readonly log = new Warnings();
  private constructor(readonly mamba: Double, readonly conda: Double) {}

  static async install(faults: ManagerFaults): Promise<Pair> {
    return new Pair(await Double.install("mamba", faults), await Double.install("conda"));
  }

  detect(now?: () => number): Promise<Manager> {
    const options = {
      runtimeDirectory: join(this.mamba.cache, "runtime"),
      log: this.log,
      env: { ...Deno.env.toObject(), PATH: `${this.mamba.bin}:${this.conda.bin}:/usr/bin:/bin` },
      pause: () => Promise.resolve(),
    };
    return now === undefined ? detectManager(options) : detectManager({ ...options, now });
  }

  async calls(): Promise<[mamba: number, conda: number]> {
    return [await this.mamba.calls("create"), await this.conda.calls("create")];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mamba[Symbol.asyncDispose]();
    await this.conda[Symbol.asyncDispose]();
  }
}

const BROKEN: readonly (readonly [name: string, faults: ManagerFaults])[] = [
  ["crashes", { crash: 11 }],
  ["is killed", { kill_after_links: 1 }],
  ["does not know our options", { usage_error: true }],
  ["meets a fault of its own", { internal_error: true }],
  ["lies", { lie: true }],
  ["cannot start programs", { commands: ["run"], crash: 6 }],
];

for (const [name, faults] of BROKEN) {
  Deno.test(`when the first manager ${name} the next one does its work, and the log says so`, async () => {
    await using pair = await Pair.install(faults);
    const manager = await pair.detect();
    const told: Progress[] = [];
    const request = {
      ...pair.mamba.request("toy-data"),
      onProgress: (progress: Progress) => told.push(progress),
    };
    const maker = await manager.create(request);
    assertEquals([maker.kind, maker.family], ["conda", "conda"]);
    // What the worker says of itself, and the keys of environments, stay as they were.
    assertEquals([manager.kind, manager.family], ["mamba", "libmamba"]);
    assertEquals(await pair.mamba.packages(), ["toy-data-1.0"]);
    assertEquals(pair.log.lines.length, 1, pair.log.lines.join("\n"));
    assertStringIncludes(pair.log.lines[0]!, '"manager":"mamba","next":"conda"');
    assert(told.some(({ message }) => message === "mamba does not work; trying conda"));
    const execution = await manager.execute(request.prefix, ["sh", "-c", "echo up"]);
    assertEquals(execution.stdout, ["up"]);

    // A broken one is left alone for a while.
    const [mamba] = await pair.calls();
    await Deno.remove(request.prefix, { recursive: true });
    await manager.create(request);
    assertEquals(await pair.calls(), [mamba, 2]);
    assertEquals(pair.log.lines.length, 1);
  });
}

Deno.test("failures that every manager would have are not given to the next", async () => {
  await using pair = await Pair.install({});
  const manager = await pair.detect();
  const attempt = async (faults: ManagerFaults, ...packages: string[]) => {
    await pair.mamba.setFaults(faults);
    const request = pair.mamba.request(...packages);
    await Deno.remove(request.prefix, { recursive: true }).catch(() => {});
    return (await assertRejects(() => manager.create(request), WorkerError)).code;
  };
  assertEquals(await attempt({}, "nosuchpkg"), "package_not_found");
  assertEquals(await attempt({}, "toy-b", "toy-conflict"), "solver_conflict");
  assertEquals(await attempt({ gone: true }, "toy-data"), "package_unavailable");
  assertEquals(await attempt({ disk_full_after_links: 0 }, "toy-data"), "disk_full");
  assertEquals(await attempt({ network: true }, "toy-data"), "network");
  assertEquals((await pair.calls())[1], 0);
  // The other one was not even looked at.
  assertEquals(await pair.conda.calls(), 0);
});

Deno.test("when every manager is broken the error is that of the first, and they stay in use", async () => {
  await using pair = await Pair.install({ internal_error: true });
  await pair.conda.setFaults({ crash: 11 });
  const manager = await pair.detect();
  const request = pair.mamba.request("toy-data");
  for (const calls of [1, 2]) {
    const error = await assertRejects(() => manager.create(request), WorkerError);
    assertEquals(error.code, "manager_failed");
    assertStringIncludes(error.message, "with mamba: std::bad_alloc");
    assertEquals(await pair.calls(), [calls, calls]);
  }
  await pair.mamba.setFaults({});
  assertEquals((await manager.create(request)).kind, "mamba");
});

Deno.test("a broken manager is tried again later, and used again when it works", async () => {
  await using pair = await Pair.install({ crash: 11 });
  let now = 0;
  const manager = await pair.detect(() => now);
  const request = pair.mamba.request("toy-data");
  const create = async () => {
    await Deno.remove(request.prefix, { recursive: true }).catch(() => {});
    return (await manager.create(request)).kind;
  };
  assertEquals(await create(), "conda");
  await pair.mamba.setFaults({});
  assertEquals(await create(), "conda");
  now += 10 * 60_000;
  assertEquals(await create(), "mamba");
});

Deno.test("a manager whose program is gone is a broken one", async () => {
  await using pair = await Pair.install({});
  const manager = await pair.detect();
  await Deno.remove(join(pair.mamba.bin, "mamba"));
  const request = pair.mamba.request("toy-data");
  assertEquals((await manager.create(request)).kind, "conda");
  const options = { stdin: "null", stdout: "piped", stderr: "null" } as const;
  const child = await manager.run(request.prefix, ["sh", "-c", "echo up"], options);
  assertEquals(await new Response(child.stdout).text(), "up\n");
  assertEquals((await child.status).code, 0);
  await using alone = await Double.install("mamba");
  const only = await alone.detect();
  await Deno.remove(join(alone.bin, "mamba"));
  const error = await assertRejects(
    () => only.execute("/nonexistent", ["sh", "-c", "true"]),
    WorkerError,
  );
  assertEquals(error.code, "manager_failed");
  assertStringIncludes(error.message, "Cannot start mamba");
  await assertRejects(
    () => only.run("/nonexistent", ["sh"], options),
    WorkerError,
    "Cannot start mamba",
  );
});

Deno.test("two who need the next manager at the same time both get it", async () => {
  await using pair = await Pair.install({ crash: 11 });
  const manager = await pair.detect();
  assert(manager instanceof FallbackManager);
  const kinds = await Promise.all(["one", "two"].map(async (name) => {
    const request = pair.mamba.request("toy-data");
    const packageCache = join(pair.mamba.directory, name, "pkgs");
    const prefix = join(pair.mamba.directory, name, "prefix");
    return (await manager.create({ ...request, prefix, packageCache })).kind;
  }));
  assertEquals(kinds, ["conda", "conda"]);
});

Deno.test("two documents in one output are no success", async () => {
  await using double = await Double.install("conda", { two_documents: true, times: 1 });
  const manager = await double.detect();
  const request = double.request("toy-data");
  const error = await assertRejects(() => manager.create(request), WorkerError);
  assertEquals(error.code, "manager_failed", error.message);
  await Deno.remove(request.prefix, { recursive: true });
  await manager.create(request);
});
