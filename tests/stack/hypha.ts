/**
 * A real Hypha server, with a real S3 service behind it, for one test or one test file.
 *
 * Both run under `supervisor.py`, which kills them when this process closes its end of a pipe, however
 * this process ends. Ports are picked by binding one and letting go; when somebody else takes one
 * in between, the start is tried again with others.
 */
import { join } from "@std/path";
import { requireStack, stackPaths } from "./stack.ts";
import { type WarmKind, WarmProgram } from "./warm.ts";

/** What {@linkcode startHypha} may be told. */
export interface HyphaOptions {
  /** Where data and logs go; default: a temporary directory that `stop` removes. */
  dir?: string;
  /** The port of the server; default: a free one. */
  port?: number;
  /** How long the start may take, in milliseconds; default 240 seconds, for machines that are slow. */
  timeout?: number;
}

/** The user a token is for. */
export interface TokenOptions {
  /** The user id, such as `user-1`. */
  user: string;
  /** The workspace the token opens as admin; default: the user's own. */
  workspace?: string;
  /** Default: one hour. Negative for a token that has expired. */
  expiresInSeconds?: number;
  /** The whole scope claim, instead of the one made from `workspace`. */
  scope?: string;
}

const READY_POLL_MS = 100;
const START_ATTEMPTS = 3;

/** Starts a server and resolves when it is ready (about 8 seconds). */
export async function startHypha(options: HyphaOptions = {}): Promise<HyphaServer> {
  requireStack();
  const own = options.dir === undefined;
  const dir = options.dir ?? await Deno.makeTempDir({ prefix: "hypha-" });
  await Deno.mkdir(dir, { recursive: true });
  const server = new HyphaServer(dir, own, options);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

/** A running server; stop it, or hold it with `await using`. */
export class HyphaServer implements AsyncDisposable {
  /** Opens everything: connect with it to act as root. */
  readonly rootToken = "root-token-of-the-test-stack-".padEnd(72, "0");
  #dir: string;
  #ownsDir: boolean;
  #timeout: number;
  #fixedPort: number | undefined;
  #port = 0;
  #secret: string = crypto.randomUUID();
  #process: Deno.ChildProcess | undefined;
  /** The servers, where they start as forks. */
  readonly #forks: WarmProgram[] = [];

  /** Use {@linkcode startHypha}. */
  constructor(dir: string, ownsDir: boolean, options: HyphaOptions) {
    this.#dir = dir;
    this.#ownsDir = ownsDir;
    this.#timeout = options.timeout ?? 240_000;
    this.#fixedPort = options.port;
  }

  /** The address of the server; the same after a restart. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Where its data and logs are. */
  get dir(): string {
    return this.#dir;
  }

  /** The workspace of a user. */
  workspaceOf(user: string): string {
    return `ws-user-${user}`;
  }

  /** Makes a token as the identity provider would, signed with the secret of the server. */
  async userToken(options: TokenOptions): Promise<string> {
    const { user, workspace = this.workspaceOf(user), expiresInSeconds = 3600 } = options;
    const now = Math.floor(Date.now() / 1000);
    return await signToken(this.#secret, {
      iss: "https://amun.ai/",
      sub: user,
      aud: "https://amun-ai.eu.auth0.com/api/v2/",
      iat: now + Math.min(0, expiresInSeconds) - 1,
      exp: now + expiresInSeconds,
      scope: options.scope ?? `ws:${workspace}#a`,
      gty: "client-credentials",
      "https://amun.ai/roles": [],
      "https://amun.ai/email": `${user}@example.com`,
    });
  }

  /**
   * Starts the servers on free ports. A server that ends at once, as on a port that somebody else
   * was given in between, is tried again on other ports.
   */
  async start(): Promise<void> {
    for (let attempt = 1;; attempt++) {
      this.#port = this.#fixedPort ?? (this.#port || freePort());
      const ended = await this.#launch(freePort());
      if (ended === undefined) return;
      await this.#kill();
      if (attempt === START_ATTEMPTS || !/address already in use|Errno 98/i.test(ended)) {
        throw new Error(`Cannot start the Hypha server: ${ended}`);
      }
      this.#port = 0;
    }
  }

  /**
   * Kills the server and starts it again at the same address with its artifacts; sessions, services
   * and S3 objects are gone. With another secret, older user tokens become invalid.
   */
  async restart(options: { secret?: string } = {}): Promise<void> {
    await this.#kill();
    this.#secret = options.secret ?? this.#secret;
    await this.start();
  }

  /** Kills the server and everything it has started; its temporary directory is removed. */
  async stop(): Promise<void> {
    await this.#kill();
    if (this.#ownsDir) await Deno.remove(this.#dir, { recursive: true }).catch(() => {});
  }

  /** The same as {@linkcode stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** The last lines of the server's log. */
  async logTail(lines = 30): Promise<string> {
    const text = await Deno.readTextFile(join(this.#dir, "hypha.log")).catch(() => "");
    return text.trimEnd().split("\n").slice(-lines).join("\n");
  }

  /** Resolves when the server is ready, or with the reason when it is not going to be. */
  async #launch(s3Port: number): Promise<string | undefined> {
    const [s3, hypha] = [this.#s3(s3Port), this.#hypha(s3Port)];
    // A tail from an earlier start would explain the wrong failure.
    for (const { log } of [s3, hypha]) await Deno.remove(log).catch(() => {});
    const over = new AbortController();
    if (!await this.#fork("moto", s3, over)) this.#supervise([s3, hypha], over);
    else {
      // Ready so soon that it would not find the other.
      const found = await this.#ready(`http://127.0.0.1:${s3Port}/`, over.signal);
      if (found !== undefined) return found;
      await this.#fork("hypha", hypha, over);
    }
    return await this.#ready(`${this.url}/health/readiness`, over.signal);
  }

  /** Resolves when an address answers, or with the reason when it does not. */
  async #ready(url: string, over: AbortSignal): Promise<string | undefined> {
    const deadline = Date.now() + this.#timeout;
    while (Date.now() < deadline) {
      if (over.aborted) return `it ended early; its log says\n${await this.logTail()}`;
      if (await answers(url)) return undefined;
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
    return `not ready after ${this.#timeout / 1000} s; its log says\n${await this.logTail()}`;
  }

  /** Starts a server as a fork; false where nothing can be forked. */
  async #fork(kind: WarmKind, command: ServerCommand, over: AbortController): Promise<boolean> {
    const { argv: [, , module, ...args], env, cwd, log } = command;
    const output = { stdout: log, stderr: log };
    const program = await WarmProgram.start(kind, { module: module!, args, env, cwd, ...output });
    if (program === undefined) return false;
    this.#forks.push(program);
    program.ended.catch(() => {}).then(() => over.abort());
    return true;
  }

  #supervise(commands: ServerCommand[], over: AbortController): void {
    const child = new Deno.Command(stackPaths.rattlerPython, {
      args: [join(stackPaths.stack, "supervisor.py"), JSON.stringify(commands)],
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.#process = child;
    child.status.then(() => over.abort());
  }

  async #kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    await Promise.all(this.#forks.splice(0).map((program) => program.stop()));
    if (!child) return;
    await child.stdin.close().catch(() => {});
    await child.status;
  }

  #s3(port: number): ServerCommand {
    return {
      argv: [stackPaths.motoPython, "-m", "moto.server", "-H", "127.0.0.1", "-p", `${port}`],
      env: environment({}),
      cwd: this.#dir,
      log: join(this.#dir, "s3.log"),
    };
  }

  #hypha(s3Port: number): ServerCommand {
    const s3 = `http://127.0.0.1:${s3Port}`;
    const args = {
      host: "127.0.0.1",
      port: `${this.#port}`,
      "public-base-url": this.url,
      "database-uri": `sqlite+aiosqlite:///${join(this.#dir, "artifacts.db")}`,
      "endpoint-url": s3,
      "endpoint-url-public": s3,
      "access-key-id": "minio",
      "secret-access-key": "minio12345",
      "workspace-bucket": "my-workspaces",
      "region-name": "us-east-1",
      "s3-admin-type": "generic",
      "s3-cleanup-period": "2",
      "root-token": this.rootToken,
    };
    const flags = ["--enable-server-apps", "--enable-s3", "--enable-s3-proxy", "--reset-redis"];
    const named = Object.entries(args).map(([name, value]) => `--${name}=${value}`);
    return {
      argv: [stackPaths.hyphaPython, "-m", "hypha.server", ...named, ...flags],
      env: environment({
        HYPHA_JWT_SECRET: this.#secret,
        JWT_SECRET: this.#secret,
        HYPHA_DISABLE_INPROCESS_BROWSER_WORKER: "1",
        // Five seconds after its start it drops clients that do not answer within three, which on a busy machine is any.
        HYPHA_ORPHAN_REAP_INITIAL_DELAY: "86400",
        HYPHA_ORPHAN_REAP_INTERVAL: "-1",
        ACTIVITY_CHECK_INTERVAL: "0.3",
        PYTHONPATH: join(stackPaths.stack, "hypha_site"),
      }),
      cwd: this.#dir,
      log: join(this.#dir, "hypha.log"),
    };
  }
}

interface ServerCommand {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  log: string;
}

/** What a server gets: nothing of the caller's that could change how it behaves. */
function environment(extra: Record<string, string>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ["PATH", "HOME", "LANG", "TMPDIR"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) kept[name] = value;
  }
  return { ...kept, no_proxy: "*", NO_PROXY: "*", PYTHONUNBUFFERED: "1", ...extra };
}

/**
 * A port nobody listens on at this moment. Not one that the system would give to the next who asks for any, nor to an
 * outgoing connection: whoever starts a server at the same time would soon get the same.
 */
export function freePort(): number {
  for (;;) {
    const port = 20_000 + crypto.getRandomValues(new Uint16Array(1))[0]! % 12_000;
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function signToken(secret: string, claims: Record<string, unknown>): Promise<string> {
  const encoder = new TextEncoder();
  const encode = (bytes: Uint8Array) =>
    btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(
      /=+$/,
      "",
    );
  const part = (value: unknown) => encode(encoder.encode(JSON.stringify(value)));
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, [
    "sign",
  ]);
  const signature = await crypto.subtle.sign("HMAC", key, encoder.encode(signed));
  return `${signed}.${encode(new Uint8Array(signature))}`;
}
