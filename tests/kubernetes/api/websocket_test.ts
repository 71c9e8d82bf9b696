import { assert, assertEquals, assertRejects } from "@std/assert";
import { openSocket, type WebSocketConnection } from "../../../lib/kubernetes/api/websocket.ts";

const encoder = new TextEncoder();

/** A peer that does what the test says with the raw connection, after a request has come. */
function peer(answer: (connection: Deno.Conn, request: string) => Promise<void>) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      let request = "";
      const bytes = new Uint8Array(4096);
      while (!request.endsWith("\r\n\r\n")) {
        const count = await connection.read(bytes);
        if (count === null) break;
        request += new TextDecoder().decode(bytes.subarray(0, count));
      }
      await answer(connection, request).finally(() => connection.close());
    }
  })();
  const client = Deno.createHttpClient({});
  const credentials = {
    server: `http://127.0.0.1:${listener.addr.port}`,
    client,
    tls: {},
    authorization: "Bearer x",
  };
  const open = (pingEvery?: number, signal = new AbortController().signal) =>
    openSocket(credentials, "/x?y=z", ["v5.channel.k8s.io"], signal, pingEvery);
  return {
    open,
    /** Opens one that must be taken. */
    async socket(pingEvery?: number): Promise<WebSocketConnection> {
      const outcome = await open(pingEvery);
      assert("value" in outcome);
      return outcome.value;
    },
    async [Symbol.asyncDispose]() {
      client.close();
      listener.close();
      await serving;
    },
  };
}

/** Agrees to a WebSocket. */
async function agree(connection: Deno.Conn, request: string): Promise<void> {
  const key = /^sec-websocket-key: (.+)\r$/mi.exec(request)![1];
  const text = encoder.encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", text));
  await connection.write(encoder.encode(
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n" +
      `sec-websocket-accept: ${btoa(String.fromCharCode(...hash))}\r\n` +
      "sec-websocket-protocol: v5.channel.k8s.io\r\n\r\n",
  ));
}

/** Reads until the other side is gone. */
async function untilGone(connection: Deno.Conn): Promise<void> {
  const bytes = new Uint8Array(4096);
  while (await connection.read(bytes).catch(() => null) !== null);
}

Deno.test("messages in pieces are put together, with pings between them answered", async () => {
  const answered = new Uint8Array(7);
  const read = Promise.withResolvers<void>();
  await using it = peer(async (connection, request) => {
    assertEquals(request.split("\r\n")[0], "GET /x?y=z HTTP/1.1");
    await agree(connection, request);
    const frames = [[0x02, 2, 1, 2], [0x89, 1, 7], [0x00, 1, 3], [0x80, 1, 4], [0x88, 0]];
    // Byte by byte, as a network may.
    for (const byte of frames.flat()) await connection.write(Uint8Array.of(byte));
    for (let at = 0; at < 7;) at += await connection.read(answered.subarray(at)) ?? 7;
    read.resolve();
    await untilGone(connection);
  });
  using socket = await it.socket();
  assertEquals(await socket.receive(), Uint8Array.of(1, 2, 3, 4));
  assertEquals(await socket.receive(), undefined);
  await socket.ended;
  await read.promise;
  // A pong with the ping's byte, masked.
  assertEquals([answered[0], answered[1], answered[6]! ^ answered[2]!], [0x8a, 0x81, 7]);
});

Deno.test("a peer that answers no pings is given up", async () => {
  await using it = peer(async (connection, request) => {
    await agree(connection, request);
    await untilGone(connection);
  });
  using socket = await it.socket(30);
  await assertRejects(() => socket.receive(), Error, "no answer within");
  await socket.ended;
});

Deno.test("a peer that answers pings is waited for", async () => {
  await using it = peer(async (connection, request) => {
    await agree(connection, request);
    const bytes = new Uint8Array(64);
    // Longer than silence would be borne: six pings come, each answered.
    for (let pings = 0; pings < 6; pings++) {
      await connection.read(bytes);
      await connection.write(Uint8Array.of(0x8a, 0));
    }
    await connection.write(Uint8Array.of(0x82, 1, 9));
    await untilGone(connection);
  });
  using socket = await it.socket(100);
  assertEquals(await socket.receive(), Uint8Array.of(9));
});

Deno.test("what is no WebSocket is refused", async () => {
  const answers: [string, RegExp][] = [
    ["garbage\r\n\r\n", /the answer is not HTTP/],
    ["HTTP/1.1 101 X\r\nsec-websocket-accept: wrong\r\n\r\n", /does not speak WebSocket/],
    ["", /the connection was closed/],
    [`HTTP/1.1 200 OK\r\nx: ${"y".repeat(70_000)}`, /too long/],
  ];
  for (const [answer, reason] of answers) {
    await using it = peer(async (connection) => {
      await connection.write(encoder.encode(answer)).catch(() => {});
    });
    const error = await assertRejects(() => it.open(), Error);
    // What is left unread resets the connection.
    assert(reason.test(error.message) || /reset/.test(error.message), error.message);
  }
});

Deno.test("the body of a refusal is read in every form that HTTP has", async () => {
  const heads = [
    "content-length: 5\r\n\r\nsorry",
    "transfer-encoding: chunked\r\n\r\n2\r\nso\r\n3\r\nrry\r\n0\r\n\r\n",
    "\r\nsorry",
  ];
  for (const rest of heads) {
    await using it = peer(async (connection) => {
      await connection.write(encoder.encode(`HTTP/1.1 403 Forbidden\r\n${rest}`));
    });
    assertEquals(await it.open(), { status: 403, retryAfter: null, body: "sorry" });
  }
});

Deno.test("a message that is too large, and one that is masked, end the connection", async () => {
  for (const frame of [[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0], [0x82, 0x81, 0, 0, 0, 0, 1]]) {
    await using it = peer(async (connection, request) => {
      await agree(connection, request);
      await connection.write(Uint8Array.from(frame));
      await untilGone(connection);
    });
    using socket = await it.socket();
    await assertRejects(() => socket.receive(), Error);
    await socket.ended;
  }
});

Deno.test("a signal ends the opening", async () => {
  const arrived = Promise.withResolvers<void>();
  await using it = peer(async (connection) => {
    arrived.resolve();
    await untilGone(connection);
  });
  const stop = new AbortController();
  const opening = assertRejects(() => it.open(undefined, stop.signal), RangeError, "enough");
  await arrived.promise;
  stop.abort(new RangeError("enough"));
  await opening;
});

Deno.test("what is not read stays with the peer", async () => {
  let sent = 0;
  await using it = peer(async (connection, request) => {
    await agree(connection, request);
    const frame = new Uint8Array(4 + 65_535);
    frame.set([0x82, 126, 0xff, 0xff]);
    try {
      while (sent < 2 ** 30) sent += await connection.write(frame);
    } catch {
      // The reader is gone.
    }
  });
  using socket = await it.socket();
  await socket.receive();
  let before = -1;
  // It stands still when the network's own buffers are full.
  while (sent !== before) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert(sent < 2 ** 26, `${sent} bytes were taken`);
});
