/**
 * Who may look at the dashboard.
 *
 * Programs send the token with each request (`Authorization: Bearer`). A browser exchanges it once, and holds two
 * things from then on: a cookie that scripts cannot read, and a key that the page sends along and that no other page
 * has. A cookie alone is not enough, because browsers send it to every port of a host: a web page that a session
 * serves on this machine gets to see it when the operator looks at that page.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";

/** A login is forgotten when it was not used for this long (milliseconds). */
const IDLE_MS = 12 * 3_600_000;
/** Logins at once; the one that was not used for the longest time goes first. */
const MAX_LOGINS = 100;

/** Name of the header that carries the key. */
export const KEY_HEADER = "x-dashboard-key";

/** Options of {@linkcode Admission}. */
export interface AdmissionOptions {
  /** What opens the dashboard. */
  token: string;
  /** Names of this machine besides `localhost`. @default none */
  hosts?: readonly string[];
  /** Milliseconds, from any start. @default performance.now */
  now?: () => number;
}

/** What a browser gets for the token. */
export interface Login {
  /** Value of the cookie. */
  readonly cookie: string;
  /** Value of the header. */
  readonly key: string;
}

interface Known {
  readonly key: Uint8Array;
  used: number;
}

/** A secret as it is kept and compared: of equal length, and worth nothing to who reads it. */
function digest(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}

/** Decides about requests. */
export class Admission {
  readonly #token: Uint8Array;
  readonly #hosts: ReadonlySet<string>;
  readonly #now: () => number;
  /** By the hash of the cookie, the one used last at the end. */
  readonly #logins = new Map<string, Known>();

  /** Nobody is logged in. */
  constructor(options: AdmissionOptions) {
    this.#token = digest(options.token);
    this.#hosts = new Set(options.hosts?.map((host) => host.toLowerCase()) ?? []);
    this.#now = options.now ?? (() => performance.now());
  }

  /** Whether it is the token; tells nothing by the time it takes. */
  isToken(token: string): boolean {
    return timingSafeEqual(digest(token), this.#token);
  }

  /**
   * Whether a `Host` header is one this server is reached by. A page of elsewhere whose name was made to mean this
   * machine (DNS rebinding) comes with that name, never with an address.
   */
  isHost(host: string | null): boolean {
    const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/i.exec(host ?? "");
    const name = match?.[1]?.toLowerCase();
    if (name === undefined) return false;
    if (name === "localhost" || isIP(name.replace(/^\[|\]$/g, "")) !== 0) return true;
    return this.#hosts.has(name);
  }

  /** Whether a request comes from a page of this server, as far as the browser tells. */
  isSameOrigin(headers: Headers): boolean {
    const origin = headers.get("origin");
    if (origin === null) return headers.get("sec-fetch-site") === "same-origin";
    const host = headers.get("host")?.toLowerCase();
    return host !== undefined && [`http://${host}`, `https://${host}`].includes(origin);
  }

  /** Lets a browser in; `undefined` when it does not have the token. */
  login(token: string): Login | undefined {
    if (!this.isToken(token)) return undefined;
    const login = {
      cookie: randomBytes(32).toString("base64url"),
      key: randomBytes(32).toString("base64url"),
    };
    this.#remember(digest(login.cookie).toHex(), digest(login.key));
    for (const id of this.#logins.keys()) {
      if (this.#logins.size <= MAX_LOGINS) break;
      this.#logins.delete(id);
    }
    return login;
  }

  /** Forgets a login. */
  logout(cookie: string): void {
    this.#logins.delete(digest(cookie).toHex());
  }

  /** How a request may be answered: as that of a program, of a browser, or not at all. */
  admit(headers: Headers, cookie: string | undefined): "program" | "browser" | undefined {
    const bearer = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (bearer !== undefined) return this.isToken(bearer) ? "program" : undefined;
    const key = headers.get(KEY_HEADER);
    if (cookie === undefined || key === null) return undefined;
    const id = digest(cookie).toHex();
    const known = this.#logins.get(id);
    if (known === undefined || !timingSafeEqual(digest(key), known.key)) return undefined;
    this.#logins.delete(id);
    if (this.#now() - known.used > IDLE_MS) return undefined;
    this.#remember(id, known.key);
    return "browser";
  }

  #remember(id: string, key: Uint8Array): void {
    this.#logins.set(id, { key, used: this.#now() });
  }
}
