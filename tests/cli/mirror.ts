/** A mirror of micromamba's releases on this machine, which has the package manager of the test stack. */
import { join } from "@std/path";
import { micromambaPlatform } from "../../lib/cli/micromamba_release.ts";
import { managerPath } from "../stack/stack.ts";

/** The release the mirror has. */
export const RELEASE = "9.9.9-0";

/** A mirror. */
export interface Mirror extends AsyncDisposable {
  /** For `--url`. */
  readonly url: string;
  /** Path of the program on the mirror. */
  readonly path: string;
  /** The program itself. */
  readonly program: Uint8Array<ArrayBuffer>;
  /** Its SHA-256. */
  readonly sha256: string;
  /** What was asked for, in order: method and path. */
  readonly requests: string[];
}

/** Answers instead of the mirror, unless it returns nothing. */
export type Answer = (
  request: Request,
  mirror: Mirror,
) => Response | undefined | Promise<Response | undefined>;

/** Starts a mirror. */
export async function startMirror(answer: Answer = () => undefined): Promise<Mirror> {
  const program = await Deno.readFile(join(managerPath("micromamba"), "micromamba"));
  const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", program)).toHex();
  const path = `/${RELEASE}/micromamba-${micromambaPlatform(Deno.build.os, Deno.build.arch)}`;
  const requests: string[] = [];
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      requests.push(`${request.method} ${pathname}`);
      const other = await answer(request, mirror);
      if (other !== undefined) return other;
      if (pathname === path) return new Response(program);
      if (pathname === `${path}.sha256`) return new Response(sha256);
      return new Response("Not Found", { status: 404 });
    },
  );
  const mirror: Mirror = {
    url: `http://127.0.0.1:${server.addr.port}`,
    path,
    program,
    sha256,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
  return mirror;
}

/** A server that declares more bytes than it sends, and then breaks the connection. Not a real one: a fault. */
export function startCutServer(): AsyncDisposable & { readonly url: string } {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const serving = (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(4096));
      const head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
      await connection.write(new TextEncoder().encode(head + "x".repeat(1000)));
      connection.close();
    }
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await serving;
    },
  };
}
