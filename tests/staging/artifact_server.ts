/** A small HTTP server that answers as the artifact manager was measured to, with faults to switch on. */

/** What the server does and saw. */
export interface ArtifactServer extends AsyncDisposable {
  /** Its address. */
  readonly url: string;
  /** Requests so far: method, path with query, and headers. */
  readonly requests: { path: string; headers: Headers }[];
  /** Files of artifact `ws/app` by path. */
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
  /** Answers instead of the ordinary handler when it returns a response. */
  fault: ((path: string, request: Request) => Response | undefined) | undefined;
}

function listing(files: Map<string, Uint8Array>, folder: string) {
  const names = new Map<string, Record<string, unknown>>();
  for (const [path, content] of files) {
    if (!path.startsWith(folder)) continue;
    const [name = "", ...rest] = path.slice(folder.length).split("/");
    if (rest.length > 0) names.set(name, { type: "directory", name });
    else names.set(name, { type: "file", name, size: content.byteLength, last_modified: 1.5 });
  }
  return [...names.values()];
}

/** A body that sends `count` bytes of a file and then loses the connection. */
export function truncated(
  content: Uint8Array<ArrayBuffer>,
  count: number,
  headers: HeadersInit = {},
): Response {
  let sent = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!sent) {
        sent = true;
        controller.enqueue(content.slice(0, count));
      } else {
        await new Promise((resolve) => setTimeout(resolve, 20));
        controller.error(new Error("connection lost on purpose"));
      }
    },
  });
  return new Response(body, {
    headers: { "content-length": String(content.byteLength), ...headers },
  });
}

/** Starts the server on a free port. */
export function startArtifactServer(): ArtifactServer {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const requests: ArtifactServer["requests"] = [];
  const prefix = "/ws/artifacts/app/files/";
  const handle = (request: Request): Response => {
    const url = new URL(request.url);
    requests.push({ path: url.pathname + url.search, headers: request.headers });
    if (!url.pathname.startsWith(prefix)) {
      return Response.json({ detail: "Artifact not found" }, { status: 404 });
    }
    const path = decodeURIComponent(url.pathname.slice(prefix.length));
    const fault = server.fault?.(path, request);
    if (fault) return fault;
    if (path === "" || path.endsWith("/")) {
      const limit = Number(url.searchParams.get("limit") ?? 1000);
      const offset = Number(url.searchParams.get("offset") ?? 0);
      const page = listing(files, path).slice(offset, offset + limit);
      return page.length > 0
        ? Response.json(page)
        : Response.json({ detail: "File or directory not found" }, { status: 404 });
    }
    const content = files.get(path);
    if (content === undefined) {
      return new Response("File not found, details: {}", { status: 404 });
    }
    const etag = `"${path}"`;
    const range = /^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "");
    if (range === null) {
      return new Response(content, {
        headers: { etag, "content-length": String(content.byteLength) },
      });
    }
    const start = Number(range[1]);
    return new Response(content.slice(start), {
      status: 206,
      headers: {
        etag,
        "content-range": `bytes ${start}-${content.byteLength - 1}/${content.byteLength}`,
      },
    });
  };
  const http = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handle);
  const server: ArtifactServer = {
    url: `http://127.0.0.1:${http.addr.port}`,
    requests,
    files,
    fault: undefined,
    [Symbol.asyncDispose]: () => http.shutdown(),
  };
  return server;
}

/** The bytes of a text. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
