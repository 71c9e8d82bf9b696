/**
 * Client of the artifact manager: putting files into an artifact.
 *
 * Contract (measured on the Hypha server): files can be put only while the artifact is staged (`edit` with
 * `stage: true`), and appear with `commit`; `discard` gives back what was there. Staging belongs to the artifact and
 * not to who began it. `PUT /{workspace}/artifacts/{alias}/files/{path}` needs a content length, which `fetch` sends
 * for bodies in memory only; larger files go in parts. It takes the server long for each file; `put_file` gives
 * pre-signed addresses of many files at once. Those lead through the server's storage proxy, which loses what follows a
 * `#` or `?` in a name; the server itself can do without.
 */
import { messageOf, WorkerError } from "../errors.ts";
import {
  type ArtifactName,
  artifactRoot,
  artifactTitle,
  fileAddress,
  serverRoot,
} from "./artifact_address.ts";
import { request } from "./http.ts";

/** A file that is going to be uploaded. */
export interface UploadFile extends AsyncDisposable {
  /** Size in bytes when it was opened; so much of it is uploaded. */
  readonly size: number;
  /** Reads some bytes, fewer than asked for at its end or when they are too many at a time. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** What {@linkcode ArtifactWriter} needs. */
export interface ArtifactWriterOptions extends ArtifactName {
  /** Token with write access. */
  token: string | undefined;
  /** Does the requests. @default the global `fetch` */
  fetch?: typeof fetch;
  /** How often a request is tried. @default 4 */
  attempts?: number;
  /** Wait before the second try in milliseconds; doubles each time. @default 250 */
  backOff?: number;
  /** How long one request may take in milliseconds. @default 120000 */
  timeout?: number;
  /** Size of the pieces in which files are sent, in bytes; at least 5 MiB, the storage's own limit. @default 16 MiB */
  pieceSize?: number;
}

/** Options of a request. */
export interface WriteOptions {
  /** Stops the work; its reason is what is thrown then. */
  signal?: AbortSignal | undefined;
  /** Told of bytes that have arrived. */
  onBytes?: (count: number) => void;
}

/** The artifact is not staged any more: somebody else has committed or discarded. */
export class NotStagedError extends Error {
  override readonly name = "NotStagedError";
}

const PIECE = 16 * 1024 * 1024;
/** Most parts of one file, by the storage's protocol. */
const MAX_PARTS = 10_000;
/** Names that the server's storage proxy does not carry. */
const ODD = /[#?%]/;
/** Paths of one announcement. */
const BATCH = 500;
/** How long the storage may take for one piece before the server is asked instead (milliseconds). */
const DIRECT_TIMEOUT = 30_000;
/** How long announced addresses can be used (seconds); a file whose address is too old goes the other way. */
const ADDRESS_LIFE = 6 * 3600;
const JSON_TYPE = { "content-type": "application/json" };

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly etag: string | null;
}

interface Sending extends WriteOptions {
  method: "PUT" | "POST";
  body: string | Uint8Array<ArrayBuffer>;
  headers?: Record<string, string>;
  /** Whether the token goes along; pre-signed addresses carry their own authority. @default true */
  authorized?: boolean;
  /** Instead of the writer's own. */
  attempts?: number;
  /** Instead of the writer's own (milliseconds). */
  timeout?: number;
}

/** Puts files into one artifact. */
export class ArtifactWriter {
  /** Full id of the artifact. */
  readonly id: string;
  /** What it is called in messages. */
  readonly title: string;
  readonly #root: string;
  readonly #manager: string;
  readonly #token: string | undefined;
  readonly #settings: { fetch: typeof fetch; attempts: number; backOff: number; timeout: number };
  readonly #pieceSize: number;
  /** Pre-signed addresses by path. */
  readonly #addresses = new Map<string, URL>();

  /** @throws {WorkerError} `staging_failed` for an unusable address */
  constructor(options: ArtifactWriterOptions) {
    this.id = `${options.workspace}/${options.alias}`;
    this.title = artifactTitle(options);
    this.#root = artifactRoot(options);
    this.#manager = `${serverRoot(options)}/public/services/artifact-manager/`;
    this.#token = options.token;
    this.#pieceSize = options.pieceSize ?? PIECE;
    this.#settings = {
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      attempts: options.attempts ?? 4,
      backOff: options.backOff ?? 250,
      timeout: options.timeout ?? 120_000,
    };
  }

  /** Whether it has changes that are not committed. @throws {WorkerError} `upload_failed` */
  async staged(options: WriteOptions = {}): Promise<boolean> {
    const status = await this.#call("get_status", {}, options);
    return (status as { staged?: unknown } | null)?.staged === true;
  }

  /** Begins changes of the current version. @throws {WorkerError} `upload_failed` */
  async stage(options: WriteOptions = {}): Promise<void> {
    await this.#call("edit", { stage: true }, options);
  }

  /** Makes the changes visible. @throws {WorkerError} `upload_failed`; {NotStagedError} */
  async commit(options: WriteOptions = {}): Promise<void> {
    await this.#call("commit", {}, options);
  }

  /** Takes all changes back. @throws {WorkerError} `upload_failed`; {NotStagedError} */
  async discard(options: WriteOptions = {}): Promise<void> {
    await this.#call("discard", {}, options);
  }

  /**
   * Asks for the addresses of many files at once, which are going to be put into the staged artifact. A file that is
   * announced and does not come keeps the artifact from being committed.
   *
   * @throws {WorkerError} `upload_failed`; {NotStagedError}
   */
  async announce(paths: readonly string[], options: WriteOptions = {}): Promise<void> {
    this.#addresses.clear();
    const plain = paths.filter((path) => !ODD.test(path));
    for (let at = 0; at < plain.length; at += BATCH) {
      const batch = plain.slice(at, at + BATCH);
      const found = await this.#call("put_file", {
        file_path: batch,
        expires_in: ADDRESS_LIFE,
      }, options);
      for (const path of batch) {
        const address = (found as Record<string, unknown> | null)?.[path];
        const url = typeof address === "string" ? URL.parse(address) : null;
        if (url !== null && /^https?:$/.test(url.protocol)) this.#addresses.set(path, url);
      }
    }
  }

  /** Puts one file into the staged artifact. @throws {WorkerError} `upload_failed`; {NotStagedError} */
  async put(path: string, file: UploadFile, options: WriteOptions = {}): Promise<void> {
    if (file.size > this.#pieceSize) return await this.#putParts(path, file, options);
    const body = await this.#piece(path, file, 0, file.size);
    const address = this.#addresses.get(path);
    if (address !== undefined && await this.#putTo(address, path, body, options)) return;
    const url = fileAddress(this.#root, path, { use_proxy: "false" });
    const answer = await this.#send(path, url, { ...options, method: "PUT", body });
    if (answer.status !== 200) throw this.#refusal(path, answer);
    options.onBytes?.(body.byteLength);
  }

  /** Whether a file could be put to its pre-signed address, which may be out of reach from here. */
  async #putTo(
    url: URL,
    path: string,
    body: Uint8Array<ArrayBuffer>,
    options: WriteOptions,
  ): Promise<boolean> {
    try {
      const timeout = Math.min(DIRECT_TIMEOUT, this.#settings.timeout);
      const answer = await this.#send(path, url, {
        ...options,
        method: "PUT",
        body,
        authorized: false,
        attempts: 1,
        timeout,
      });
      if (answer.status !== 200) return false;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof WorkerError)) throw error;
      // No other one will be in reach either.
      this.#addresses.clear();
      return false;
    }
    options.onBytes?.(body.byteLength);
    return true;
  }

  /** Sends a file in parts, each of which can be sent again. */
  async #putParts(path: string, file: UploadFile, options: WriteOptions): Promise<void> {
    const size = Math.max(this.#pieceSize, Math.ceil(file.size / MAX_PARTS));
    const count = Math.ceil(file.size / size);
    const query = new URLSearchParams({ path, part_count: String(count) });
    // What the storage proxy cannot carry may still get there directly.
    if (ODD.test(path)) query.set("use_proxy", "false");
    const begun = await this.#json(path, `create-multipart-upload?${query}`, {}, options);
    const { upload_id: id, parts } = (begun ?? {}) as { upload_id?: unknown; parts?: unknown };
    if (typeof id !== "string" || !Array.isArray(parts) || parts.length !== count) {
      throw this.#failure(path, "the server gave no addresses for its parts");
    }
    const done: { part_number: number; etag: string }[] = [];
    for (const [index, part] of parts.entries()) {
      const body = await this.#piece(
        path,
        file,
        index * size,
        Math.min(size, file.size - index * size),
      );
      const url = this.#partAddress(path, part);
      const answer = await this.#send(path, url, {
        ...options,
        method: "PUT",
        body,
        authorized: false,
      });
      if (answer.status !== 200 || answer.etag === null) throw this.#refusal(path, answer);
      done.push({ part_number: index + 1, etag: answer.etag });
      options.onBytes?.(body.byteLength);
    }
    await this.#json(path, "complete-multipart-upload", { upload_id: id, parts: done }, options);
  }

  #partAddress(path: string, part: unknown): URL {
    const address = (part as { url?: unknown } | null)?.url;
    const url = typeof address === "string" ? URL.parse(address) : null;
    if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
      throw this.#failure(path, "the server gave an unusable address for a part");
    }
    return url;
  }

  async #piece(
    path: string,
    file: UploadFile,
    offset: number,
    length: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const piece = new Uint8Array(length);
    for (let filled = 0; filled < length;) {
      const bytes = await file.read(offset + filled, length - filled);
      if (bytes.byteLength === 0) {
        throw this.#failure(path, "the file became shorter while it was read");
      }
      piece.set(bytes, filled);
      filled += bytes.byteLength;
    }
    return piece;
  }

  async #call(name: string, more: Record<string, unknown>, options: WriteOptions) {
    const body = JSON.stringify({ artifact_id: this.id, ...more });
    const url = new URL(this.#manager + name);
    const answer = await this.#send("", url, {
      ...options,
      method: "POST",
      body,
      headers: JSON_TYPE,
    });
    return this.#parsed("", answer);
  }

  async #json(path: string, where: string, value: unknown, options: WriteOptions) {
    const body = JSON.stringify(value);
    const url = new URL(this.#root + where);
    const answer = await this.#send(path, url, {
      ...options,
      method: "POST",
      body,
      headers: JSON_TYPE,
    });
    return this.#parsed(path, answer);
  }

  #parsed(path: string, answer: Answer): unknown {
    if (answer.status !== 200) throw this.#refusal(path, answer);
    try {
      return JSON.parse(answer.text);
    } catch {
      throw this.#failure(path, "the server's answer is not readable");
    }
  }

  async #send(path: string, url: URL, sending: Sending): Promise<Answer> {
    const { method, body, signal, authorized = true } = sending;
    const { attempts, timeout, ...rest } = this.#settings;
    const headers: Record<string, string> = { ...sending.headers };
    if (authorized && this.#token !== undefined) headers.authorization = `Bearer ${this.#token}`;
    try {
      const reply = await request(url, {
        ...rest,
        attempts: sending.attempts ?? attempts,
        timeout: sending.timeout ?? timeout,
        method,
        body,
        headers,
        signal,
      });
      const { response } = reply;
      const text = await response.text();
      return { status: response.status, text, etag: response.headers.get("etag") };
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#failure(
        path,
        messageOf(error),
        "Check that this machine reaches the Hypha server.",
      );
    }
  }

  #refusal(path: string, { status, text }: Answer): WorkerError | NotStagedError {
    const detail = reasonIn(text);
    if (status === 400 && /staging mode/i.test(detail)) return new NotStagedError(detail);
    switch (status) {
      case 401:
        return this.#failure(path, "the server does not accept the token", "Use a valid token.");
      case 403:
        return this.#failure(path, "permission denied", "Use a token that may write to it.");
      case 404:
        return /FileNotFound/.test(detail)
          ? this.#failure(path, detail)
          : this.#failure(path, "the artifact does not exist", "Create it, or name another one.");
      case 429:
        return this.#failure(path, "the server limits the rate of requests", "Try again later.");
      default:
        return this.#failure(path, `the server answered ${status}: ${detail}`);
    }
  }

  #failure(path: string, reason: string, suggestion?: string): WorkerError {
    const what = path === "" ? "" : `${JSON.stringify(path)} `;
    return new WorkerError("upload_failed", `Cannot upload ${what}to ${this.title}: ${reason}`, {
      context: { path, artifact: this.id },
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }
}

/** What a refusal says, without the server's traceback. */
function reasonIn(text: string): string {
  let detail: unknown = text;
  try {
    detail = (JSON.parse(text) as { detail?: unknown })?.detail ?? text;
  } catch {
    // It is text.
  }
  const words = typeof detail === "string" ? detail : JSON.stringify(detail);
  const last = words.includes("Traceback") ? words.trimEnd().split("\n").at(-1)! : words;
  return last.trim().slice(0, 300);
}
