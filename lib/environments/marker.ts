/**
 * The marker of a complete environment, `.ready`: written last, and looked at on every use.
 *
 * It repeats what the environment looked like when it was finished, so that one that was changed or damaged
 * since then is noticed: the modification times of the directories that installing and removing packages
 * change. That costs one file and some stats, about 0.3 ms. Changes deep inside a package are not noticed.
 */
import { dirname, join } from "@std/path";
import { ensureDir } from "@std/fs";
import { writeDurably } from "./files.ts";
import type { CacheLayout } from "./layout.ts";

/** What has to be there besides the directories that are watched. */
const PYTHON = "bin/python";

/** Raised when environments marked by earlier versions of this program must not be used any more. */
const SCHEMA = 2;

/** The content of the marker. */
interface Marker {
  readonly schema: number;
  /** Where the environment was made: one that was moved does not work. */
  readonly prefix: string;
  /** Version of its Python. */
  readonly python: string;
  /** Times by path, relative to the environment. */
  readonly times: Readonly<Record<string, number>>;
}

/** What is in an environment's place. */
export type PlaceState =
  | { readonly state: "ready" }
  /** Nothing, or what a build that did not end has made so far. */
  | { readonly state: "unfinished" }
  /** It was complete once. */
  | { readonly state: "damaged"; readonly reason: string }
  /** A later version of this program made it. It is of no use to this one, and none of its business. */
  | { readonly state: "foreign" };

/** The Python of an environment. */
export interface PythonFacts {
  /** Such as `3.11.7`. */
  readonly version: string;
  /** Its directory of packages, relative to the environment; `undefined` when it is elsewhere. */
  readonly site: string | undefined;
}

/**
 * Whole seconds: layers of container images keep no more, and an environment that comes with an image
 * must be good.
 */
async function timeOf(path: string): Promise<number | undefined> {
  const info = await Deno.stat(path).catch(() => undefined);
  return info === undefined ? undefined : Math.floor((info.mtime?.getTime() ?? 0) / 1000);
}

/** Marks an environment as complete. Nothing may be written into its watched directories after that. */
export async function writeMarker(
  layout: CacheLayout,
  place: string,
  python: PythonFacts,
): Promise<void> {
  const prefix = layout.prefix(place);
  const watched = ["conda-meta/history", "bin", "lib"];
  if (python.site !== undefined) {
    const modules = [dirname(python.site), python.site];
    watched.push(...modules);
    for (const path of modules) {
      // Byte code that is made later must not count as a change.
      await ensureDir(join(prefix, path, "__pycache__"));
    }
  }
  const times: Record<string, number> = {};
  for (const path of new Set(watched)) {
    const time = await timeOf(join(prefix, path));
    if (time !== undefined) times[path] = time;
  }
  const marker: Marker = { schema: SCHEMA, prefix, python: python.version, times };
  await writeDurably(layout.ready(place), JSON.stringify(marker) + "\n");
}

/** Looks at a place. */
export async function readPlace(layout: CacheLayout, place: string): Promise<PlaceState> {
  const prefix = layout.prefix(place);
  let marker: Marker | null;
  try {
    marker = JSON.parse(await Deno.readTextFile(layout.ready(place))) as Marker | null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { state: "unfinished" };
    if (error instanceof SyntaxError) return damaged("its marker cannot be read");
    throw error;
  }
  if (typeof marker?.schema === "number" && marker.schema > SCHEMA) return { state: "foreign" };
  if (marker?.schema !== SCHEMA) return damaged("another version of this program made it");
  if (marker.prefix !== prefix) return damaged(`it was made in ${marker.prefix}`);
  const paths = Object.keys(marker.times);
  const [python, ...times] = await Promise.all(
    [PYTHON, ...paths].map((path) => timeOf(join(prefix, path))),
  );
  if (python === undefined) return damaged(`${PYTHON} is missing`);
  const changed = paths.find((path, index) => times[index] !== marker.times[path]);
  if (changed !== undefined) return damaged(`${changed} was changed after it was built`);
  return { state: "ready" };
}

function damaged(reason: string): PlaceState {
  return { state: "damaged", reason };
}
