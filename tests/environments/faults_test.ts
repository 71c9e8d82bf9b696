/**
 * Faults of managers, disks and channels while an environment is built, as the cache sees them: whatever happens,
 * nothing half-made is taken for an environment, nothing keeps running, and the next start builds.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { dirname, join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import { CacheLayout } from "../../lib/environments/layout.ts";
import { readPlace } from "../../lib/environments/marker.ts";
import { EnvironmentStore } from "../../lib/environments/store.ts";
import { prunePackages } from "../../lib/environments/packages.ts";
import { Trash } from "../../lib/environments/trash.ts";
import { type ErrorCode, WorkerError } from "../../lib/errors.ts";
import { silentLogger } from "../../lib/log.ts";
import type { Manager, ManagerKind } from "../../lib/managers/manager.ts";
import { Double } from "../managers/double.ts";
import type { ManagerFaults } from "../stack/stack.ts";
import { Cache, spec } from "./support.ts";

/** For the one that hangs; what is healthy may be silent for as long as a slow machine makes it, in milliseconds. */
const STALL_MS = 4_000;

interface Fault {
  readonly name: string;
  readonly faults: ManagerFaults;
  readonly code: ErrorCode;
  /** Managers it is tried with. What all have alike is tried with one; `tests/managers` has the others. */
  readonly kinds: readonly ManagerKind[];
}

const FAULTS: readonly Fault[] = [
  {
    name: "claims success and makes nothing",
    faults: { lie: true },
    code: "environment_failed",
    kinds: ["mamba", "conda"],
  },
  {
    name: "dies by a signal at once",
    faults: { crash: 11 },
    code: "manager_failed",
    kinds: ["mamba"],
  },
  {
    name: "is killed while linking",
    faults: { kill_after_links: 1 },
    code: "environment_failed",
    kinds: ["mamba"],
  },
  {
    name: "is killed and leaves a child that writes on",
    faults: { kill_after_links: 1, orphan: 30 },
    code: "environment_failed",
    kinds: ["mamba", "conda"],
  },
  {
    name: "prints two documents",
    faults: { two_documents: true },
    code: "manager_failed",
    kinds: ["conda"],
  },
  {
    name: "hangs silently",
    faults: { hang: "link" },
    code: "environment_stalled",
    kinds: ["mamba"],
  },
  {
    name: "finds a package gone from its channel",
    faults: { gone: true },
    code: "package_unavailable",
    kinds: ["mamba"],
  },
  { name: "has no network", faults: { network: true }, code: "network", kinds: ["mamba"] },
  {
    name: "finds the disk full",
    faults: { disk_full_after_links: 1 },
    code: "disk_full",
    kinds: ["conda"],
  },
];

for (const kind of ["mamba", "conda"] as const) {
  Deno.test(`${kind}: after any fault nothing is left, and the next start builds`, async (t) => {
    await using double = await Double.install(kind);
    const manager = await double.detect();
    const impatient = await double.detect({ stallMs: STALL_MS });
    for (const { name, faults, code, kinds } of FAULTS) {
      if (!kinds.includes(kind)) continue;
      await t.step(`a manager that ${name}`, async () => {
        await double.setFaults(faults);
        // As after a restart: what one worker knows of its manager does not matter.
        const directory = join(double.directory, `cache-${code}-${Object.keys(faults).join("-")}`);
        const open = (manager: Manager) =>
          new EnvironmentStore({ directory, manager, log: silentLogger, minFreeBytes: 1 });
        const failing = open(code === "environment_stalled" ? impatient : manager);
        const store = open(manager);
        const error = await assertRejects(() => failing.acquire(spec("toy-a")), WorkerError);
        assertEquals(error.code, code, error.message);
        assertMatch(error.message, /^Cannot /);
        assert(error.suggestion !== "");
        assertEquals(await double.processes(), []);
        assertEquals(await environments(store), []);
        await failing.close();

        await double.setFaults({});
        const lease = await store.acquire(spec("toy-a"));
        assertEquals([lease.cached, (await readPlace(store.layout, lease.key)).state], [
          false,
          "ready",
        ]);
        // What a child would have written after the end of its manager.
        assert(!await exists(join(lease.prefix, "orphan.txt")));
        const code_ = "import toy_a; print(toy_a.__version__)";
        const { stdout } = await manager.execute(lease.prefix, ["python", "-c", code_]);
        assertEquals(stdout, ["2.0"]);
        await lease.release();
        await store.close();
      });
    }
  });
}

/** Places that have something in them. */
async function environments(store: EnvironmentStore): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(store.layout.environments)) {
    if (isDirectory) names.push(name);
  }
  return names;
}

/** A file system of so many bytes at a directory, until it is disposed; `undefined` where none can be mounted. */
async function smallDisk(directory: string, bytes: number): Promise<AsyncDisposable | undefined> {
  const run = async (command: string, ...args: string[]) => {
    try {
      return (await new Deno.Command(command, { args, stderr: "null" }).output()).success;
    } catch {
      // There is no such program.
      return false;
    }
  };
  await Deno.mkdir(directory, { recursive: true });
  if (!await run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", directory)) {
    return undefined;
  }
  return {
    [Symbol.asyncDispose]: async () => {
      // Lazily: a test that fails may still have files open there.
      assert(await run("umount", "-l", directory), `Cannot unmount ${directory}`);
    },
  };
}

for (const kind of ["mamba", "conda"] as const) {
  Deno.test(`${kind}: a disk that is really full fails the build, and leaves what is in use alone`, async () => {
    await using cache = await Cache.make(kind, {}, { minFreeBytes: 1, limits: {} });
    await using disk = await smallDisk(cache.double.cache, 40 * 1024 ** 2);
    if (disk === undefined) {
      console.log("SKIPPED: this user cannot mount a small file system");
      return;
    }
    const used = await cache.store.acquire(spec("toy-a=1"));
    await cache.store.settled();
    const error = await assertRejects(
      () => cache.store.acquire(spec("numpy", "pandas", "matplotlib")),
      WorkerError,
    );
    assertEquals(error.code, "disk_full", error.message);
    assertEquals(await cache.double.processes(), []);
    assertEquals(await cache.environments(), [used.key]);
    assertEquals((await readPlace(cache.store.layout, used.key)).state, "ready");
    const manager = await cache.double.detect();
    const code = "import toy_a; print(toy_a.__version__)";
    const { stdout } = await manager.execute(used.prefix, ["python", "-c", code]);
    assertEquals(stdout, ["1.0"]);
    // What fits is built, in the place of what the failed builds had fetched.
    const small = await cache.store.acquire(spec("toy-data"));
    assertEquals((await readPlace(cache.store.layout, small.key)).state, "ready");
    for (const lease of [small, used]) await lease.release();
    await cache.store.close();
  });
}

Deno.test("what failed builds left among the packages goes when packages are pruned", async () => {
  const directory = await Deno.makeTempDir({ prefix: "packages-" });
  try {
    const layout = new CacheLayout(directory);
    const trash = new Trash(layout.trash, silentLogger);
    const channel = "https/conda.example.org/some/noarch";
    const write = async (...paths: string[]) => {
      for (const path of paths) {
        await ensureDir(dirname(join(layout.packages, path)));
        await Deno.writeTextFile(join(layout.packages, path), "x".repeat(5000));
      }
    };
    // An environment has links to this one; the index and the lists of managers are no packages.
    const kept = [
      "used-1-0/info/index.json",
      "used-1-0/file",
      "used-1-0.conda",
      "cache/0a1b.json",
      "urls.txt",
      `${channel}/repodata_record.json`,
    ];
    const left = [
      "fetched-1-0.conda.part",
      "fetched-2-0.tar.bz2.partial",
      "archive-1-0.conda",
      "empty-1-0.tar.bz2",
      "empty-1-0/half",
      "fresh-1-0.conda",
      "fresh-1-0.4711/info/about.json",
      `${channel}/nested-1-0.conda`,
      `${channel}/nested-1-0/half`,
      "unused-1-0/info/index.json",
      "unused-1-0.conda",
    ];
    await write(...kept, ...left);
    await Deno.link(join(layout.packages, kept[1]!), join(directory, "link"));
    const files = async () => {
      const found: string[] = [];
      const walk = async (folder: string) => {
        for await (const { name, isDirectory } of Deno.readDir(join(layout.packages, folder))) {
          if (isDirectory) await walk(join(folder, name));
          else found.push(join(folder, name));
        }
      };
      await walk("");
      return found.sort();
    };
    // Somebody may want the young ones at once.
    assertEquals(await prunePackages(layout, trash, { before: Date.now() - 60_000 }), 0);
    const told = await prunePackages(layout, trash, { dryRun: true });
    assertEquals(await files(), [...kept, ...left].sort());
    assertEquals(await prunePackages(layout, trash), told);
    assert(told >= left.length * 5000, `${told}`);
    assertEquals(await files(), [...kept].sort());
    await trash.settled();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
