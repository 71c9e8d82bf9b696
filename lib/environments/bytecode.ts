/**
 * Byte code of an environment's modules, made in the background after it is ready.
 *
 * Managers compile for most of the time an environment takes (facts: 2.0 s of 2.2 s for 5000 files), and sessions
 * do not write into a shared environment; without byte code each would compile what it imports anew. So the
 * environment is handed out at once, and one low-priority process catches up.
 */
import { join } from "@std/path";
import { exists } from "@std/fs";
import type { Manager } from "../managers/manager.ts";
import { writeDurably } from "./files.ts";

/** Written below the environment when all its modules are compiled. */
const MARKER = ".compiled";

/** One line, since conda cannot pass newlines on; a module that does not compile is the importer's affair. */
const PROGRAM =
  "import compileall, os, site; os.nice(10); [compileall.compile_dir(d, quiet=2) for d in site.getsitepackages()]";

/** Whether the modules of an environment are compiled. */
export async function hasBytecode(prefix: string): Promise<boolean> {
  return await exists(join(prefix, MARKER));
}

/** Compiles the modules of an environment; one that was interrupted is done again. */
export async function makeBytecode(
  prefix: string,
  manager: Manager,
  signal: AbortSignal,
): Promise<void> {
  const { code } = await manager.execute(prefix, ["python", "-c", PROGRAM], { signal });
  if (code === 0 && !signal.aborted) await writeDurably(join(prefix, MARKER), "");
}
