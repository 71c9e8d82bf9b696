/** What the tests of the packages share: running programs, a server of files, and saying aloud what is skipped. */
import { join } from "@std/path";
import { stackPaths } from "../stack/stack.ts";

/** How a program ended, and what it printed. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What {@linkcode execute} may be told. */
export interface ExecuteOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Whether the program gets the variables of the tests besides `env`. @default true */
  readonly inherit?: boolean;
  readonly stdin?: string;
}

/** Runs a program to its end. */
export async function execute(
  program: string,
  args: readonly string[],
  options: ExecuteOptions = {},
): Promise<Ended> {
  const child = new Deno.Command(program, {
    args: [...args],
    cwd: options.cwd ?? stackPaths.root,
    env: options.env ?? {},
    clearEnv: options.inherit === false,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    // A program that has ended does not read.
    await writer.write(new TextEncoder().encode(options.stdin)).catch(() => {});
    await writer.close().catch(() => {});
  }
  const { code, stdout, stderr } = await output;
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A program that `scripts/setup.sh` has brought, or that of the machine; `undefined` when there is none. */
export function tool(name: string): string | undefined {
  const places = [
    join(stackPaths.tools, "packages", "bin"),
    join(stackPaths.tools, "lint", "bin"),
    join(stackPaths.tools, "kube"),
    ...(Deno.env.get("PATH") ?? "").split(":"),
  ];
  return places.map((place) => join(place, name)).find((path) => {
    try {
      const { isFile, mode } = Deno.statSync(path);
      return isFile && ((mode ?? 0) & 0o111) !== 0;
    } catch {
      return false;
    }
  });
}

/** Whether something is there that a test needs. If not, a line says so that cannot be overlooked. */
export function available(what: boolean, test: string, how: string): boolean {
  if (!what) console.error(`SKIPPED, NOTHING IS CHECKED: "${test}" needs ${how}`);
  return what;
}

/** A test that needs a program, which a part of `scripts/setup.sh` brings; without it the test is ignored. */
export function testWith(
  name: string,
  program: string,
  part: string,
  body: (path: string) => Promise<void>,
): void {
  const path = tool(program);
  const there = available(path !== undefined, name, `${program}: run scripts/setup.sh ${part}`);
  Deno.test({ name, ignore: !there, fn: () => body(path!) });
}

/** A temporary directory that is removed at the end. */
export class Folder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** Makes one. */
  static async make(prefix = "packages-"): Promise<Folder> {
    return new Folder(await Deno.makeTempDir({ prefix }));
  }

  /** Writes a file, with the directories it needs, and gives its path. */
  async write(name: string, content: string | Uint8Array, mode?: number): Promise<string> {
    const path = join(this.path, name);
    await Deno.mkdir(join(path, ".."), { recursive: true });
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(path, bytes);
    if (mode !== undefined) await Deno.chmod(path, mode);
    return path;
  }

  /** Paths of all files in it, relative and sorted. */
  async files(below = ""): Promise<string[]> {
    const found: string[] = [];
    for await (const entry of Deno.readDir(join(this.path, below))) {
      const name = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory) found.push(...await this.files(name));
      else found.push(name);
    }
    return found.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** What a path of a {@linkcode FileServer} answers. */
export type Answer = Uint8Array | "cut off" | { redirect: string };

/** Serves files on this machine; paths it does not know are 404. */
export class FileServer implements AsyncDisposable {
  readonly answers = new Map<string, Answer>();
  /** Paths that were asked for, in order. */
  readonly asked: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** Announces more than it sends. */
  readonly #cutter = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  readonly #cutting: Promise<void>;

  constructor() {
    this.#cutting = cutOff(this.#cutter);
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {} },
      (request) => this.#answer(new URL(request.url).pathname),
    );
  }

  /** Address, without a slash at the end. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Puts a text or bytes at a path. */
  put(path: string, content: string | Uint8Array): void {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    this.answers.set(path, bytes);
  }

  #answer(path: string): Response {
    this.asked.push(path);
    const answer = this.answers.get(path);
    if (answer === undefined) return new Response("not found", { status: 404 });
    if (answer === "cut off") return redirection(`http://127.0.0.1:${this.#cutter.addr.port}/`);
    if ("redirect" in answer) return redirection(answer.redirect);
    return new Response(answer as Uint8Array<ArrayBuffer>);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cutter.close();
    await this.#cutting;
    await this.#server.shutdown();
  }
}

function redirection(location: string): Response {
  return new Response(null, { status: 302, headers: { location } });
}

/** Answers every request with the first part of what it announces, until the listener is closed. */
async function cutOff(listener: Deno.Listener): Promise<void> {
  const head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n";
  for await (const connection of listener) {
    try {
      await connection.read(new Uint8Array(10_000));
      await connection.write(new TextEncoder().encode(head + "x".repeat(1000)));
    } catch {
      // The other side has gone.
    } finally {
      connection.close();
    }
  }
}

/** The sum of bytes as `sha256sum` has it. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
