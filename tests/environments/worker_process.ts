/**
 * A worker's part of building an environment, as a process of its own under the worker's permissions:
 *
 *   worker_process.ts CACHE_DIRECTORY MANIFEST_JSON
 *
 * Prints one JSON line per event: progress, then the lease or the error. Holds the lease until its standard
 * input ends.
 */
import { join } from "@std/path";
import { EnvironmentStore } from "../../lib/environments/store.ts";
import { parseSpec } from "../../lib/environments/spec.ts";
import { silentLogger } from "../../lib/log.ts";
import { detectManager } from "../../lib/managers/detect.ts";

const [directory, manifest] = Deno.args;
if (directory === undefined || manifest === undefined) Deno.exit(2);
const print = (event: Record<string, unknown>) => console.log(JSON.stringify(event));
const manager = await detectManager({
  runtimeDirectory: join(directory, "runtime"),
  log: silentLogger,
});
const store = new EnvironmentStore({ directory, manager, log: silentLogger });
try {
  await using lease = await store.acquire(parseSpec(JSON.parse(manifest)), {
    onProgress: (progress) => print({ progress: progress.message }),
  });
  print({ lease: lease.key, cached: lease.cached });
  for await (const _ of Deno.stdin.readable);
} catch (error) {
  print({ error: error instanceof Error ? error.message : String(error) });
}
await store.close();
