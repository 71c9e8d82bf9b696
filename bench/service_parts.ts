/** The processes that the service is measured with: the echo, the reference worker, and the client that calls. */
import { dirname, fromFileUrl, join } from "@std/path";
import { managerPath, stackPaths } from "../tests/stack/stack.ts";
import type { Stage } from "../tests/e2e/stage.ts";

const folder = dirname(fromFileUrl(import.meta.url));
const USER = "user-1";
const ANSWER = "ANSWER ";

/** A program that runs until it is ended. */
export class Part implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #errors: Promise<string>;
  readonly #lines: AsyncGenerator<string>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #name: string;

  /** Starts it. */
  constructor(name: string, program: string, args: string[], env: Record<string, string>) {
    this.#name = name;
    this.#child = new Deno.Command(program, {
      args,
      env: { no_proxy: "*", PYTHONUNBUFFERED: "1", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#errors = new Response(this.#child.stderr).text();
    this.#lines = linesOf(this.#child.stdout);
    this.#writer = this.#child.stdin.getWriter();
  }

  /** Gives it a line. */
  async tell(line: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${line}\n`));
  }

  /** The next line it prints. @throws when it ends instead */
  async line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error(`${this.#name} ended: ${await this.#errors}`);
    return value;
  }

  /** The JSON of the next line that is marked as an answer; Hypha's client prints as well. @throws as `line` */
  async answer<T>(): Promise<T> {
    for (;;) {
      const line = await this.line();
      if (line.startsWith(ANSWER)) return JSON.parse(line.slice(ANSWER.length)) as T;
    }
  }

  /** Waits for a line that contains a text. @throws when it ends before */
  async printed(text: string): Promise<void> {
    while (!(await this.line()).includes(text)) { /* go on */ }
  }

  /** Closes its input and waits until it has ended by itself. @throws when it fails */
  async finished(): Promise<void> {
    await this.#writer.close().catch(() => {});
    const rest = Array.fromAsync(this.#lines);
    const { success } = await this.#child.status;
    await rest;
    if (!success) throw new Error(`${this.#name} failed: ${await this.#errors}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await this.#writer.close().catch(() => {});
    await this.#lines.return(undefined);
    await this.#child.status;
    await this.#errors;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== "") yield rest;
}

/** Variables for a program that connects as the user of the stage's worker. */
export async function clientVariables(stage: Stage): Promise<Record<string, string>> {
  const token = await stage.server.userToken({ user: USER, expiresInSeconds: 24 * 3600 });
  return {
    SERVER: stage.server.url,
    WORKSPACE: stage.server.workspaceOf(USER),
    CHANNEL: stackPaths.channel,
    TOKEN: token,
    // The words of the worker's command line, for those that take them from there.
    HYPHA_TOKEN: token,
  };
}

/** Starts the echo service. */
export async function startEcho(stage: Stage): Promise<Part> {
  const args = ["run", "--quiet", "--allow-all", join(folder, "service_echo.ts")];
  const part = new Part("the echo", stackPaths.deno, args, await clientVariables(stage));
  await part.printed("registered successfully");
  return part;
}

/** Starts Hypha's own conda worker; sessions ask for an environment that it has. */
export async function startReference(stage: Stage, environment: string): Promise<Part> {
  const [library] = await Array.fromAsync(Deno.readDir(join(environment, "lib")));
  const packages = join(environment, "lib", library!.name, "site-packages");
  const own = join(stage.directory, "reference");
  const part = new Part("the reference worker", stackPaths.hyphaPython, [
    join(folder, "service_reference.py"),
    packages,
    environment,
    join(own, "cache"),
    `--server-url=${stage.server.url}`,
    `--workspace=${stage.server.workspaceOf(USER)}`,
    `--working-dir=${join(own, "sessions")}`,
    "--service-id=reference-worker",
  ], {
    ...await clientVariables(stage),
    PATH: `${managerPath()}:${Deno.env.get("PATH")}`,
    TMPDIR: stage.directory,
  });
  await part.printed("registered successfully");
  return part;
}

/** Starts the client in a mode; its result is in the file it is given. */
export async function startClient(
  stage: Stage,
  mode: string,
  result: string,
  env: Record<string, string> = {},
): Promise<Part> {
  return new Part(
    `the client (${mode})`,
    stackPaths.hyphaPython,
    [join(folder, "service_client.py")],
    { ...await clientVariables(stage), MODE: mode, RESULT: result, ...env },
  );
}

/** Runs the client to its end. */
export async function runClient(
  stage: Stage,
  mode: string,
  env: Record<string, string> = {},
): Promise<Record<string, number[]>> {
  const result = join(stage.directory, `${mode}.json`);
  await using client = await startClient(stage, mode, result, env);
  await client.finished();
  return JSON.parse(await Deno.readTextFile(result));
}
