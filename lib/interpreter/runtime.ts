/** Python's side of the worker, embedded as text and written to disk where an interpreter can read it. */
import { join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import main from "./python/main.py" with { type: "text" };
import packageInit from "./python/hypha_kernel/__init__.py" with { type: "text" };
import capabilities from "./python/hypha_kernel/capabilities.py" with { type: "text" };
import cells from "./python/hypha_kernel/cells.py" with { type: "text" };
import display from "./python/hypha_kernel/display.py" with { type: "text" };
import displayObjects from "./python/hypha_kernel/display_objects.py" with { type: "text" };
import displayWidgets from "./python/hypha_kernel/display_widgets.py" with { type: "text" };
import fileAccess from "./python/hypha_kernel/file_access.py" with { type: "text" };
import fileFolders from "./python/hypha_kernel/file_folders.py" with { type: "text" };
import formatters from "./python/hypha_kernel/formatters.py" with { type: "text" };
import serviceHook from "./python/hypha_kernel/service_hook.py" with { type: "text" };
import importHooks from "./python/hypha_kernel/import_hooks.py" with { type: "text" };
import ipythonShim from "./python/hypha_kernel/ipython_shim.py" with { type: "text" };
import plotlyRenderer from "./python/hypha_kernel/plotly_renderer.py" with { type: "text" };
import pretty from "./python/hypha_kernel/pretty.py" with { type: "text" };
import prettyTypes from "./python/hypha_kernel/pretty_types.py" with { type: "text" };
import shell from "./python/hypha_kernel/shell.py" with { type: "text" };
import forkServer from "./python/hypha_kernel/fork_server.py" with { type: "text" };
import inlineFigures from "./python/hypha_kernel/inline_figures.py" with { type: "text" };
import asking from "./python/hypha_kernel/asking.py" with { type: "text" };
import keeper from "./python/hypha_kernel/keeper.py" with { type: "text" };
import machine from "./python/hypha_kernel/machine.py" with { type: "text" };
import isolation from "./python/hypha_kernel/isolation.py" with { type: "text" };
import introspection from "./python/hypha_kernel/introspection.py" with { type: "text" };
import landlock from "./python/hypha_kernel/landlock.py" with { type: "text" };
import limits from "./python/hypha_kernel/limits.py" with { type: "text" };
import autoreload from "./python/hypha_kernel/autoreload.py" with { type: "text" };
import debugging from "./python/hypha_kernel/debugging.py" with { type: "text" };
import extensions from "./python/hypha_kernel/extensions.py" with { type: "text" };
import magics from "./python/hypha_kernel/magics.py" with { type: "text" };
import magicsCells from "./python/hypha_kernel/magics_cells.py" with { type: "text" };
import magicsIpython from "./python/hypha_kernel/magics_ipython.py" with { type: "text" };
import magicsLines from "./python/hypha_kernel/magics_lines.py" with { type: "text" };
import magicsLooking from "./python/hypha_kernel/magics_looking.py" with { type: "text" };
import magicsNotebook from "./python/hypha_kernel/magics_notebook.py" with { type: "text" };
import magicsPackages from "./python/hypha_kernel/magics_packages.py" with { type: "text" };
import magicsRegistry from "./python/hypha_kernel/magics_registry.py" with { type: "text" };
import magicsShell from "./python/hypha_kernel/magics_shell.py" with { type: "text" };
import magicsTiming from "./python/hypha_kernel/magics_timing.py" with { type: "text" };
import magicsTransform from "./python/hypha_kernel/magics_transform.py" with { type: "text" };
import overlay from "./python/hypha_kernel/overlay.py" with { type: "text" };
import processState from "./python/hypha_kernel/process_state.py" with { type: "text" };
import startup from "./python/hypha_kernel/startup.py" with { type: "text" };
import processes from "./python/hypha_kernel/processes.py" with { type: "text" };
import sources from "./python/hypha_kernel/sources.py" with { type: "text" };
import spawnedMain from "./python/hypha_kernel/spawned_main.py" with { type: "text" };
import session from "./python/hypha_kernel/session.py" with { type: "text" };
import marks from "./python/hypha_kernel/marks.py" with { type: "text" };
import streams from "./python/hypha_kernel/streams.py" with { type: "text" };
import survivors from "./python/hypha_kernel/survivors.py" with { type: "text" };
import tracebacks from "./python/hypha_kernel/tracebacks.py" with { type: "text" };
import unawaited from "./python/hypha_kernel/unawaited.py" with { type: "text" };
import wire from "./python/hypha_kernel/wire.py" with { type: "text" };

/** The files by their path below the directory. */
export const RUNTIME_FILES: Readonly<Record<string, string>> = {
  "main.py": main,
  "hypha_kernel/__init__.py": packageInit,
  "hypha_kernel/capabilities.py": capabilities,
  "hypha_kernel/cells.py": cells,
  "hypha_kernel/display.py": display,
  "hypha_kernel/display_objects.py": displayObjects,
  "hypha_kernel/display_widgets.py": displayWidgets,
  "hypha_kernel/file_access.py": fileAccess,
  "hypha_kernel/file_folders.py": fileFolders,
  "hypha_kernel/formatters.py": formatters,
  "hypha_kernel/import_hooks.py": importHooks,
  "hypha_kernel/service_hook.py": serviceHook,
  "hypha_kernel/ipython_shim.py": ipythonShim,
  "hypha_kernel/plotly_renderer.py": plotlyRenderer,
  "hypha_kernel/pretty.py": pretty,
  "hypha_kernel/pretty_types.py": prettyTypes,
  "hypha_kernel/shell.py": shell,
  "hypha_kernel/fork_server.py": forkServer,
  "hypha_kernel/inline_figures.py": inlineFigures,
  "hypha_kernel/asking.py": asking,
  "hypha_kernel/isolation.py": isolation,
  "hypha_kernel/introspection.py": introspection,
  "hypha_kernel/keeper.py": keeper,
  "hypha_kernel/landlock.py": landlock,
  "hypha_kernel/limits.py": limits,
  "hypha_kernel/machine.py": machine,
  "hypha_kernel/autoreload.py": autoreload,
  "hypha_kernel/debugging.py": debugging,
  "hypha_kernel/extensions.py": extensions,
  "hypha_kernel/magics.py": magics,
  "hypha_kernel/magics_cells.py": magicsCells,
  "hypha_kernel/magics_ipython.py": magicsIpython,
  "hypha_kernel/magics_lines.py": magicsLines,
  "hypha_kernel/magics_looking.py": magicsLooking,
  "hypha_kernel/magics_notebook.py": magicsNotebook,
  "hypha_kernel/magics_packages.py": magicsPackages,
  "hypha_kernel/magics_registry.py": magicsRegistry,
  "hypha_kernel/magics_shell.py": magicsShell,
  "hypha_kernel/magics_timing.py": magicsTiming,
  "hypha_kernel/magics_transform.py": magicsTransform,
  "hypha_kernel/overlay.py": overlay,
  "hypha_kernel/process_state.py": processState,
  "hypha_kernel/startup.py": startup,
  "hypha_kernel/processes.py": processes,
  "hypha_kernel/sources.py": sources,
  "hypha_kernel/spawned_main.py": spawnedMain,
  "hypha_kernel/session.py": session,
  "hypha_kernel/marks.py": marks,
  "hypha_kernel/streams.py": streams,
  "hypha_kernel/survivors.py": survivors,
  "hypha_kernel/tracebacks.py": tracebacks,
  "hypha_kernel/unawaited.py": unawaited,
  "hypha_kernel/wire.py": wire,
};

/**
 * Writes the Python files below a directory, named by their content, and returns the path of the program to run.
 *
 * Workers of different versions may share the directory; one that finds the files does not write them again.
 */
export async function installRuntime(directory: string): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(RUNTIME_FILES));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  const target = join(directory, `python-${digest.slice(0, 16)}`);
  if (await exists(target)) return join(target, "main.py");
  const draft = join(directory, `.python-${crypto.randomUUID()}`);
  await ensureDir(join(draft, "hypha_kernel"));
  for (const [name, text] of Object.entries(RUNTIME_FILES)) {
    await Deno.writeTextFile(join(draft, name), text);
  }
  try {
    await Deno.rename(draft, target);
  } catch (error) {
    // Another worker was faster: its files are the same.
    await Deno.remove(draft, { recursive: true });
    if (!await exists(target)) throw error;
  }
  return join(target, "main.py");
}
