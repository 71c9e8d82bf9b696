/** Waits for what happens in a cluster, by its own watches. */
import type { ControlPlane } from "./control_plane.ts";
import { limited } from "../wait.ts";

/** How one object is waited for. */
export interface WaitOptions {
  /** Who looks. @default the administrator */
  readonly token?: string;
  /** How long it may take to be so (milliseconds). @default 120000 */
  readonly timeout?: number;
}

/**
 * Resolves with an object as soon as it is as it should be; at once when it is already. What it has been before is not
 * told. `isSo` gets `undefined` when the object has gone. Throws when it takes too long, with the object as it is.
 *
 * The path is that of its kind in its namespace, such as `/api/v1/namespaces/default/pods`.
 */
export async function waitFor<T = unknown>(
  plane: ControlPlane,
  path: string,
  name: string,
  isSo: (object: T | undefined) => boolean,
  options: WaitOptions = {},
): Promise<T | undefined> {
  const { token = plane.token, timeout = 120_000 } = options;
  let now: T | undefined;
  const begin = performance.now();
  try {
    return await limited(`${path}/${name} is as it should be`, timeout, (signal) => {
      return follow(plane, path, name, token, signal, (object) => isSo(now = object));
    });
  } catch (error) {
    if (performance.now() - begin < timeout) throw error;
    throw new Error(`${(error as Error).message}; it is ${JSON.stringify(now)}`);
  }
}

async function follow<T>(
  plane: ControlPlane,
  path: string,
  name: string,
  token: string,
  signal: AbortSignal,
  isSo: (object: T | undefined) => boolean,
): Promise<T | undefined> {
  const selector = encodeURIComponent(`metadata.name=${name}`);
  const list = await plane.request<{ items: T[]; metadata: { resourceVersion: string } }>(
    "GET",
    `${path}?fieldSelector=${selector}`,
    { token },
  );
  const { items, metadata } = list.body;
  if (isSo(items[0])) return items[0];
  const query = `watch=1&fieldSelector=${selector}&resourceVersion=${metadata.resourceVersion}`;
  const response = await fetch(`${plane.url}${path}?${query}`, {
    client: plane.client,
    headers: { authorization: `Bearer ${token}` },
    signal,
  });
  let rest = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { type, object } = JSON.parse(line) as { type: string; object: T };
      if (type === "ERROR") throw new Error(`Cannot wait for ${name}: ${JSON.stringify(object)}`);
      const now = type === "DELETED" ? undefined : object;
      if (isSo(now)) return now;
    }
  }
  throw new Error(`Cannot wait for ${name}: the API server has ended the watch`);
}
