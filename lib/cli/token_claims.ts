/** What a token says about itself. Whether that is true only the server knows. */

/** Claims of a Hypha token. */
export interface TokenClaims {
  /** Workspaces it opens. */
  readonly workspaces: readonly string[];
  /** When it ends, in milliseconds since 1970; absent when it does not. */
  readonly expires?: number;
}

/** Reads the payload of a JSON web token; `undefined` for tokens of another kind. */
export function readClaims(token: string): TokenClaims | undefined {
  const [, payload, signature] = token.split(".");
  if (payload === undefined || signature === undefined) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(payload, { alphabet: "base64url" });
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof claims !== "object" || claims === null) return undefined;
    const { exp, scope } = claims as { exp?: unknown; scope?: unknown };
    // `ws:<name>#<right>`, with other words between them.
    const names = typeof scope === "string" ? scope.matchAll(/(?:^|\s)ws:([^\s#]+)/g) : [];
    return {
      workspaces: [...names].map((match) => match[1]!),
      ...(typeof exp === "number" ? { expires: exp * 1000 } : {}),
    };
  } catch {
    return undefined;
  }
}

const UNITS: readonly [seconds: number, name: string][] = [
  [86_400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
];

/** When something ends or has ended, for people. Times in milliseconds since 1970. */
export function expiryOf(expires: number, now: number): string {
  const seconds = Math.max(1, Math.round(Math.abs(expires - now) / 1000));
  const [length, name] = UNITS.find(([length]) => seconds >= length)!;
  const count = Math.floor(seconds / length);
  const span = `${count} ${name}${count === 1 ? "" : "s"}`;
  const date = new Date(expires);
  const time = isNaN(date.getTime()) ? "" : ` (${date.toISOString().slice(0, 19)}Z)`;
  return expires > now ? `ends in ${span}${time}` : `ended ${span} ago${time}`;
}
