/**
 * The plainest service there is, in a process of its own: it answers at once with a value that it was given before.
 * What a call of it takes is what Hypha and its client take, with the same client library and run-time as the worker.
 */
import { connectToServer } from "../lib/service/hypha_rpc.ts";

const mute = () => {};

if (import.meta.main) {
  const server = await connectToServer({
    server_url: Deno.env.get("SERVER")!,
    client_id: `echo-${crypto.randomUUID()}`,
    token: Deno.env.get("HYPHA_TOKEN")!,
    logger: { debug: mute, info: mute, log: mute, warn: mute, error: mute },
  });
  let answer: unknown = null;
  await server.registerService({
    id: "echo",
    config: { visibility: "protected", require_context: true },
    prepare: (value: unknown) => {
      answer = value;
      return null;
    },
    echo: (_session: unknown, _script: unknown) => answer,
  });
  console.log("registered successfully");
  // Until whoever started it closes its end.
  for await (const _ of Deno.stdin.readable) { /* nothing is expected */ }
  Deno.exit(0);
}
