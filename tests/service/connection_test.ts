import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { createLogger, silentLogger } from "../../lib/log.ts";
import {
  type ConnectionEvent,
  type ConnectOptions,
  connectWorker,
  defaultClientId,
  rpcLogger,
} from "../../lib/service/connection.ts";
import type { ConnectConfig, HyphaServer } from "../../lib/service/hypha_rpc.ts";
import { guardRejections } from "../../lib/service/rejections.ts";
import { createSocketGate } from "../../lib/service/socket.ts";
import { until } from "../wait.ts";

/** No call is running. */
const settled = () => Promise.resolve();

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A WebSocket server, and a client that speaks nothing but `echo` over it. */
function startEcho() {
  const sockets = new Set<WebSocket>();
  const configs: ConnectConfig[] = [];
  const state = { mute: false, refuse: false };
  const http = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    if (state.refuse) return new Response("not now", { status: 503 });
    const { socket, response } = Deno.upgradeWebSocket(request);
    sockets.add(socket);
    socket.onmessage = ({ data }) => state.mute || socket.send(data);
    socket.onclose = () => sockets.delete(socket);
    return response;
  });
  const url = `ws://127.0.0.1:${http.addr.port}/`;
  const connect = async (config: ConnectConfig): Promise<HyphaServer> => {
    configs.push(config);
    const socket = new (config.WebSocketClass ?? WebSocket)(url);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("WebSocket connection error: [object]"));
    });
    return {
      rpc: { on: () => {}, off: () => {}, disconnect: () => Promise.resolve() },
      config: { workspace: "ws-1", "client_id": config.client_id },
      registerService: () => Promise.resolve({ id: "" }),
      unregisterService: () => Promise.resolve(),
      getServiceInfo: (id) => Promise.resolve({ id }),
      echo: (value) =>
        new Promise((resolve) => {
          socket.onmessage = ({ data }) => resolve(data);
          socket.send(String(value));
        }),
    };
  };
  return {
    url,
    sockets,
    configs,
    state,
    connect,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.close();
      await http.shutdown();
    },
  };
}

function optionsOf(echo: ReturnType<typeof startEcho>, more: Partial<ConnectOptions> = {}) {
  const events: ConnectionEvent[] = [];
  const registrations: HyphaServer[] = [];
  const options: ConnectOptions = {
    serverUrl: echo.url,
    token: "secret-token-of-the-test",
    clientId: "worker-1",
    connect: echo.connect,
    register: (server) => {
      registrations.push(server);
      return Promise.resolve({ id: "ws-1/worker-1:conda", settled });
    },
    onEvent: (event) => events.push(event),
    log: silentLogger,
    checkInterval: 50,
    checkTimeout: 2000,
    backOff: 10,
    ...more,
  };
  return { options, events, registrations };
}

Deno.test("connection: a closed socket leads to a new connection with the same identity", async () => {
  await using echo = startEcho();
  const { options, events, registrations } = optionsOf(echo);
  await using connection = await connectWorker(options);
  assertEquals([connection.state, connection.workspace], ["connected", "ws-1"]);
  assertEquals(connection.serviceId, "ws-1/worker-1:conda");

  for (const socket of echo.sockets) socket.close(4000, "restart");
  await until(() => connection.reconnects === 1);
  assertEquals(events.map((event) => event.type), ["lost", "reconnected"]);
  assertEquals(registrations.length, 2);
  assertNotEquals(registrations[0], registrations[1]);
  const identities = echo.configs.map((config) => [config.client_id, config.token]);
  assertEquals(identities, new Array(2).fill(["worker-1", "secret-token-of-the-test"]));
  await sleep(100);
  assertEquals([connection.reconnects, echo.sockets.size], [1, 1]);
});

Deno.test("connection: a server that is silent is replaced, one that answers is not", async () => {
  await using echo = startEcho();
  const { options, events } = optionsOf(echo);
  await using connection = await connectWorker(options);
  const begin = connection.lastContact;
  await until(() => connection.lastContact > begin);
  await sleep(150);
  assertEquals(events, []);
  echo.state.mute = true;
  await until(() => events.length > 0);
  assertEquals(events[0]?.type, "lost");
  echo.state.mute = false;
  await until(() => connection.state === "connected");
});

Deno.test("connection: a refusal is an answer", async () => {
  await using echo = startEcho();
  const { options, events } = optionsOf(echo, {
    connect: async (config) => ({
      ...await echo.connect(config),
      echo: () => Promise.reject(new Error("RemoteError: Permission denied")),
    }),
  });
  await using _connection = await connectWorker(options);
  await sleep(200);
  assertEquals(events, []);
});

Deno.test("connection: a server that has lost the service gets it again", async () => {
  await using echo = startEcho();
  for (const words of ["KeyError: 'Service not found: x'", "Connection has already been closed"]) {
    let lost = false;
    const { options, events } = optionsOf(echo, {
      connect: async (config) => {
        lost = false;
        return {
          ...await echo.connect(config),
          getServiceInfo: (id) =>
            lost ? Promise.reject(new Error(`RemoteError: ${words}`)) : Promise.resolve({ id }),
        };
      },
    });
    await using connection = await connectWorker(options);
    lost = true;
    await until(() => connection.reconnects === 1);
    assertEquals(events[0], {
      type: "lost",
      reason: "the server has lost the service of this worker",
    });
  }
});

Deno.test("connection: it goes on trying while the server refuses", async () => {
  await using echo = startEcho();
  const { options, events } = optionsOf(echo);
  await using connection = await connectWorker(options);
  echo.state.refuse = true;
  for (const socket of echo.sockets) socket.close();
  await until(() => echo.configs.length >= 4);
  assertEquals(connection.state, "reconnecting");
  echo.state.refuse = false;
  await until(() => connection.state === "connected");
  const last = events.at(-1);
  assert(last?.type === "reconnected" && last.attempts >= 3);
});

Deno.test("connection: a failing registration is tried again too", async () => {
  await using echo = startEcho();
  let calls = 0;
  const { options } = optionsOf(echo, {
    register: () =>
      ++calls === 2
        ? Promise.reject(new Error("not yet"))
        : Promise.resolve({ id: `registration ${calls}`, settled }),
  });
  await using connection = await connectWorker(options);
  for (const socket of echo.sockets) socket.close();
  await until(() => connection.reconnects === 1);
  assertEquals(connection.serviceId, "registration 3");
  await sleep(50);
  assertEquals(echo.sockets.size, 1);
});

Deno.test("connection: the first failure is an error that says why, without the token", async () => {
  await using echo = startEcho();
  echo.state.refuse = true;
  const error = await assertRejects(() => connectWorker(optionsOf(echo).options), WorkerError);
  assertEquals(error.code, "connection_failed");
  assert(error.message.startsWith(`Cannot connect to ${echo.url}: `), error.message);
  assert(!error.message.includes("[object"), error.message);
  assert(!error.message.includes("secret-token"));

  echo.state.refuse = false;
  const { options } = optionsOf(echo, { register: () => Promise.reject(new Error("no right")) });
  await assertRejects(() => connectWorker(options), WorkerError, "no right");
  await until(() => echo.sockets.size === 0);
});

Deno.test("connection: who comes to a new workspace together with others tries again", async () => {
  await using echo = startEcho();
  let tries = 0;
  const { options } = optionsOf(echo, {
    register: () => {
      if (++tries < 3) return Promise.reject(new Error("Workspace already exists: ws-1"));
      return Promise.resolve({ id: "ws-1/c:s", settled: () => Promise.resolve() });
    },
  });
  await using connection = await connectWorker(options);
  assertEquals([tries, connection.state], [3, "connected"]);

  tries = -100;
  await assertRejects(() => connectWorker(options), WorkerError, "Workspace already exists");
  assertEquals(tries, -97);
});

Deno.test("connection: connecting has a time limit of its own, and can be stopped", async () => {
  await using echo = startEcho();
  const never = { connect: () => new Promise<HyphaServer>(() => {}) };
  await assertRejects(
    () => connectWorker(optionsOf(echo, { ...never, connectTimeout: 30 }).options),
    WorkerError,
    "no answer within 0.03 s",
  );
  await assertRejects(
    () => {
      const signal = AbortSignal.timeout(20);
      return connectWorker(optionsOf(echo, { ...never, signal }).options);
    },
    DOMException,
    "due to timeout",
  );
});

Deno.test("connection: a connection that is made too late does not stay", async () => {
  await using echo = startEcho();
  let made = false;
  const { options } = optionsOf(echo, {
    connectTimeout: 30,
    connect: async (config) => {
      const server = await echo.connect(config);
      await sleep(100);
      made = true;
      return server;
    },
  });
  await assertRejects(() => connectWorker(options), WorkerError);
  await until(() => made && echo.sockets.size === 0);
});

Deno.test("connection: close ends it once and for all, though its client does not", async () => {
  await using echo = startEcho();
  const { options, events } = optionsOf(echo);
  const hanging = optionsOf(echo, {
    connect: async (config) => {
      const server = await echo.connect(config);
      return { ...server, rpc: { ...server.rpc, disconnect: () => new Promise<void>(() => {}) } };
    },
  });
  const connection = await connectWorker(options);
  await connection.close();
  await connection.close();
  assertEquals([connection.state, events], ["closed", [{ type: "closed" }]]);

  const other = await connectWorker(hanging.options);
  // Its client never ends, and is not waited for.
  await other.close();
  await sleep(100);
  assertEquals(echo.configs.length, 2);
});

Deno.test("connection: default client ids are never part of each other", () => {
  const ids = Array.from({ length: 50 }, () => defaultClientId());
  assertEquals(new Set(ids.map((id) => id.length)).size, 1);
  assertEquals(new Set(ids).size, 50);
  assert(ids.every((id) => /^conda-worker-[0-9a-f]{32}$/.test(id)));
});

Deno.test("socket: there is one, and no second", async () => {
  await using echo = startEcho();
  const gate = createSocketGate();
  const socket = new gate.WebSocket(echo.url);
  await new Promise((resolve) => socket.onopen = resolve);
  assertThrows(() => new gate.WebSocket(echo.url), Error, "ConnectionAbortedError");
  gate.close();
  assertEquals(await gate.closed, "closed by the worker");
  await until(() => socket.readyState === WebSocket.CLOSED);
});

Deno.test("socket: why a server refuses is known, whatever becomes of the socket then", async () => {
  await using echo = startEcho();
  const words = {
    [JSON.stringify({ type: "error", message: "Token has been revoked" })]:
      "Token has been revoked",
    [JSON.stringify({ type: "connection_info", error: "error" })]: undefined,
    '{"error": ': undefined,
  };
  for (const [text, expected] of Object.entries(words)) {
    const gate = createSocketGate();
    const socket = new gate.WebSocket(echo.url);
    await new Promise((resolve) => socket.onopen = resolve);
    const answered = new Promise((resolve) => socket.onmessage = resolve);
    socket.send(text);
    await answered;
    // What is said later is not about the connection.
    const again = new Promise((resolve) => socket.onmessage = resolve);
    socket.send(JSON.stringify({ type: "error", message: "later" }));
    await again;
    socket.dispatchEvent(new ErrorEvent("error", { message: "Unexpected EOF" }));
    assertEquals(gate.failure, expected ?? "Unexpected EOF");
    gate.close();
    await until(() => socket.readyState === WebSocket.CLOSED);
  }
});

Deno.test("connection: the client's words become single lines of the debug log, without tokens", () => {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", write: (line) => lines.push(line) });
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const token = `eyJ${"a".repeat(20)}.${"b".repeat(20)}.${"c".repeat(20)}`;
  rpcLogger(log).error("Failed:\n", new Error("reason"), { a: 1, token }, cyclic);
  assertEquals(lines.length, 1);
  assert(lines[0]?.includes('hypha-rpc: Failed: reason {"a":1,"token":"***"}'), lines[0]);
});

Deno.test("rejections: those of the connection are counted, others are faults", async () => {
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line) });
  {
    using guard = guardRejections(log);
    Promise.reject(new Error("RemoteError:Error: Session not found: ws/c:abc"));
    Promise.reject(new Error("a fault of ours"));
    await until(() => guard.ignored + guard.faults === 2);
    assertEquals([guard.ignored, guard.faults], [1, 1]);
  }
  assertEquals(lines.length, 1);
  assert(lines[0]?.includes("a fault of ours"));
});
