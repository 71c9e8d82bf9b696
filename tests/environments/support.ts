/** What the tests of the environment cache share. */
import { fromFileUrl } from "@std/path";
import { EnvironmentStore } from "../../lib/environments/store.ts";
import { type EnvironmentSpec, parseSpec } from "../../lib/environments/spec.ts";
import { silentLogger } from "../../lib/log.ts";
import { readLines } from "../../lib/managers/lines.ts";
import type { ManagerKind } from "../../lib/managers/manager.ts";
import { CHANNEL, Double } from "../managers/double.ts";
import type { ManagerFaults } from "../stack/stack.ts";

/** Permissions of the worker, as its start task has them, but for the network and the system. */
const PERMISSIONS = [
  "--allow-run=mamba,micromamba,conda",
  "--allow-read",
  "--allow-write",
  "--allow-env",
];

/** A double with a cache that uses it. */
export class Cache implements AsyncDisposable {
  readonly double: Double;
  readonly store: EnvironmentStore;

  private constructor(double: Double, store: EnvironmentStore) {
    this.double = double;
    this.store = store;
  }

  /** Makes a cache. */
  static async make(kind: ManagerKind, faults: ManagerFaults = {}): Promise<Cache> {
    const double = await Double.install(kind, faults);
    return new Cache(double, await Cache.#store(double));
  }

  static async #store(double: Double): Promise<EnvironmentStore> {
    const manager = await double.detect();
    return new EnvironmentStore({ directory: double.cache, manager, log: silentLogger });
  }

  /** A second store of the same directory, as another worker would have it. */
  another(): Promise<EnvironmentStore> {
    return Cache.#store(this.double);
  }

  /** Names in a directory of the cache. */
  async list(directory: string): Promise<string[]> {
    const names: string[] = [];
    for await (const entry of Deno.readDir(directory)) names.push(entry.name);
    return names.sort();
  }

  /** Starts a worker process that acquires an environment. */
  worker(manifest: Record<string, unknown>): WorkerProcess {
    return new WorkerProcess(this.double, manifest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.double[Symbol.asyncDispose]();
  }
}

/** A worker in a process of its own. */
export class WorkerProcess {
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;
  /** What it printed so far. */
  readonly lines: string[] = [];

  constructor(double: Double, manifest: Record<string, unknown>) {
    const script = fromFileUrl(new URL("./worker_process.ts", import.meta.url));
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        ...PERMISSIONS,
        script,
        double.cache,
        JSON.stringify({ channels: [CHANNEL], ...manifest }),
      ],
      env: { ...double.env, LD_LIBRARY_PATH: "/nonexistent" },
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#read = readLines(this.#child.stdout, (line) => this.lines.push(line));
  }

  /** Kills it as the kernel would. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.end();
  }

  /** Waits until it has ended by itself. */
  async end(): Promise<void> {
    await this.#child.stdin.close().catch(() => {});
    await this.#child.status;
    await this.#read;
  }
}

/** A spec with packages from the channel of the stack. */
export function spec(...dependencies: unknown[]): EnvironmentSpec {
  return parseSpec({ dependencies: ["python=3.11", ...dependencies], channels: [CHANNEL] });
}
