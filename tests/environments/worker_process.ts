/**
 * A worker's part of building environments, as a process of its own under the worker's permissions:
 *
 *   worker_process.ts CACHE_DIRECTORY MANIFESTS_JSON
 *
 * Acquires the environments of all manifests at once. Prints one JSON line per event: progress, then each lease
 * or error. Holds the leases until its standard input ends.
 */
import { join } from "@std/path";
import { type EnvironmentLease, EnvironmentStore } from "../../lib/environments/store.ts";
import { parseSpec } from "../../lib/environments/spec.ts";
import { silentLogger } from "../../lib/log.ts";
import { detectManager } from "../../lib/managers/detect.ts";

const [directory, manifests] = Deno.args;
if (directory === undefined || manifests === undefined) Deno.exit(2);
const print = (event: Record<string, unknown>) => console.log(JSON.stringify(event));
await using manager = await detectManager({
  runtimeDirectory: join(Deno.env.get("WORKER_RUNTIME") ?? directory, "runtime"),
  launcher: true,
  log: silentLogger,
});
const store = new EnvironmentStore({ directory, manager, log: silentLogger });
const leases: EnvironmentLease[] = [];
try {
  await store.recover();
  await Promise.all((JSON.parse(manifests) as Record<string, unknown>[]).map(async (manifest) => {
    try {
      const lease = await store.acquire(parseSpec(manifest), {
        onProgress: (progress) => print({ progress: progress.message }),
      });
      leases.push(lease);
      print({ lease: lease.key, cached: lease.cached });
    } catch (error) {
      print({ error: error instanceof Error ? error.message : String(error) });
    }
  }));
} catch (error) {
  print({ error: error instanceof Error ? error.message : String(error) });
}
for await (const _ of Deno.stdin.readable);
for (const lease of leases) await lease.release();
await store.close();
