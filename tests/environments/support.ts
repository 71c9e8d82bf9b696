/** What the tests of the environment cache share. */
import { fromFileUrl, join } from "@std/path";
import { ensureDir } from "@std/fs";
import { FileLock } from "../../lib/environments/lock.ts";
import { readMeta } from "../../lib/environments/meta.ts";
import { EnvironmentStore, type EnvironmentStoreOptions } from "../../lib/environments/store.ts";
import { type EnvironmentSpec, parseSpec } from "../../lib/environments/spec.ts";
import { silentLogger } from "../../lib/log.ts";
import { readLines } from "../../lib/managers/lines.ts";
import type { ManagerKind } from "../../lib/managers/manager.ts";
import { CHANNEL, Double } from "../managers/double.ts";
import { until } from "../wait.ts";
import type { ManagerFaults } from "../stack/stack.ts";

/** Permissions of the worker, as its start task has them, but for the network and most of the system. */
const PERMISSIONS = [
  "--allow-run=mamba,micromamba,conda",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys=statfs,hostname",
];

/** What a test may say of a store. */
type StoreOptions = Partial<Omit<EnvironmentStoreOptions, "directory" | "manager">>;

/** A double with a cache that uses it. */
export class Cache implements AsyncDisposable {
  readonly double: Double;
  readonly store: EnvironmentStore;

  private constructor(double: Double, store: EnvironmentStore) {
    this.double = double;
    this.store = store;
  }

  /** Makes a cache. */
  static async make(
    kind: ManagerKind,
    faults: ManagerFaults = {},
    options: StoreOptions = {},
  ): Promise<Cache> {
    const double = await Double.install(kind, faults);
    return new Cache(double, await Cache.#store(double, options));
  }

  static async #store(double: Double, options: StoreOptions): Promise<EnvironmentStore> {
    const manager = await double.detect();
    return new EnvironmentStore({
      directory: double.cache,
      manager,
      log: silentLogger,
      ...options,
    });
  }

  /** A second store of the same directory, as another worker would have it. */
  another(options: StoreOptions = {}): Promise<EnvironmentStore> {
    return Cache.#store(this.double, options);
  }

  /** Names of the environments that are there, complete or not. */
  async environments(): Promise<string[]> {
    const names = await this.list(this.store.layout.environments);
    return names.filter((name) => /^[0-9a-f]{16}(?:-\d)?$/.test(name));
  }

  /** Builds an environment, gives it back, and waits until the worker itself has finished with it. */
  async build(...dependencies: unknown[]): Promise<string> {
    const lease = await this.store.acquire(spec(...dependencies));
    await lease.release();
    await until(
      async () => (await readMeta(this.store.layout.meta(lease.key)))?.bytes !== undefined,
      "the modules are compiled and the size is known",
    );
    await this.idle(lease.key);
    return lease.key;
  }

  /** Waits until nobody holds the lock of an environment. */
  async idle(key: string): Promise<void> {
    await until(async () => {
      using lock = await FileLock.try(this.store.layout.lock(key), "exclusive");
      return lock !== undefined;
    }, "the environment is not in use");
  }

  /** Names in a directory of the cache. */
  async list(directory: string): Promise<string[]> {
    const names: string[] = [];
    for await (const entry of Deno.readDir(directory)) names.push(entry.name);
    return names.sort();
  }

  /** Starts a worker process that acquires environments, all at once. */
  worker(...manifests: Record<string, unknown>[]): WorkerProcess {
    return new WorkerProcess(this.double, manifests);
  }

  /** Starts one to which the cache is read-only; `undefined` where that cannot be had. */
  async readOnlyWorker(
    ...manifests: Record<string, unknown>[]
  ): Promise<WorkerProcess | undefined> {
    const runtime = join(this.double.directory, "elsewhere");
    await ensureDir(runtime);
    const env = { WORKER_RUNTIME: runtime };
    if (Deno.uid() !== 0) {
      await new Deno.Command("chmod", { args: ["-R", "a-w", this.double.cache] }).output();
      return new WorkerProcess(this.double, manifests, { env });
    }
    // Nothing is read-only to root but a mount.
    const mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"';
    const wrapper = ["unshare", "-m", "sh", "-c", `${mount} && exec "$@"`, this.double.cache];
    const { success } = await new Deno.Command(wrapper[0]!, {
      args: [...wrapper.slice(1), "true"],
    }).output();
    return success ? new WorkerProcess(this.double, manifests, { wrapper, env }) : undefined;
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

  constructor(
    double: Double,
    manifests: readonly Record<string, unknown>[],
    { wrapper = [], env = {} }: { wrapper?: string[]; env?: Record<string, string> } = {},
  ) {
    const script = fromFileUrl(new URL("./worker_process.ts", import.meta.url));
    const [command, ...args] = [...wrapper, Deno.execPath()];
    this.#child = new Deno.Command(command!, {
      args: [
        ...args,
        "run",
        "--quiet",
        "--no-prompt",
        ...PERMISSIONS,
        script,
        double.cache,
        JSON.stringify(manifests.map((manifest) => ({ channels: [CHANNEL], ...manifest }))),
      ],
      env: { ...double.env, ...env, LD_LIBRARY_PATH: "/nonexistent" },
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#read = readLines(this.#child.stdout, (line) => this.lines.push(line));
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
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
