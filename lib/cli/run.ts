/** `run`: runs an app, a script or a notebook on this machine, with no server. */
import { basename, dirname, resolve } from "@std/path";
import { messageOf } from "../errors.ts";
import { createLogger } from "../log.ts";
import type { Notebook } from "../notebook/document.ts";
import { createFolderSource } from "../staging/folder.ts";
import type { Manifest } from "../worker/compile.ts";
import { type AssembleOptions, defaultCacheDir, directoryOption } from "./assemble.ts";
import { readCacheLimits } from "./cache_limits.ts";
import { type CommandContext, interruptible } from "./command.ts";
import { readManagerSettings } from "./manager_settings.ts";
import { type ParsedOptions, readOptions, usage } from "./option.ts";
import { isolationOption } from "./options.ts";
import { RUN_OPTIONS } from "./run_options.ts";
import { readApp } from "./run_app.ts";
import { splitArguments, type Target } from "./run_arguments.ts";
import { runScript, type Script } from "./run_code.ts";
import { type EnvironmentChoice, readChoice, readParts, userVariables } from "./run_environment.ts";
import { type CodeMetadata, readCodeMetadata, readNotebookMetadata } from "./run_metadata.ts";
import {
  applyParameters,
  executeNotebook,
  loadNotebook,
  NOTEBOOK_OPTIONS,
  readNotebookSettings,
  secondsOption,
} from "./run_notebook.ts";
import { startCode } from "./run_python.ts";
import { writeReport } from "./run_report.ts";
import { type LocalRequest, withSession } from "./run_session.ts";
import { readScript, readStandardInput } from "./run_source.ts";
import { ProgressLine } from "./terminal.ts";

/** What all kinds of runs have in common. */
interface Run {
  readonly options: ParsedOptions;
  readonly context: CommandContext;
  readonly choice: EnvironmentChoice;
  /** Arguments of the code. */
  readonly passed: readonly string[];
  /** Time the code may take (milliseconds). */
  readonly timeout: number | undefined;
  readonly outputDir: string;
  /** Where a report goes. */
  readonly report: string | undefined;
}

/** Runs the command. Returns the exit code: the code's own, 1 when it failed, 130 or 143 when it was interrupted. */
export async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const { target, options: own, passed } = await splitArguments(RUN_OPTIONS, args);
  const options = readOptions(RUN_OPTIONS, own, context.environment);
  const prompts = options.values.repl === true;
  if (target === undefined && !prompts) {
    throw usage("run needs an app folder, a manifest, a script, a notebook, - or -c with code");
  }
  if (target?.kind === "nothing") throw target.error;
  for (const name of target?.kind === "notebook" ? [] : NOTEBOOK_OPTIONS) {
    if (options.sources[name] === "argument") throw usage(`--${name} is for notebooks only`);
  }
  const text = (name: string) => options.values[name] as string | undefined;
  const report = text("report");
  const call: Run = {
    options,
    context,
    choice: readChoice(options),
    passed,
    timeout: secondsOption("timeout", text("timeout")),
    outputDir: resolve(text("output-dir") ?? "."),
    report: report === undefined ? undefined : resolve(report),
  };
  if (target === undefined || prompts) return await runPrompt(call, target);
  switch (target.kind) {
    case "app":
      return await runApp(call, target.path, target.script);
    case "notebook":
      return await runNotebookFile(call, target.path, target.name);
    default:
      return await runCode(call, target);
  }
}

/** How the parts of the worker are put together for a run. `folder` is where the code comes from. */
function assembleOptions({ options, context, outputDir }: Run, folder: string): AssembleOptions {
  const text = (name: string) => options.values[name] as string | undefined;
  const { environment } = context;
  const cacheDir = text("cache-dir");
  const workingDir = text("working-dir");
  return {
    cacheDir: cacheDir ? directoryOption(cacheDir, environment) : defaultCacheDir(environment),
    cacheLimits: readCacheLimits(text),
    manager: readManagerSettings(options.values),
    workingDir: workingDir ? directoryOption(workingDir, environment) : undefined,
    environment,
    // The code is the user's own: where they work it may, too.
    isolation: {
      mode: isolationOption(text("isolation")),
      writable: [Deno.cwd(), outputDir, folder],
    },
    log: createLogger({ level: options.values.verbose === true ? "debug" : "warning" }),
  };
}

/** An app: in a directory of its own, with the files its manifest names, as on a server. */
async function runApp(call: Run, path: string, script: string | undefined): Promise<number> {
  const app = await readApp(path, script);
  const { manifest, parts } = await readParts(app.manifest, app.script, call.choice);
  const { entryPoint, save = [] } = parts;
  const name = basename(app.folder);
  const request = {
    manifest,
    parts,
    name,
    folder: app.folder,
    argv: [entryPoint ?? "", ...call.passed],
  };
  return await start(call, request, async () => {
    const code = entryPoint === undefined
      ? undefined
      : await createFolderSource(app.folder).readText(entryPoint);
    return code === undefined ? undefined : {
      code,
      filename: entryPoint!,
      stem: basename(entryPoint!, ".py"),
      python: { cwd: null, path: null, file: null, home: null },
      input: true,
      timeout: call.timeout,
      save,
    };
  });
}

/** Where code without a manifest works: where its user does, with its own folder first among those of modules. */
async function workplace(call: Run, path: string | undefined) {
  const cwd = Deno.cwd();
  // Python looks for modules beside the file itself, also when it was called by a link.
  const folder = path === undefined ? cwd : dirname(await Deno.realPath(path));
  return {
    name: path === undefined ? "run" : basename(path),
    folder,
    python: {
      cwd,
      path: path === undefined ? "" : folder,
      file: path ?? null,
      home: homeOf(call),
    },
  };
}

/** Code without a manifest. */
async function runCode(
  call: Run,
  target: Extract<Target, { kind: "code" | "stdin" | "script" }>,
): Promise<number> {
  const path = target.kind === "script" ? target.path : undefined;
  const { python, ...place } = await workplace(call, path);
  const [name, code] = target.kind === "code"
    ? ["-c", target.code]
    : target.kind === "stdin"
    ? ["-", await readStandardInput()]
    : [target.name, await readScript(target.path, target.name)];
  const filename = path ?? (target.kind === "code" ? "<string>" : "<stdin>");
  const stem = path === undefined ? "output" : basename(path).replace(/\.pyw?$/, "");
  const metadata = readCodeMetadata(code, path === undefined ? filename : name);
  const where = { ...place, argv: [name, ...call.passed] };
  const request = await codeRequest(call, metadata, where, terminalVariables(call.context));
  return await start(call, request, () =>
    Promise.resolve({
      code,
      filename,
      stem,
      python,
      input: target.kind !== "stdin",
      timeout: call.timeout,
      save: [],
    }));
}

/**
 * The home directory of code: the user's own where it may write there, as everybody expects of a home. Otherwise it is
 * the session's.
 */
function homeOf({ options, context }: Run): string | null {
  const free = isolationOption(options.values.isolation as string | undefined) === "off";
  return free ? context.environment("HOME") ?? null : null;
}

/** What tells programs how to print where their output goes, since they do not see a terminal themselves. */
function terminalVariables({ colour, columns }: CommandContext): Record<string, string> {
  return {
    ...(colour.stdout ? { FORCE_COLOR: "1" } : {}),
    ...(columns === undefined ? {} : { COLUMNS: String(columns) }),
  };
}

/** A prompt where its user works, after a script or code was run, as by `python -i`. */
async function runPrompt(call: Run, target: Target | undefined): Promise<number> {
  const kind = target?.kind;
  if (call.report !== undefined) throw usage("--report and --repl cannot stand together");
  if (target !== undefined && target.kind !== "script" && target.kind !== "code") {
    throw usage("--repl takes a script or -c with code, or nothing");
  }
  const path = target?.kind === "script" ? target.path : undefined;
  const code = target?.kind === "script"
    ? await readScript(target.path, target.name)
    : target?.kind === "code"
    ? target.code
    : undefined;
  const filename = path ?? "<string>";
  const { python, ...place } = await workplace(call, path);
  const request = await codeRequest(call, readCodeMetadata(code ?? "", filename), {
    ...place,
    argv: [kind === "script" ? target!.name : kind === "code" ? "-c" : "", ...call.passed],
  });
  const { context, outputDir } = call;
  return await interruptible(context, async (signal) => {
    const { repl } = await import("./repl.ts");
    return await withSession(
      request,
      assembleOptions(call, place.folder),
      { context, signal },
      async (session) => {
        const prepare = startCode({ ...python, stdin: null });
        await session.execute({ code: prepare, silent: true, signal });
        const first = code === undefined ? undefined : { code, filename };
        return await repl(session, { context, outputDir, signal, first });
      },
    );
  });
}

/** The request of code that has metadata instead of a manifest. */
async function codeRequest(
  { choice, context }: Run,
  metadata: CodeMetadata | undefined,
  where: Pick<LocalRequest, "name" | "folder" | "argv">,
  variables: Record<string, string> = {},
): Promise<LocalRequest> {
  const line = new ProgressLine(context);
  for (const message of metadata?.warnings ?? []) line.show({ type: "warning", message });
  const { dependencies = [], channels = [] } = metadata ?? {};
  const own: Manifest = {
    ...(dependencies.length === 0 ? {} : { dependencies }),
    ...(channels.length === 0 ? {} : { channels }),
  };
  const { manifest, parts } = await readParts(own, undefined, choice);
  const env = { ...variables, ...userVariables(Deno.env.toObject()), ...parts.env };
  return { ...where, manifest, parts: { ...parts, env } };
}

/** Starts a session and runs a script in it. */
async function start(
  call: Run,
  request: LocalRequest,
  readScript: () => Promise<Script | undefined>,
): Promise<number> {
  const { context, outputDir, report } = call;
  return await interruptible(context, async (signal, interrupted) => {
    const script = await readScript();
    const code = await withSession(
      request,
      assembleOptions(call, request.folder),
      { context, signal },
      async (session) => {
        if (script === undefined) {
          const missing = "The manifest names no entry_point and no script was given";
          context.print(`${missing}: nothing to run.`);
          return 0;
        }
        const { code, notebook } = await runScript(session, script, { outputDir, context, signal });
        await writeReportOf(notebook, report, basename(script.filename), context);
        return code;
      },
    );
    // A script may answer an interruption by ending well.
    return code === 0 ? code : interrupted() ?? code;
  });
}

async function runNotebookFile(call: Run, path: string, name: string): Promise<number> {
  const { options, context, timeout, report } = call;
  const settings = await readNotebookSettings(path, options);
  const notebook = await loadNotebook(path, name);
  applyParameters(notebook, settings.parameters, context);
  const code = notebook.cells.filter((cell) => cell.cell_type === "code").map((cell) =>
    cell.source
  );
  const folder = dirname(path);
  const request = await codeRequest(call, readNotebookMetadata(notebook.metadata, code, name), {
    name: basename(path),
    folder,
    argv: [name, ...call.passed],
  });
  return await interruptible(context, async (stop, interrupted) => {
    const result = await withSession(
      request,
      assembleOptions(call, folder),
      { context, signal: stop },
      async (session) => {
        const late = timeout === undefined ? undefined : AbortSignal.timeout(timeout);
        const signal = late === undefined ? stop : AbortSignal.any([stop, late]);
        try {
          const run = { path, settings, home: homeOf(call) };
          return await executeNotebook(session, notebook, run, { context, signal });
        } finally {
          if (late?.aborted && !stop.aborted) {
            context.write("stderr", `Error: the notebook took longer than ${timeout! / 1000} s\n`);
          }
          await writeReportOf(notebook, report, basename(path), context);
        }
      },
    );
    return result === 0 ? result : interrupted() ?? result;
  });
}

async function writeReportOf(
  notebook: Notebook,
  path: string | undefined,
  title: string,
  context: CommandContext,
): Promise<void> {
  if (path === undefined) return;
  try {
    await writeReport(notebook, path, title);
  } catch (error) {
    throw usage(`Cannot write --report ${path}: ${messageOf(error)}`);
  }
  context.write("stderr", `[report saved to ${path}]\n`);
}
