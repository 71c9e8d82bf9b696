/** Waits for what happens in a cluster, by its own watches. */
import type { ControlPlane } from "./control_plane.ts";

/** How one object is waited for. */
export interface WaitOptions {
  /** Who looks. @default the administrator */
  readonly token?: string;
  readonly signal?: AbortSignal;
}

/**
 * Resolves with an object as soon as it is as it should be; at once when it is already. What it has been before is not
 * told. `isSo` gets `undefined` when the object has gone.
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
  const { token = plane.token, signal } = options;
  const selector = encodeURIComponent(`metadata.name=${name}`);
  const headers = { authorization: `Bearer ${token}` };
  const first = await fetch(`${plane.url}${path}?fieldSelector=${selector}`, {
    client: plane.client,
    headers,
    ...(signal === undefined ? {} : { signal }),
  });
  const list = await first.json() as { items: T[]; metadata: { resourceVersion: string } };
  if (isSo(list.items[0])) return list.items[0];
  const version = list.metadata.resourceVersion;
  const response = await fetch(
    `${plane.url}${path}?watch=1&fieldSelector=${selector}&resourceVersion=${version}`,
    { client: plane.client, headers, ...(signal === undefined ? {} : { signal }) },
  );
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
