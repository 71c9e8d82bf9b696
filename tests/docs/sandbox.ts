/**
 * Where the blocks of one document run: a directory with copies of the examples, the program on PATH, a package
 * manager, and what a running server gives. What a block exports, and where it goes, holds for the next one.
 */
import { dirname, join } from "@std/path";
import { copy, exists } from "./files.ts";
import { startCommand } from "../e2e/worker_process.ts";
import type { HyphaServer } from "../stack/hypha.ts";
import { stackPaths } from "../stack/stack.ts";
import type { Block } from "./markdown.ts";

/** Longest time of one block (seconds); nothing in the documents takes a tenth of it on a quiet machine. */
const BLOCK_SECONDS = 240;
/** What a reader has to put their own in place of. */
const PLACEHOLDERS = {
  server: "https://hypha.aicell.io",
  workspace: "my-workspace",
  token: "my-token",
};

/** Built once: these tests are not about environments. Documents that are take a cache of their own. */
export const sharedCache: string = join(stackPaths.tools, "cache", "docs-tests");

/** What all documents share. */
export interface Surroundings {
  readonly server: HyphaServer;
  readonly user: string;
  readonly token: string;
  /** Full id of the worker that serves the user's workspace, where the document does not start one itself. */
  readonly workerId: string | undefined;
  /** Directory with a package manager, for PATH. */
  readonly managers: string;
  readonly cacheDir: string;
}

/**
 * Makes a directory with a package manager that finds conda-forge and bioconda where there is no network: in the
 * channel of the test stack. Everything else is the stack's stand-in for mamba.
 */
export async function managersWithChannels(directory: string): Promise<string> {
  await Deno.mkdir(directory, { recursive: true });
  const script = `#!/bin/sh
n=$#
while [ "$n" -gt 0 ]; do
  word=$1
  shift
  case $word in
  conda-forge | bioconda) word=${stackPaths.channel} ;;
  conda-forge::*) word=${stackPaths.channel}::\${word#conda-forge::} ;;
  esac
  set -- "$@" "$word"
  n=$((n - 1))
done
exec ${join(stackPaths.tools, "managers", "mamba", "bin", "mamba")} "$@"
`;
  await Deno.writeTextFile(join(directory, "mamba"), script, { mode: 0o755 });
  return directory;
}

/** What came of a block that failed. */
export class BlockError extends Error {
  constructor(block: Block, problem: string, output: string) {
    super(`${block.document}:${block.line}: ${problem}\n${output.trimEnd()}`);
  }
}

/** A document's own place. */
export class Sandbox implements AsyncDisposable {
  readonly #directory: string;
  readonly #around: Surroundings;
  readonly #background: Background[] = [];
  #cells: Cells | undefined;

  private constructor(directory: string, around: Surroundings) {
    this.#directory = directory;
    this.#around = around;
  }

  /** Makes one. */
  static async make(around: Surroundings): Promise<Sandbox> {
    const sandbox = new Sandbox(await Deno.makeTempDir({ prefix: "docs-" }), around);
    await sandbox.#furnish();
    return sandbox;
  }

  get #work(): string {
    return join(this.#directory, "work");
  }

  async #furnish(): Promise<void> {
    const { server, user, token, managers, cacheDir, workerId } = this.#around;
    for (const name of ["work", "bin", "home/.config", "tmp"]) {
      await Deno.mkdir(join(this.#directory, name), { recursive: true });
    }
    // What lies in a checkout; examples are copied, as documents may write beside them, and so is what Deno may write.
    for (const name of ["examples", "deno.json", "deno.lock"]) {
      await copy(join(stackPaths.root, name), join(this.#work, name));
    }
    for (const name of ["deploy", "docs", "lib", "scripts", "main.ts"]) {
      if (await exists(join(stackPaths.root, name))) {
        await Deno.symlink(join(stackPaths.root, name), join(this.#work, name));
      }
    }
    await Deno.writeTextFile(join(this.#work, "token.txt"), token, { mode: 0o600 });
    const bin = join(this.#directory, "bin");
    const words = [stackPaths.deno, ...await startCommand()].map((word) =>
      word === "main.ts"
        ? `--config ${join(stackPaths.root, "deno.json")} ${join(stackPaths.root, "main.ts")}`
        : word
    );
    const program = `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`;
    await Deno.writeTextFile(join(bin, "hypha-conda-worker"), program, { mode: 0o755 });
    for (const name of ["python", "python3"]) {
      const python = `#!/bin/sh\nexec ${stackPaths.hyphaPython} "$@"\n`;
      await Deno.writeTextFile(join(bin, name), python, { mode: 0o755 });
    }
    const home = Deno.env.get("HOME") ?? "/";
    // Mirrors and certificates of this machine.
    if (await exists(join(home, ".config", "pip"))) {
      await Deno.symlink(join(home, ".config", "pip"), join(this.#directory, "home/.config/pip"));
    }
    const kept = ["LANG", "DENO_TLS_CA_STORE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"];
    const inherited = Object.entries(Deno.env.toObject()).filter(([name]) =>
      kept.includes(name) || /^PIP_|^(?:https?|no)_proxy$/i.test(name)
    );
    const variables: Record<string, string> = {
      ...Object.fromEntries(inherited),
      PATH: `${bin}:${managers}:${dirname(stackPaths.deno)}:/usr/local/bin:/usr/bin:/bin`,
      HOME: join(this.#directory, "home"),
      TMPDIR: join(this.#directory, "tmp"),
      DENO_DIR: Deno.env.get("DENO_DIR") ??
        join(Deno.env.get("XDG_CACHE_HOME") ?? join(home, ".cache"), "deno"),
      NO_COLOR: "1",
      no_proxy: "*",
      PYTHONUNBUFFERED: "1",
      HYPHA_CACHE_DIR: cacheDir,
      // More than all documents ask for, or they would make each other's room.
      HYPHA_MAX_ENVIRONMENTS: "100",
      HYPHA_SERVER_URL: server.url,
      HYPHA_WORKSPACE: server.workspaceOf(user),
      HYPHA_TOKEN: token,
      DOCS_SERVER: server.url,
      DOCS_WORKSPACE: server.workspaceOf(user),
      DOCS_TOKEN: token,
      DOCS_WORKER: workerId ?? "",
    };
    const exports = Object.entries(variables).map(([name, value]) =>
      `export ${name}='${value.replaceAll("'", `'\\''`)}'\n`
    );
    await Deno.writeTextFile(this.#state, `${exports.join("")}cd '${this.#work}'\n`);
  }

  /** The shell's variables and directory between two blocks, as a script. */
  get #state(): string {
    return join(this.#directory, "state.sh");
  }

  /** A block's text with this server's address and the like in place of what stands for them. */
  async #fill(text: string): Promise<string> {
    const { server, user, token } = this.#around;
    const replacements: [string, string][] = [
      [PLACEHOLDERS.server, server.url],
      [PLACEHOLDERS.workspace, server.workspaceOf(user)],
      [PLACEHOLDERS.token, token],
    ];
    const state = await Deno.readTextFile(this.#state);
    for (const match of state.matchAll(/^(?:declare -x|export) REPLACE_(\w+)=["']?(.*?)["']?$/gm)) {
      replacements.push([match[1]!, match[2]!]);
    }
    return replacements.reduce((filled, [from, to]) => filled.replaceAll(from, to), text);
  }

  /** Runs a block, or writes it to its file. Throws {@linkcode BlockError}. */
  async run(block: Block): Promise<void> {
    if (block.file !== undefined) {
      const path = join(await this.#cwd(), block.file);
      await Deno.mkdir(dirname(path), { recursive: true });
      await Deno.writeTextFile(path, await this.#fill(block.text));
    } else if (block.language === "sh") await this.#runShell(block);
    else if (block.language === "python") await this.#runPython(block);
  }

  async #cwd(): Promise<string> {
    const state = await Deno.readTextFile(this.#state);
    return /^cd '?(.*?)'?$/m.exec(state.trimEnd().split("\n").at(-1)!)?.[1] ?? this.#work;
  }

  async #shellScript(block: Block): Promise<string> {
    const path = join(this.#directory, `block-${block.line}.sh`);
    const save = `{ export -p; printf "cd '%s'\\n" "$PWD"; } > '${this.#state}.new' && ` +
      `mv '${this.#state}.new' '${this.#state}'`;
    await Deno.writeTextFile(
      path,
      `. '${this.#state}'\nset -e -o pipefail\n` +
        (block.background === undefined
          ? `trap '_code=$?; ${save.replaceAll("'", `'\\''`)}; exit $_code' EXIT\n`
          : "") +
        await this.#fill(block.text),
    );
    return path;
  }

  async #runShell(block: Block): Promise<void> {
    const script = await this.#shellScript(block);
    if (block.background !== undefined) {
      const started = new Background(script);
      this.#background.push(started);
      if (!await started.printed(block.background)) {
        throw new BlockError(block, `it never printed ${block.background}`, started.output);
      }
      return;
    }
    const { code, stdout, stderr } = await new Deno.Command("timeout", {
      args: ["--kill-after=10", `${BLOCK_SECONDS}`, "bash", script],
      clearEnv: true,
      env: { PATH: "/usr/bin:/bin" },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    const output = decoder.decode(stdout) + decoder.decode(stderr);
    if (code !== block.exit) {
      throw new BlockError(block, `exit code ${code} instead of ${block.exit}`, output);
    }
  }

  async #runPython(block: Block): Promise<void> {
    // A program of its own brings its own event loop.
    if (!block.session && /\basyncio\.run\(/.test(block.text)) {
      const path = join(this.#directory, `block-${block.line}.py`);
      await Deno.writeTextFile(path, await this.#fill(block.text));
      return await this.#runShell({ ...block, text: `python '${path}'\n` });
    }
    this.#cells ??= await Cells.start(this.#state);
    const code = await this.#fill(block.text);
    const error = await this.#cells.run({
      code: block.session ? inSession(code) : code,
      file: block.document,
      line: block.session ? 1 : block.line,
    });
    if (error !== null) throw new BlockError(block, "it failed", error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cells?.stop();
    for (const one of this.#background.reverse()) await one.stop();
    await Deno.remove(this.#directory, { recursive: true });
  }
}

/** Client code that runs code in the session that the document's variable `session` names. */
function inSession(code: string): string {
  return `
_ran = await worker.execute(
    session["id"] if isinstance(session, dict) else session, ${
    JSON.stringify(code)
  }, config={"timeout": 120}
)
if _ran["status"] != "ok":
    raise RuntimeError("\\n".join(_ran["error"]["traceback"]))
`;
}

/** A command that goes on while other blocks run. */
class Background {
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  #over = false;
  #wake: () => void = () => {};
  /** What it has printed. */
  output = "";

  constructor(script: string) {
    this.#child = new Deno.Command("setsid", {
      args: ["bash", script],
      clearEnv: true,
      env: { PATH: "/usr/bin:/bin" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const read = async (stream: ReadableStream<Uint8Array>) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) {
        this.output += text;
        this.#wake();
      }
    };
    this.#reading = Promise.all([read(this.#child.stdout), read(this.#child.stderr)]).then(() => {
      this.#over = true;
      this.#wake();
    });
  }

  /** Waits until it has printed a text; false when it has not and never will. */
  async printed(text: string): Promise<boolean> {
    const timer = setTimeout(() => {
      this.#over = true;
      this.#wake();
    }, BLOCK_SECONDS * 1000);
    while (!this.output.includes(text) && !this.#over) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    clearTimeout(timer);
    return this.output.includes(text);
  }

  /** Ends it as Ctrl-C does: everything it started, too. */
  async stop(): Promise<void> {
    try {
      Deno.kill(-this.#child.pid, "SIGTERM");
    } catch {
      // It has ended by itself.
    }
    await this.#child.status;
    await this.#reading;
  }
}

/** The process that runs Python blocks. */
class Cells {
  readonly #child: Deno.ChildProcess;
  readonly #mark: string;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;
  readonly #stderr: Promise<string>;
  #prepared = false;

  private constructor(child: Deno.ChildProcess, mark: string) {
    this.#child = child;
    this.#mark = mark;
    this.#stdin = child.stdin.getWriter();
    this.#lines = lines(child.stdout);
    this.#stderr = new Response(child.stderr).text();
  }

  /** Starts it with the variables and the directory of the shell. */
  static async start(state: string): Promise<Cells> {
    const mark = `--${crypto.randomUUID()}--`;
    const script = join(stackPaths.root, "tests", "docs", "cells.py");
    const child = new Deno.Command("bash", {
      args: ["-c", `. '${state}'; exec python '${script}' ${mark}`],
      clearEnv: true,
      env: { PATH: "/usr/bin:/bin" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return await Promise.resolve(new Cells(child, mark));
  }

  /** Runs a block; returns what it printed and its traceback when it failed, else `null`. */
  async run(request: { code: string; file: string; line: number }): Promise<string | null> {
    if (!this.#prepared) {
      this.#prepared = true;
      const prelude = join(stackPaths.root, "tests", "docs", "client_prelude.py");
      const failed = await this.#ask({
        code: await Deno.readTextFile(prelude),
        file: prelude,
        line: 1,
      });
      if (failed !== null) return failed;
    }
    return await this.#ask(request);
  }

  async #ask(request: { code: string; file: string; line: number }): Promise<string | null> {
    await this.#stdin.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
    let output = "";
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) return `${output}\n${await this.#stderr}`;
      if (value.startsWith(this.#mark)) {
        const { error } = JSON.parse(value.slice(this.#mark.length)) as { error: string | null };
        return error === null ? null : `${output}\n${error}`;
      }
      output += value + "\n";
    }
  }

  async stop(): Promise<void> {
    await this.#stdin.close().catch(() => {});
    // Whatever it says at its end interests nobody.
    while (!(await this.#lines.next()).done);
    await this.#child.status;
    await this.#stderr;
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  if (rest !== "") yield rest;
}
