/** What is tried again, and what is not. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { removeDamagedPackages } from "../../lib/managers/package_cache.ts";
import { pauseBefore } from "../../lib/managers/recovery.ts";
import type { Progress } from "../../lib/progress.ts";
import { type ManagerFaults, stackPaths } from "../stack/stack.ts";
import { Double, KINDS } from "./double.ts";
import { until } from "../wait.ts";

for (const kind of KINDS) {
  Deno.test(`${kind}: failures of the network are tried again, three times, and said`, async () => {
    await using double = await Double.install(kind, { network: true, times: 2 });
    const pauses: number[] = [];
    const manager = await double.detect({
      pause: (ms) => {
        pauses.push(ms);
        return Promise.resolve();
      },
    });
    const told: Progress[] = [];
    const request = {
      ...double.request("toy-data"),
      onProgress: (progress: Progress) => told.push(progress),
    };
    await manager.create(request);
    assertEquals(await double.calls("create"), 3);
    assertEquals(pauses.length, 2);
    const retries = told.filter((progress) => progress.phase === "retry");
    assertStringIncludes(retries[0]!.message, "The network failed; trying again in");
    assertStringIncludes(retries[2]!.message, "try 3 of 3");

    await Deno.remove(request.prefix, { recursive: true });
    await double.setFaults({ network: true });
    const error = await assertRejects(() => manager.create(request), WorkerError);
    assertEquals(error.code, "network", error.message);
    assertEquals(await double.calls("create"), 6);
  });

  Deno.test(`${kind}: a damaged package leaves the package cache and is fetched anew`, async () => {
    await using double = await Double.install(kind);
    const manager = await double.detect();
    const request = double.request("toy-data");
    await manager.create(request);
    await Deno.remove(request.prefix, { recursive: true });
    // Something else in the cache that is not damaged.
    const other = join(request.packageCache, "other-1.0-0");
    await Deno.mkdir(join(other, "info"), { recursive: true });
    await double.setFaults({ damaged_entry: true });
    await manager.create(request);
    assertEquals(await double.calls("create"), 3);
    assertEquals(await double.packages(), ["toy-data-1.0"]);
    assert(await exists(other));
  });

  Deno.test(`${kind}: a package gone from its channel is tried again with a new index`, async () => {
    await using double = await Double.install(kind, { gone: true, times: 1 });
    const manager = await double.detect();
    const request = double.request("toy-data");
    const index = join(request.packageCache, "cache", "old.json");
    await Deno.mkdir(join(request.packageCache, "cache"), { recursive: true });
    await Deno.writeTextFile(index, "{}");
    await manager.create(request);
    assertEquals([await double.calls("create"), await exists(index)], [2, false]);

    await Deno.remove(request.prefix, { recursive: true });
    await Deno.remove(request.packageCache, { recursive: true });
    await double.setFaults({ gone: true });
    const error = await assertRejects(() => manager.create(request), WorkerError);
    assertEquals([error.code, await double.calls("create")], ["package_unavailable", 4]);
    assertStringIncludes(error.message, "toy-data-1.0-0");
  });

  Deno.test(`${kind}: what would fail the same way is not tried again`, async () => {
    await using double = await Double.install(kind);
    const manager = await double.detect();
    const attempt = async (packages: string[], faults: ManagerFaults) => {
      await double.setFaults(faults);
      const before = await double.calls("create");
      const request = double.request(...packages);
      await Deno.remove(request.prefix, { recursive: true }).catch(() => {});
      const error = await assertRejects(() => manager.create(request), WorkerError);
      return [error.code, await double.calls("create") - before];
    };
    assertEquals(await attempt(["nosuchpkg"], {}), ["package_not_found", 1]);
    assertEquals(await attempt(["toy-b", "toy-conflict"], {}), ["solver_conflict", 1]);
    assertEquals(await attempt(["toy-data"], { disk_full_after_links: 0 }), ["disk_full", 1]);
  });

  Deno.test(`${kind}: a cancel ends the pause before another try`, async () => {
    await using double = await Double.install(kind, { network: true });
    const controller = new AbortController();
    const manager = await double.detect({
      pause: (_, signal) => {
        controller.abort();
        return new Promise((_, reject) => signal?.aborted && reject(signal.reason));
      },
    });
    const error = await assertRejects(
      () => manager.create({ ...double.request("toy-data"), signal: controller.signal }),
      WorkerError,
    );
    assertEquals([error.code, await double.calls("create")], ["environment_cancelled", 1]);
  });

  Deno.test(`${kind}: a child that writes on is gone when the create has failed`, async () => {
    await using double = await Double.install(kind, { orphan: 30, disk_full_after_links: 0 });
    const manager = await double.detect();
    const request = double.request("toy-data");
    const error = await assertRejects(() => manager.create(request), WorkerError);
    assertEquals(error.code, "disk_full", error.message);
    await Deno.remove(request.prefix, { recursive: true }).catch(() => {});
    await until(async () => (await double.processes()).length === 0, "nobody is left");
    assertEquals(await exists(request.prefix), false);
  });
}

/** A channel over HTTP whose index may be remembered for an hour; `records` by file name. */
function serveChannel(index: () => Record<string, unknown>): {
  url: string;
  asked: string[];
  shutdown: () => Promise<void>;
} {
  const asked: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const path = new URL(request.url).pathname;
      asked.push(path);
      if (path.endsWith("/repodata.json")) {
        const packages = path.startsWith("/noarch") ? index() : {};
        const subdir = path.split("/")[1];
        return Response.json({ info: { subdir }, packages, "packages.conda": {} }, {
          headers: { "cache-control": "public, max-age=3600" },
        });
      }
      const file = await Deno.readFile(stackPaths.channelDir + path).catch(() => undefined);
      return file === undefined ? new Response("gone", { status: 404 }) : new Response(file);
    },
  );
  const { port } = server.addr;
  return { url: `http://127.0.0.1:${port}`, asked, shutdown: () => server.shutdown() };
}

Deno.test("a version that was withdrawn after the index was read is given up for the next best", async () => {
  const data = JSON.parse(
    await Deno.readTextFile(join(stackPaths.channelDir, "noarch", "repodata.json")),
  );
  const file = "toy-data-1.0-0.tar.bz2";
  const record = data.packages[file];
  for (const kind of KINDS) {
    await using double = await Double.install(kind);
    let reads = 0;
    const withdrawn = { ...record, version: "9.0", sha256: "0".repeat(64), md5: "0".repeat(32) };
    const channel = serveChannel(() => {
      // Readers look twice: once whether the channel is there, once for what is in it.
      reads++;
      return reads <= 2
        ? { [file]: record, "toy-data-9.0-0.tar.bz2": withdrawn }
        : { [file]: record };
    });
    try {
      const manager = await double.detect();
      await manager.create({ ...double.request("toy-data"), channels: [channel.url] });
      assertEquals(await double.packages(), ["toy-data-1.0"]);
      assertEquals(await double.calls("create"), 2);
      assert(channel.asked.includes("/noarch/toy-data-9.0-0.tar.bz2"));
    } finally {
      await channel.shutdown();
    }
  }
});

Deno.test("a manager that hangs is killed and started anew once, one that works is not", async () => {
  await Promise.all((["mamba", "conda"] as const).map(async (kind) => {
    await using double = await Double.install(kind, { hang: "link", times: 1 });
    const manager = await double.detect({ stallMs: 2_000 });
    const request = double.request("toy-data");
    await manager.create(request);
    assertEquals(await double.calls("create"), 2);
    await Deno.remove(request.prefix, { recursive: true });

    await double.setFaults({ hang: "start" });
    const error = await assertRejects(() => manager.create(request), WorkerError);
    assertEquals([error.code, await double.calls("create")], ["environment_stalled", 4]);
    assertStringIncludes(error.message, "made no progress");
    assertEquals(await double.processes(), []);

    await double.setFaults({ busy: 3 });
    await manager.create(request);
    assertEquals(await double.calls("create"), 5);
  }));
});

Deno.test("pip is tried again when the network fails, and only then", async () => {
  await using double = await Double.install("mamba");
  const env = { ...double.env, PIP_RETRIES: "1", PIP_CONFIG_FILE: "/dev/null" };
  let pauses = 0;
  const manager = await double.detect({
    env,
    pause: () => {
      pauses++;
      return Promise.resolve();
    },
  });
  const request = double.request("python", "pip");
  await manager.create(request);
  const pip = {
    prefix: request.prefix,
    cacheDirectory: join(double.cache, "pip"),
    requirements: ["no-such-package-zq7"],
  };
  // Port 9 of this machine: nobody listens there.
  const options = ["--index-url", "http://127.0.0.1:9/simple"];
  const unreachable = await assertRejects(
    () => manager.installPip({ ...pip, options }),
    WorkerError,
  );
  assertEquals([unreachable.code, pauses], ["network", 2], unreachable.message);
  const missing = await assertRejects(
    () => manager.installPip({ ...pip, options: ["--no-index"] }),
    WorkerError,
  );
  assertEquals([missing.code, pauses], ["pip_failed", 2]);
});

Deno.test("pauses grow and differ", () => {
  assertEquals([2, 3].map((attempt) => pauseBefore(attempt, () => 0)), [1_000, 4_000]);
  assertEquals([2, 3].map((attempt) => pauseBefore(attempt, () => 1)), [3_000, 12_000]);
});

Deno.test("only what an output names leaves the package cache; when it names nothing, everything", async () => {
  const cache = await Deno.makeTempDir();
  const make = async (...paths: string[]) => {
    for (const path of paths) {
      await Deno.mkdir(join(cache, path, ".."), { recursive: true });
      await Deno.writeTextFile(join(cache, path), "");
    }
  };
  const left = async () => {
    const found: string[] = [];
    const walk = async (folder: string) => {
      for await (const entry of Deno.readDir(join(cache, folder))) {
        const path = join(folder, entry.name);
        if (entry.isDirectory) await walk(path);
        else found.push(path);
      }
    };
    await walk(".");
    return found.sort();
  };
  try {
    const nested = "https/my-own-channel/linux-64/numpy-2.4.6-py_0";
    const files = [`${nested}.conda`, `${nested}/info/index.json`, "idna-3.20-py_0.tar.bz2"];
    await make(...files, "urls.txt");
    await removeDamagedPackages(cache, `File not valid: SHA256 "${cache}/${nested}.conda"`);
    assertEquals(await left(), ["idna-3.20-py_0.tar.bz2", "urls.txt"]);
    await make(...files);
    await removeDamagedPackages(cache, `No such file: '${cache}/${nested}/info/index.json'`);
    assertEquals(await left(), ["idna-3.20-py_0.tar.bz2", "urls.txt"]);
    await make(...files);
    await removeDamagedPackages(cache, "Found incorrect download: numpy. Aborting");
    assertEquals(await left(), ["idna-3.20-py_0.tar.bz2", "urls.txt"]);
    await make(...files);
    const named = "Cannot find a valid extracted directory cache for 'idna-3.20-py_0.tar.bz2'";
    await removeDamagedPackages(cache, named);
    assertEquals(await left(), [...files.slice(0, 2), "urls.txt"].sort());
    // Nothing outside is ever named.
    const outside = await Deno.makeTempFile({ suffix: "-1-0.conda" });
    await removeDamagedPackages(cache, `${cache}/../${outside} and ${outside}`);
    assertEquals([await left(), await exists(outside)], [[], true]);
    await Deno.remove(outside);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});
