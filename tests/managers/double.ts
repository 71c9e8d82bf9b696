/** A manager double of the test stack, in a directory of its own together with a cache. */
import { join } from "@std/path";
import { detectManager, type DetectOptions } from "../../lib/managers/detect.ts";
import type { CreateRequest, Manager, ManagerKind } from "../../lib/managers/manager.ts";
import { silentLogger } from "../../lib/log.ts";
import {
  type ManagerFaults,
  type PrivateManagers,
  privateManagers,
  stackPaths,
} from "../stack/stack.ts";

/** The channel of the test stack. */
export const CHANNEL = stackPaths.channel;

/** All kinds there are. */
export const KINDS: readonly ManagerKind[] = ["mamba", "micromamba", "conda"];

/** A directory with a double in it; disposing removes it. */
export class Double implements AsyncDisposable {
  readonly directory: string;
  readonly #managers: PrivateManagers;

  private constructor(directory: string, managers: PrivateManagers) {
    this.directory = directory;
    this.#managers = managers;
  }

  /** Installs a double. */
  static async install(kind: ManagerKind, faults: ManagerFaults = {}): Promise<Double> {
    const directory = await Deno.makeTempDir({ prefix: "double-" });
    return new Double(directory, await privateManagers(directory, [kind], faults));
  }

  /** Replaces the faults. */
  setFaults(faults: ManagerFaults): Promise<void> {
    return this.#managers.setFaults(faults);
  }

  /** The variables of an operator who has this manager. */
  get env(): Record<string, string> {
    return { ...Deno.env.toObject(), PATH: `${this.#managers.bin}:/usr/bin:/bin` };
  }

  /** The cache directory tests use. */
  get cache(): string {
    return join(this.directory, "cache");
  }

  /** The directory of the executable. */
  get bin(): string {
    return this.#managers.bin;
  }

  /** The double as the worker finds it; it does not wait between two tries. */
  detect(options: Partial<DetectOptions> = {}): Promise<Manager> {
    return detectManager({
      runtimeDirectory: join(this.cache, "runtime"),
      log: silentLogger,
      env: this.env,
      pause: () => Promise.resolve(),
      ...options,
    });
  }

  /** What a create in this directory needs, for a channel of the stack. */
  request(...packages: string[]): CreateRequest {
    return {
      prefix: join(this.directory, "prefix"),
      channels: [CHANNEL],
      packages,
      packageCache: join(this.cache, "pkgs"),
      rootPrefix: join(this.cache, "runtime", "root"),
    };
  }

  /** Packages of an environment, as `name-version`. */
  async packages(prefix = join(this.directory, "prefix")): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(join(prefix, "conda-meta"))) {
      const found = /^(.+-[^-]+)-[^-]+\.json$/.exec(name)?.[1];
      if (found !== undefined) names.push(found);
    }
    return names.sort();
  }

  /** How often it was started, or started with a command such as `create`. */
  async calls(command?: string): Promise<number> {
    return (await this.#managers.invocations(command)).length;
  }

  /** Command lines of running processes that name this double's directory. */
  async processes(): Promise<string[]> {
    const found: string[] = [];
    for await (const entry of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(entry.name) || Number(entry.name) === Deno.pid) continue;
      const text = await Deno.readTextFile(`/proc/${entry.name}/cmdline`).catch(() => "");
      if (text.includes(this.directory)) found.push(text.replaceAll("\0", " "));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}
