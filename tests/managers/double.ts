/** A manager double of the test stack with switches of its own, in a directory of its own. */
import { fromFileUrl, join } from "@std/path";
import { exists } from "@std/fs";
import { detectManager } from "../../lib/managers/detect.ts";
import type { Manager, ManagerKind } from "../../lib/managers/manager.ts";
import { silentLogger } from "../../lib/log.ts";

const TOOLS = fromFileUrl(new URL("../../.tools/", import.meta.url));

/** The channel of the test stack. */
export const CHANNEL = `file://${join(TOOLS, "channel")}`;

/** All kinds there are. */
export const KINDS: readonly ManagerKind[] = ["mamba", "micromamba", "conda"];

/** A line of a double's log. */
export interface DoubleEvent {
  event: "start" | "end";
  pid: number;
  argv: string[];
}

/** A directory with a double in it; disposing removes it. */
export class Double implements AsyncDisposable {
  private constructor(readonly directory: string, readonly kind: ManagerKind) {}

  /** Installs a double; the switches are those of the stack's README. */
  static async install(
    kind: ManagerKind,
    switches: Record<string, unknown> = {},
  ): Promise<Double> {
    const directory = await Deno.makeTempDir({ prefix: "double-" });
    const double = new Double(directory, kind);
    await Deno.mkdir(join(directory, "bin"));
    await Deno.copyFile(
      join(TOOLS, "managers", kind, "bin", kind),
      join(directory, "bin", kind),
    );
    await double.set(switches);
    return double;
  }

  /** Replaces the switches. */
  async set(switches: Record<string, unknown>): Promise<void> {
    const log = join(this.directory, "log.jsonl");
    await Deno.writeTextFile(
      join(this.directory, "double.json"),
      JSON.stringify({ ...switches, log }),
    );
  }

  /** The variables of an operator who has this manager. */
  get env(): Record<string, string> {
    return { ...Deno.env.toObject(), PATH: `${join(this.directory, "bin")}:/usr/bin:/bin` };
  }

  /** The cache directory tests use. */
  get cache(): string {
    return join(this.directory, "cache");
  }

  /** The double as the worker finds it. */
  detect(): Promise<Manager> {
    return detectManager({
      runtimeDirectory: join(this.cache, "runtime"),
      log: silentLogger,
      env: this.env,
    });
  }

  /** What was started so far. */
  async events(): Promise<DoubleEvent[]> {
    const log = join(this.directory, "log.jsonl");
    if (!await exists(log)) return [];
    return (await Deno.readTextFile(log)).trim().split("\n").map((line) => JSON.parse(line));
  }

  /** How often environments were created. */
  async creates(): Promise<number> {
    return (await this.events()).filter((event) =>
      event.event === "start" && event.argv[0] === "create"
    ).length;
  }

  /** Process ids whose command line names this double's directory. */
  async processes(): Promise<number[]> {
    const found: number[] = [];
    for await (const entry of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(entry.name) || Number(entry.name) === Deno.pid) continue;
      const text = await Deno.readTextFile(`/proc/${entry.name}/cmdline`).catch(() => "");
      if (text.includes(this.directory)) found.push(Number(entry.name));
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Waits until something holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms = 20_000,
): Promise<void> {
  const deadline = Date.now() + ms;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`Cannot wait any longer: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
