/** Staging by the worker beside a plain `fetch` to disk of the same files, in turns. */
import { join } from "@std/path";
import type { Stage } from "../tests/e2e/stage.ts";
import type { Numbers } from "./measures.ts";
import { clientVariables, runClient, startClient } from "./service_parts.ts";

const LARGE = 200_000_000;
const SMALL = 100;
const SMALL_SIZE = 4096;
/** As many at a time as the worker transfers. */
const CONCURRENCY = 4;
/** Transfers of each kind on each side. */
const PAIRS = Number(Deno.env.get("PAIRS") ?? 11);

/** Fetches files to disk and nothing else. Seconds. */
async function plainFetch(
  stage: Stage,
  paths: readonly string[],
  directory: string,
): Promise<number> {
  const { SERVER, WORKSPACE, TOKEN } = await clientVariables(stage);
  const root = `${SERVER}/${WORKSPACE}/artifacts/bench-files/files`;
  const headers = { authorization: `Bearer ${TOKEN}` };
  const left = [...paths];
  const started = performance.now();
  const lane = async () => {
    for (let path = left.shift(); path !== undefined; path = left.shift()) {
      const response = await fetch(`${root}/${path}?use_proxy=true&silent=true`, { headers });
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      await Deno.writeFile(join(directory, path.replace("/", "-")), response.body!);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  return (performance.now() - started) / 1000;
}

/** Figures of both ways, for one large file and for many small ones. */
export async function measureStaging(stage: Stage): Promise<{ ours: Numbers; plain: Numbers }> {
  await runClient(stage, "artifact", { LARGE: String(LARGE), SMALL: String(SMALL) });
  const result = join(stage.directory, "staging.json");
  await using client = await startClient(stage, "staging", result);
  const small = Array.from(
    { length: SMALL },
    (_, number) => `small/${String(number).padStart(3, "0")}.bin`,
  );
  const kinds = [
    { entry: "large.bin", paths: ["large.bin"], files: 1, name: "large", amount: LARGE / 1e6 },
    { entry: "small/", paths: small, files: SMALL, name: "small", amount: SMALL },
  ];
  const ours: Numbers = {};
  const plain: Numbers = {};
  for (const { entry, paths, files, name, amount } of kinds) {
    const mine: number[] = [];
    const theirs: number[] = [];
    // The first of each is not counted: it fills caches of the server.
    for (let pair = 0; pair <= PAIRS; pair++) {
      const directory = await Deno.makeTempDir({ dir: stage.directory, prefix: "plain-" });
      const seconds = await plainFetch(stage, paths, directory);
      await Deno.remove(directory, { recursive: true });
      await client.tell(entry);
      const staged = await client.answer<{ seconds: number; files: number }>();
      if (staged.files !== files) throw new Error(`${staged.files} of ${files} files were staged`);
      if (pair === 0) continue;
      theirs.push(amount / seconds);
      mine.push(amount / staged.seconds);
    }
    const unit = name === "large" ? "mb_s" : "files_s";
    ours[`staging_${name}_${unit}`] = mine;
    plain[`staging_${name}_${unit}`] = theirs;
    ours[`staging_${name}_share`] = mine.map((speed, index) => 100 * speed / theirs[index]!);
  }
  ours.staging_small_mb_s = ours.staging_small_files_s!.map((speed) => speed * SMALL_SIZE / 1e6);
  await client.finished();
  return { ours, plain };
}
