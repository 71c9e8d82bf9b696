/** Runs Python text in the environment that has Hypha's Python client. */
import { requireStack, stackPaths } from "./stack.ts";

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

/** Runs `script` to its end; a non-zero exit code is a result, not an exception. */
export async function runPythonClient(
  script: string,
  options: PythonClientOptions = {},
): Promise<PythonClientResult> {
  requireStack();
  const { env = {}, stdin = "", ...rest } = options;
  const child = new Deno.Command(stackPaths.hyphaPython, {
    args: ["-c", script],
    env: { no_proxy: "*", PYTHONUNBUFFERED: "1", ...env },
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
