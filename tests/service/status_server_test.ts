import { assertEquals } from "@std/assert";
import { silentLogger } from "../../lib/log.ts";
import { Metrics } from "../../lib/service/metrics.ts";
import { startStatusServer } from "../../lib/service/status_server.ts";

Deno.test("requests that are sent half do not keep the status server from ending", async () => {
  const server = startStatusServer({
    port: 0,
    metrics: new Metrics({
      manager: () => "mamba",
      sessionStates: () => [],
      load: () => 0,
      connected: () => true,
    }),
    notReady: () => undefined,
    log: silentLogger,
  });
  const halves = ["GET /health HTTP/1.1\r\nhost:", "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nx"];
  const conns = [];
  for (const half of halves) {
    const conn = await Deno.connect({ port: server.port });
    await conn.write(new TextEncoder().encode(half));
    conns.push(conn);
  }
  const response = await fetch(`http://127.0.0.1:${server.port}/health`);
  assertEquals([response.status, (await response.json()).status], [200, "ok"]);
  await server[Symbol.asyncDispose]();
  for (const conn of conns) conn.close();
});
