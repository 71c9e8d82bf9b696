/**
 * A Hypha server to play with: prints address, token and workspace, and runs until Ctrl-C.
 *
 *     deno run --allow-all tests/stack/main.ts [--port PORT] [--user USER]
 */
import { managerPath, stackPaths } from "./stack.ts";
import { startHypha } from "./hypha.ts";

function option(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1];
}

if (import.meta.main) {
  const user = option("user") ?? "user-1";
  const port = option("port");
  await using server = await startHypha(port === undefined ? {} : { port: Number(port) });
  const token = await server.userToken({ user, expiresInSeconds: 24 * 3600 });
  console.log(`server:    ${server.url}`);
  console.log(`workspace: ${server.workspaceOf(user)}`);
  console.log(`token:     ${token}`);
  console.log(`root:      ${server.rootToken}`);
  console.log(`logs:      ${server.dir}`);
  console.log(`managers:  ${managerPath()}`);
  console.log(`channel:   ${stackPaths.channel}`);
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, resolve);
  await promise;
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, resolve);
}
