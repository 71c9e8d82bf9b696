/**
 * Client of the artifact manager's HTTP interface: reading the files of an app.
 *
 * Contract (measured on the Hypha server): `GET /{workspace}/artifacts/{alias}/files/{path}` answers a file, or
 * with a path that ends in `/` one page of a folder; an offset beyond the end is a 404. Each file takes the server
 * long; `get_file` gives pre-signed addresses of many at once, which lead to the storage or, through the server, to all
 * but names with `#`, `?` and `%`. The token travels in the `authorization` header only, so it reaches no address, log
 * or message.
 */
import { messageOf, WorkerError } from "../errors.ts";
import {
  type ArtifactName,
  artifactRoot,
  artifactTitle,
  fileAddress,
  serverRoot,
} from "./artifact_address.ts";
import { type Reply, request, type RequestOptions } from "./http.ts";
import { resumingBody } from "./resume.ts";
import {
  MAX_TEXT_BYTES,
  type OpenFile,
  type SourceOptions,
  type StageItem,
  type StageSource,
} from "./source.ts";

/** Files that are announced at a time. */
const BATCH = 500;
/** How long announced addresses can be used (seconds); a file whose address is too old is asked for by itself. */
const ADDRESS_LIFE = 6 * 3600;

/** How long the storage may be silent before the server is asked instead (milliseconds). */
const DIRECT_TIMEOUT = 10_000;

/** What {@linkcode createArtifactSource} needs. */
export interface ArtifactSourceOptions extends ArtifactName {
  /** Which version is read; `stage` for changes that are not committed. @default the newest that is committed */
  version?: string | undefined;
  /** Token with read access. @default none: only public artifacts can be read */
  token?: string | undefined;
  /** Does the requests. @default the global `fetch` */
  fetch?: typeof fetch;
  /** How often a request is tried. @default 4 */
  attempts?: number;
  /** Wait before the second try in milliseconds; doubles each time. @default 250 */
  backOff?: number;
  /** How long the server may be silent in milliseconds. @default 60000 */
  timeout?: number;
  /** Items per page of a listing. @default 1000, the server's own */
  pageSize?: number;
}

interface Settings extends Required<Omit<ArtifactSourceOptions, "token" | "version">> {
  token: string | undefined;
  version: string | undefined;
}

/** Opens the files of one artifact for reading. @throws {WorkerError} `staging_failed` for an unusable address. */
export function createArtifactSource(options: ArtifactSourceOptions): StageSource {
  return new ArtifactSource({
    attempts: 4,
    backOff: 250,
    timeout: 60_000,
    pageSize: 1000,
    fetch: (input, init) => fetch(input, init),
    ...options,
    token: options.token,
    version: options.version,
  });
}

class ArtifactSource implements StageSource {
  readonly name: string;
  readonly #root: string;
  readonly #settings: Settings;
  /** Pre-signed addresses by path, with the sizes of the files. */
  readonly #addresses = new Map<string, { url: URL; size: number }>();

  constructor(settings: Settings) {
    this.#settings = settings;
    const { version } = settings;
    this.name = artifactTitle(settings) + (version === undefined ? "" : ` (version ${version})`);
    this.#root = artifactRoot(settings);
  }

  async readText(path: string, options: SourceOptions = {}): Promise<string> {
    const file = await this.open(path, options);
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for await (const chunk of file.body) {
      bytes += chunk.byteLength;
      if (bytes > MAX_TEXT_BYTES) throw this.#failure(path, "it is too large for a text");
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  }

  async announce(
    files: ReadonlyMap<string, number>,
    { signal }: SourceOptions = {},
  ): Promise<void> {
    const paths = [...files.keys()].filter((path) => !/[#?%]/.test(path));
    const { workspace, alias, version } = this.#settings;
    const url = new URL(`${serverRoot(this.#settings)}/public/services/artifact-manager/get_file`);
    for (let at = 0; at < paths.length; at += BATCH) {
      const batch = paths.slice(at, at + BATCH);
      const body = JSON.stringify({
        artifact_id: `${workspace}/${alias}`,
        file_path: batch,
        silent: true,
        expires_in: ADDRESS_LIFE,
        ...(version === undefined ? {} : version === "stage" ? { stage: true } : { version }),
      });
      try {
        const { response } = await this.#request(url, signal, {
          method: "POST",
          body,
          headers: { "content-type": "application/json", ...this.#authorization },
        });
        if (!response.ok) return void await response.body?.cancel();
        const found = await response.json() as Record<string, unknown> | null;
        for (const path of batch) {
          const address = found?.[path];
          const parsed = typeof address === "string" ? URL.parse(address) : null;
          if (parsed !== null && /^https?:$/.test(parsed.protocol)) {
            this.#addresses.set(path, { url: parsed, size: files.get(path)! });
          }
        }
      } catch {
        // Each file can be asked for by itself.
        signal?.throwIfAborted();
        return;
      }
    }
  }

  /** A file at its pre-signed address; `undefined` when it has none, or is not there as it was listed. */
  async #direct(
    path: string,
    signal: AbortSignal | undefined,
    range: Record<string, string> = {},
  ): Promise<Reply | undefined> {
    const address = this.#addresses.get(path);
    if (address === undefined) return undefined;
    const headers = { "accept-encoding": "identity", ...range };
    try {
      const reply = await this.#request(address.url, signal, {
        headers,
        attempts: 1,
        timeout: Math.min(DIRECT_TIMEOUT, this.#settings.timeout),
      });
      const { response } = reply;
      const length = Number(response.headers.get("content-length"));
      const whole = response.status === 200 && length === address.size;
      if (whole || (response.status === 206 && range.range !== undefined)) return reply;
      await response.body?.cancel();
      this.#addresses.delete(path);
    } catch {
      signal?.throwIfAborted();
      // The storage is out of reach from here.
      this.#addresses.clear();
    }
    return undefined;
  }

  async open(path: string, options: SourceOptions = {}): Promise<OpenFile> {
    const url = this.#url(path, {});
    const { signal } = options;
    const first = await this.#direct(path, signal) ?? await this.#get(path, url, signal);
    // The server fails at files without content.
    if (first.response.status === 500 && await this.#isEmpty(path, signal)) {
      await first.response.body?.cancel();
      return { size: 0, body: new Blob().stream() };
    }
    if (!first.response.ok) throw await this.#refusal(path, first);
    const size = lengthOf(first.response);
    const { headers } = first.response;
    const etag = headers.get("etag") ?? undefined;
    const body = resumingBody(first, {
      size,
      etag,
      signal,
      idleTimeout: this.#settings.timeout,
      attempts: this.#settings.attempts,
      describe: (error) =>
        error instanceof WorkerError ? error : this.#failure(path, messageOf(error)),
      reopen: async (offset) => {
        const range = { range: `bytes=${offset}-` };
        const reply = await this.#direct(path, signal, range) ??
          await this.#get(path, url, signal, range);
        if (!reply.response.ok) throw await this.#refusal(path, reply);
        return reply;
      },
    });
    return {
      body,
      ...(size === undefined ? {} : { size }),
      ...(etag === undefined ? {} : { etag }),
    };
  }

  async *list(path: string, options: SourceOptions = {}): AsyncGenerator<StageItem> {
    const limit = this.#settings.pageSize;
    const folder = path === "" ? "" : `${path}/`;
    for (let offset = 0;; offset += limit) {
      const url = this.#url(folder, { limit: String(limit), offset: String(offset) });
      const reply = await this.#get(folder, url, options.signal);
      if (reply.response.status === 404 && offset > 0) {
        await reply.response.body?.cancel();
        return;
      }
      if (!reply.response.ok) throw await this.#refusal(folder, reply);
      let page: unknown;
      try {
        page = await reply.response.json();
      } catch (error) {
        options.signal?.throwIfAborted();
        throw this.#failure(folder, `its listing is not readable: ${messageOf(error)}`);
      }
      if (!Array.isArray(page)) throw this.#failure(folder, "the server answered no listing");
      for (const item of page) yield this.#item(folder, item);
      if (page.length < limit) return;
    }
  }

  async #isEmpty(path: string, signal: AbortSignal | undefined): Promise<boolean> {
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    try {
      for await (const item of this.list(path.slice(0, Math.max(slash, 0)), { signal })) {
        if (item.name === name && item.type === "file") return item.size === 0;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof WorkerError)) throw error;
    }
    return false;
  }

  #item(folder: string, item: unknown): StageItem {
    const { name, type, size } = (item ?? {}) as Record<string, unknown>;
    // A listing becomes paths on this disk, so the server's word is not enough.
    if (
      typeof name !== "string" || (type !== "file" && type !== "directory") ||
      // deno-lint-ignore no-control-regex -- control characters are what is refused
      name === "" || name === "." || name === ".." || /[\x00-\x1f/\\]/.test(name)
    ) {
      throw this.#failure(folder, `its listing has an unusable item ${JSON.stringify(name)}`);
    }
    return { name, type, ...(typeof size === "number" ? { size } : {}) };
  }

  #url(path: string, query: Record<string, string>): URL {
    const { version } = this.#settings;
    return fileAddress(this.#root, path, {
      ...query,
      ...(version === undefined ? {} : version === "stage" ? { stage: "true" } : { version }),
      use_proxy: "true",
      silent: "true",
    });
  }

  async #get(
    path: string,
    url: URL,
    signal: AbortSignal | undefined,
    more: Record<string, string> = {},
  ): Promise<Reply> {
    const headers = { "accept-encoding": "identity", ...more, ...this.#authorization };
    try {
      return await this.#request(url, signal, { headers });
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#failure(
        path,
        messageOf(error),
        "Check that this machine reaches the Hypha server.",
      );
    }
  }

  get #authorization(): Record<string, string> {
    const { token } = this.#settings;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  #request(
    url: URL,
    signal: AbortSignal | undefined,
    options: Pick<RequestOptions, "headers" | "method" | "body"> & {
      attempts?: number;
      timeout?: number;
    },
  ): Promise<Reply> {
    const { fetch, attempts, backOff, timeout } = this.#settings;
    return request(url, { fetch, signal, attempts, backOff, timeout, ...options });
  }

  async #refusal(path: string, reply: Reply): Promise<WorkerError> {
    const { status } = reply.response;
    const detail = (await reply.response.text().catch(() => "")).slice(0, 300);
    switch (status) {
      case 401:
        return this.#failure(path, "the server does not accept the token", "Use a valid token.");
      case 403:
        return this.#failure(
          path,
          "permission denied",
          "Use a token that may read the artifact, or make the artifact public.",
        );
      case 500:
        if (/version '.*' does not exist/.test(detail)) {
          return this.#failure(path, "the artifact has no such version", "Name one it has.");
        }
        return this.#failure(path, `the server answered 500: ${detail}`);
      case 404:
        if (detail.includes("Artifact not found")) {
          return this.#failure(path, "the artifact does not exist");
        }
        return path.endsWith("/") || path === ""
          ? this.#failure(path, "the folder does not exist or is empty")
          : this.#failure(
            path,
            "the file does not exist",
            `Check the file's name; a folder is written "${path}/".`,
          );
      case 429:
        return this.#failure(path, "the server limits the rate of requests", "Try again later.");
      default:
        return this.#failure(path, `the server answered ${status}: ${detail}`);
    }
  }

  #failure(path: string, reason: string, suggestion?: string): WorkerError {
    const what = path === "" ? this.name : `${JSON.stringify(path)} of ${this.name}`;
    return new WorkerError("staging_failed", `Cannot read ${what}: ${reason}`, {
      context: { path, source: this.name },
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }
}

/** The size of a file (bytes) by its response; `undefined` for a compressed body, whose length says nothing. */
function lengthOf({ headers }: Response): number | undefined {
  const length = headers.has("content-encoding") ? null : headers.get("content-length");
  return length === null ? undefined : Number(length);
}
