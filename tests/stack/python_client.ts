/** Runs Python text in the environment that has Hypha's Python client. */
import { join } from "@std/path";
import { requireStack, stackPaths } from "./stack.ts";
import { WarmProgram } from "./warm.ts";

/** What {@linkcode runPythonClient} may be told. */
export interface PythonClientOptions {
  /** Variables the text finds in `os.environ`, besides the caller's own. */
  env?: Record<string, string>;
  /** Text for its standard input; default: empty. */
  stdin?: string;
  /** Its working directory. */
  cwd?: string;
  /** Kills it. */
  signal?: AbortSignal;
}

/** What came of it. */
export interface PythonClientResult {
  /** The exit code. */
  code: number;
  /** Everything it printed. */
  stdout: string;
  /** Everything it complained about. */
  stderr: string;
}

const VARIABLES = { no_proxy: "*", PYTHONUNBUFFERED: "1" };

/** Runs `script` where programs start as forks, if they do. */
async function runWarm(
  script: string,
  { env = {}, stdin = "", cwd, signal }: PythonClientOptions,
): Promise<PythonClientResult | undefined> {
  signal?.throwIfAborted();
  const directory = await Deno.makeTempDir({ prefix: "client-" });
  try {
    const [out, err] = [join(directory, "stdout"), join(directory, "stderr")];
    const program = await WarmProgram.start("hypha", {
      code: script,
      env: { ...Deno.env.toObject(), ...VARIABLES, ...env },
      cwd: cwd ?? Deno.cwd(),
      stdin,
      stdout: out,
      stderr: err,
    });
    if (program === undefined) return undefined;
    const stop = () => void program.stop();
    signal?.addEventListener("abort", stop);
    const code = await program.ended;
    signal?.removeEventListener("abort", stop);
    const text = async (path: string) => new TextDecoder().decode(await Deno.readFile(path));
    // As shells and Deno.Command tell of signals.
    return { code: code < 0 ? 128 - code : code, stdout: await text(out), stderr: await text(err) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Runs `script` to its end; a non-zero exit code is a result, not an exception. */
export async function runPythonClient(
  script: string,
  options: PythonClientOptions = {},
): Promise<PythonClientResult> {
  requireStack();
  const warm = await runWarm(script, options);
  if (warm !== undefined) return warm;
  const { env = {}, stdin = "", ...rest } = options;
  const child = new Deno.Command(stackPaths.hyphaPython, {
    args: ["-c", script],
    env: { ...VARIABLES, ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    ...rest,
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
