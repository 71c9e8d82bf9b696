import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { EnvironmentAdmin } from "../../lib/environments/admin.ts";
import { WorkerError } from "../../lib/errors.ts";
import { createLogger, silentLogger } from "../../lib/log.ts";
import { Switchboard } from "../../lib/interpreter/switchboard.ts";
import { registerWorker } from "../../lib/service/register.ts";
import type { Kernels } from "../../lib/worker/kernels.ts";
import { workerMethods } from "../../lib/worker/methods.ts";
import { Worker } from "../../lib/worker/worker.ts";
import { fakeServer } from "./fake_server.ts";

/** A small generator with a seed, so that what was found can be found again (mulberry32). */
function randomFrom(seed: number): () => number {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}

const TEXTS = [
  "",
  " ",
  ".",
  "..",
  "../../etc/passwd",
  "/etc/passwd",
  "ws-1/../../x",
  "ws-1/ok",
  "ws-2/other",
  "ok",
  "a".repeat(5000),
  "x\0y",
  "x\ny",
  "\u202eevil",
  "\ud800",
  "😀/../😀",
  "-p",
  "--prefix=/etc",
  "$(touch /tmp/hostile-was-here)",
  "`touch /tmp/hostile-was-here`",
  "; touch /tmp/hostile-was-here",
  "| sh",
  "python=3.11",
  "python; rm -rf /",
  "git+https://user:secret-password@example.org/x",
  "https://user:secret-password@example.org/channel",
  "file:///etc",
  "conda-forge",
  "data/:../../out/",
  "data/:/etc/",
  "a:b:c",
  "%2e%2e%2f",
  "C:\\windows",
  "__proto__",
  "constructor",
  "toString",
  "NaN",
  "{{7*7}}",
  "!!python/object/apply:os.system ['touch /tmp/hostile-was-here']",
  "a: &a [*a, *a]",
  "- " + "[".repeat(2000),
  "http://169.254.169.254/latest/meta-data",
  "conda-jupyter-kernel",
];
const NUMBERS = [0, -1, 1, 1.5, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, Infinity, -Infinity, NaN];
const KEYS = [
  "id",
  "workspace",
  "app_id",
  "client_id",
  "artifact_id",
  "server_url",
  "token",
  "timeout",
  "manifest",
  "entry_point",
  "dependencies",
  "channels",
  "pip",
  "environment",
  "environment_yml",
  "conda",
  "files_to_stage",
  "files_to_save",
  "version",
  "type",
  "limits",
  "memory",
  "cpu_time",
  "env",
  "startup_config",
  "execution_id",
  "silent",
  "store_history",
  "disable_ssl",
  "context",
  "__proto__",
  "_rtype",
  "constructor",
];

class Generator {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  value(depth = 0): unknown {
    switch (this.below(depth > 4 ? 6 : 9)) {
      case 0:
      case 1:
        return this.pick(TEXTS);
      case 2:
        return this.pick(NUMBERS);
      case 3:
        return this.pick([true, false, null, undefined]);
      case 4:
        return this.pick([
          new Uint8Array(3),
          new Date(NaN),
          new Map([["a", 1]]),
          new Set([1]),
          () => "called",
          10n,
          Symbol("s"),
          Object.create(null),
        ]);
      case 5:
        return this.pick([[], {}, [[]], [null], [{}]]);
      case 6:
        return Array.from({ length: this.below(4) }, () => this.value(depth + 1));
      default:
        return this.object(depth + 1);
    }
  }
  object(depth: number): Record<string, unknown> {
    const entries = Array.from(
      { length: this.below(6) },
      () => [this.pick(KEYS), this.value(depth)] as const,
    );
    return Object.fromEntries(entries);
  }
  /** A good start with one or two things that are not. */
  start(): Record<string, unknown> {
    const manifest: Record<string, unknown> = {
      type: "conda-jupyter-kernel",
      dependencies: ["python=3.11"],
    };
    const config: Record<string, unknown> = { id: "ws-1/s", workspace: "ws-1", manifest };
    const target = this.pick([config, manifest]);
    for (let n = this.below(3); n > 0; n--) target[this.pick(KEYS)] = this.value(2);
    return config;
  }
  context(): unknown {
    const user = {
      id: this.pick(["u", "root", "", null]),
      is_anonymous: this.pick([false, true, null, "no"]),
      roles: this.pick([[], ["admin"], "admin", null]),
      scope: { workspaces: { [this.pick(["ws-1", "*", "ws-2"])]: this.pick(["a", "r", null]) } },
    };
    return this.pick<unknown>([
      { from: "ws-1/c", ws: "ws-1", user: { id: "u", is_anonymous: false, roles: [] } },
      { from: "ws-1/c", ws: "ws-1", user },
      { from: "public/c", ws: "public", user },
      { from: "ws-2/c", ws: "ws-2", user },
      {},
      null,
    ]);
  }
}

/** Everything below a directory. */
async function tree(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    found.push(entry.name);
    if (entry.isDirectory) {
      found.push(...(await tree(join(directory, entry.name))).map((p) => `${entry.name}/${p}`));
    }
  }
  return found.sort();
}

const ROUNDS = 2000;

Deno.test("whatever arrives is refused with a code or harmless: no fault, no process, no path outside", async () => {
  const directory = await Deno.makeTempDir({ prefix: "hostile-" });
  try {
    const faults: string[] = [];
    const log = createLogger({ level: "error", write: (line) => faults.push(line) });
    let wanted = 0;
    let stopped = 0;
    await using switchboard = await Switchboard.open(directory, silentLogger);
    const before = await tree(directory);
    // Fakes: the test ends where an environment would be built, and no kernel can be asked for.
    const environments = {
      acquire: () => {
        wanted++;
        return Promise.reject(new WorkerError("environment_cancelled", "Cannot build: a test"));
      },
    };
    await using worker = new Worker({
      environments,
      kernels: {
        use: () => Promise.reject(new Error("no kernel may be started")),
        endIdle: () => Promise.resolve(),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      } as unknown as Kernels,
      switchboard,
      workingDirectory: join(directory, "sessions"),
      log: silentLogger,
    });
    const fake = fakeServer();
    const methods = workerMethods({
      worker,
      environments,
      admin: new EnvironmentAdmin({ directory: join(directory, "cache"), log }),
      rules: { workspace: "ws-1", public: false, authorizedWorkspaces: ["ws-3"] },
      // Nobody listens there: what would be fetched fails.
      serverUrl: "http://127.0.0.1:1",
      token: "the-token-of-the-worker",
      disableSsl: false,
      limits: { resources: {} },
      onShutdown: () => stopped++,
    });
    await registerWorker(fake.server, {
      methods,
      info: { id: "conda", name: "w", description: "", supportedTypes: ["t"] },
      log,
    });
    const outcomes = new Map<string, number>();
    const calls = [];
    for (let seed = 1; seed <= ROUNDS; seed++) {
      const generator = new Generator(seed);
      const likely = generator.below(2) === 0;
      const method = likely
        ? methods.find((one) => one.name === "start")!
        : generator.pick(methods);
      const args = likely
        ? [generator.start()]
        : method.parameters.slice(generator.below(2)).map(() => generator.value());
      const kwargs = !likely && generator.below(3) === 0
        ? Object.fromEntries(
          method.parameters.map((parameter) => [parameter.name, generator.value()]),
        )
        : undefined;
      const context = generator.context();
      calls.push(
        fake.call(method.name, kwargs === undefined ? args : [], kwargs, context).then(
          () => "ok",
          (error: unknown) => {
            assert(error instanceof Error, `seed ${seed}: ${method.name} threw no error`);
            assert(error.message.length > 10, `seed ${seed}: no message`);
            assert(
              !/secret-password|the-token-of-the-worker/.test(error.message),
              `seed ${seed}: ${method.name} repeats a secret: ${error.message}`,
            );
            return error.name;
          },
        ).then((outcome) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)),
      );
      if (calls.length % 50 === 0) await Promise.all(calls);
    }
    await Promise.all(calls);
    assertEquals(faults, [], "these were faults of the worker");
    assertEquals(worker.sessions.length, 0);
    assertEquals((await tree(directory)).filter((path) => path !== "sessions"), before);
    const outside = await Deno.stat("/tmp/hostile-was-here").then(() => true, () => false);
    assertEquals(outside, false, "a text was run as a command");
    // The generator is worth something only if it gets to all depths.
    assert(wanted > 10, `only ${wanted} starts came as far as the environment`);
    assert((outcomes.get("ok") ?? 0) > 10);
    assert((outcomes.get("InvalidArgumentError") ?? 0) > 100);
    assert((outcomes.get("PermissionDeniedError") ?? 0) > 10);
    void stopped;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
