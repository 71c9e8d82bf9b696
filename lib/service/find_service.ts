/** Looking for services of the server. */
import { messageOf } from "../errors.ts";
import type { HyphaServer } from "./hypha_rpc.ts";

/** What the server says when there is none. */
const MISSING = /service not found|not found/i;

/**
 * The full id of a service, such as `workspace/client:name`; `undefined` when there is none. A name without a client
 * means any client's. Throws what the server says otherwise.
 */
export async function findService(
  server: Pick<HyphaServer, "getServiceInfo">,
  id: string,
): Promise<string | undefined> {
  try {
    const info = await server.getServiceInfo(id);
    const found = (info as { id?: unknown } | null)?.id;
    return typeof found === "string" ? found : id;
  } catch (error) {
    if (MISSING.test(messageOf(error))) return undefined;
    throw error;
  }
}
