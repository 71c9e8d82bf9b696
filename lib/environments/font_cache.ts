/**
 * matplotlib's list of the machine's fonts, made once per environment.
 *
 * Every session has a home of its own, so without it the first plot of each would search all fonts, which takes
 * seconds. The list is made when the environment is, before any session can touch it, and sessions get copies:
 * a folder that several of them could write to would carry settings from one tenant to another.
 */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Manager } from "../managers/manager.ts";

const FOLDER = "share/hypha-conda-worker/matplotlib";

/** Makes the list when the environment has matplotlib. A failure costs time later, and nothing else. */
export async function makeFontCache(
  prefix: string,
  manager: Manager,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const folder = join(prefix, FOLDER);
  try {
    if (!await hasMatplotlib(prefix)) return;
    await ensureDir(folder);
    const code = "import matplotlib.font_manager";
    const { code: status } = await manager.execute(prefix, ["python", "-c", code], {
      env: { MPLCONFIGDIR: folder, MPLBACKEND: "agg" },
      signal,
    });
    if (status !== 0) log.debug("no list of fonts", { prefix, status });
  } catch (error) {
    log.debug("no list of fonts", { prefix, reason: messageOf(error) });
  }
}

async function hasMatplotlib(prefix: string): Promise<boolean> {
  for await (const entry of Deno.readDir(join(prefix, "lib"))) {
    if (!/^python\d/.test(entry.name)) continue;
    const module = join(prefix, "lib", entry.name, "site-packages/matplotlib/font_manager.py");
    if (await Deno.stat(module).then(() => true, () => false)) return true;
  }
  return false;
}

/** Copies the list, if there is one, into the home directory of a session. */
export async function copyFontCache(prefix: string, home: string): Promise<void> {
  const folder = join(prefix, FOLDER);
  const target = join(home, ".cache/matplotlib");
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (!entry.isFile || !/^fontlist-.*\.json$/.test(entry.name)) continue;
      await ensureDir(target);
      await Deno.copyFile(join(folder, entry.name), join(target, entry.name));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
