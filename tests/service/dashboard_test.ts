import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Admission } from "../../lib/dashboard/admission.ts";
import { Builds } from "../../lib/dashboard/builds.ts";
import { startDashboard } from "../../lib/dashboard/dashboard.ts";
import { bothLoggers, LogTail } from "../../lib/dashboard/log_tail.ts";
import { UsageSampler } from "../../lib/dashboard/usage.ts";
import { WorkerError } from "../../lib/errors.ts";
import { createLogger } from "../../lib/log.ts";
import {
  beginBuild,
  environmentLike,
  fill,
  Made,
  sessionLike,
  specOf,
  TOKEN,
} from "./dashboard_support.ts";

/** A request as it is written on the wire: `fetch` does not let anybody choose Host and Cookie. */
async function raw(
  made: Made,
  request: string,
  headers: Record<string, string> = {},
  body = "",
): Promise<{ status: number; headers: Headers; text: string }> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: made.port });
  const all = {
    host: `127.0.0.1:${made.port}`,
    connection: "close",
    ...(body === "" ? {} : { "content-length": String(new TextEncoder().encode(body).length) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const bytes = new TextEncoder().encode(`${request} HTTP/1.1\r\n${lines}\r\n${body}`);
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
  let received = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  // Until the answer is there: a server may wait for the rest of a request.
  const isWhole = () => {
    const [head = "", body] = received.split("\r\n\r\n", 2);
    const length = /^content-length: (\d+)/im.exec(head)?.[1];
    return request.startsWith("HEAD") || body === undefined || length === undefined
      ? false
      : new TextEncoder().encode(body).length >= Number(length);
  };
  while (!isWhole()) {
    const n = await connection.read(buffer);
    if (n === null) break;
    received += decoder.decode(buffer.subarray(0, n), { stream: true });
  }
  const [head = "", ...rest] = received.split("\r\n\r\n");
  const [status = "", ...fields] = head.split("\r\n");
  return {
    status: Number(status.split(" ")[1]),
    headers: new Headers(
      fields.map((field) =>
        [field.slice(0, field.indexOf(":")), field.slice(field.indexOf(":") + 1).trim()] as const
      ).map(([name, value]) => [name, value]),
    ),
    text: rest.join("\r\n\r\n"),
  };
}

const BEARER = { authorization: `Bearer ${TOKEN}` };
const JSON_BODY = { "content-type": "application/json" };

/** Logs in as the page does; the headers a browser sends from then on. */
async function login(made: Made): Promise<Record<string, string>> {
  const origin = `http://127.0.0.1:${made.port}`;
  const headers = { ...JSON_BODY, origin };
  const answer = await raw(made, "POST /api/login", headers, JSON.stringify({ token: TOKEN }));
  assertEquals(answer.status, 200, answer.text);
  const [cookie = ""] = answer.headers.get("set-cookie")!.split(";");
  const { key } = JSON.parse(answer.text.match(/\{.*\}/s)![0]);
  return { cookie, "x-dashboard-key": key, origin };
}

interface State {
  sessions: { total: number; items: Record<string, unknown>[] };
  environments: { total: number; items: Record<string, unknown>[] };
  builds: Record<string, unknown>[];
}

async function state(made: Made): Promise<State> {
  const response = await fetch(`${made.url}api/state`, { headers: BEARER });
  assertEquals(response.status, 200);
  return await response.json();
}

Deno.test("dashboard: without the token there is the page, and nothing else", async () => {
  await using made = new Made();
  made.sessions = [sessionLike("secret-session")];
  for (const path of ["/", "/main.js", "/views.js", "/dom.js", "/style.css", "/icon.svg"]) {
    const response = await fetch(new URL(path, made.url));
    assertEquals(response.status, 200, path);
    assertEquals((await response.text()).includes("secret-session"), false);
  }
  for (const path of ["state", "log", "session?id=secret-session", "anything"]) {
    for (
      const headers of [
        {},
        { authorization: "Bearer wrong" },
        {
          authorization: `Bearer ${TOKEN}x`,
        },
        { authorization: `Basic ${btoa(TOKEN)}` },
        { cookie: `hypha_dashboard=${TOKEN}` },
      ]
    ) {
      const { status, text } = await raw(made, `GET /api/${path}`, headers as never);
      assertEquals(status, 401, path);
      assertEquals(text.includes("secret-session"), false);
    }
  }
  for (const path of ["stop", "interrupt", "remove", "logout"]) {
    const body = JSON.stringify({ session: "secret-session", environment: "e" });
    assertEquals((await raw(made, `POST /api/${path}`, JSON_BODY, body)).status, 401);
  }
  // A token in the address of a request is no right to anything.
  assertEquals((await raw(made, `GET /api/state?token=${TOKEN}`)).status, 401);
  assertEquals(made.looks, 0);
  assertEquals(made.done, []);
});

Deno.test("dashboard: the token is exchanged for a cookie scripts cannot read and a key that only the page has", async () => {
  await using made = new Made();
  const browser = await login(made);
  assertEquals((await raw(made, "GET /api/state", browser)).status, 200);
  const { cookie, "x-dashboard-key": key, origin } = browser;
  // Other servers of this machine get the cookie from the browser; it opens nothing.
  assertEquals((await raw(made, "GET /api/state", { cookie: cookie! })).status, 401);
  assertEquals((await raw(made, "GET /api/state", { "x-dashboard-key": key! })).status, 401);
  const other = await login(made);
  const mixed = { cookie: cookie!, "x-dashboard-key": other["x-dashboard-key"]! };
  assertEquals((await raw(made, "GET /api/state", mixed)).status, 401);
  // Neither is the token.
  assertEquals(cookie!.includes(TOKEN) || key === TOKEN, false);

  const answer = await raw(
    made,
    "POST /api/login",
    { ...JSON_BODY, origin: origin! },
    JSON.stringify({ token: TOKEN }),
  );
  const set = answer.headers.get("set-cookie")!;
  for (const word of ["HttpOnly", "SameSite=Strict", "Path=/api/"]) assertStringIncludes(set, word);

  assertEquals(
    (await raw(made, "POST /api/logout", { ...browser, ...JSON_BODY }, "{}")).status,
    200,
  );
  assertEquals((await raw(made, "GET /api/state", browser)).status, 401);
  assertEquals((await raw(made, "GET /api/state", other)).status, 200);
});

Deno.test("dashboard: the token and what stands for it are never logged", async () => {
  await using made = new Made();
  const { cookie, "x-dashboard-key": key } = await login(made);
  const wrong = JSON.stringify({ token: "not-the-token-at-all" });
  const origin = `http://127.0.0.1:${made.port}`;
  assertEquals(
    (await raw(made, "POST /api/login", { ...JSON_BODY, origin }, wrong)).status,
    401,
  );
  made.log.info("A careless line", { token: TOKEN });
  const response = await fetch(`${made.url}api/log`, { headers: BEARER });
  const { lines } = await response.json() as { lines: string[] };
  const text = lines.join("\n");
  assertStringIncludes(text, "Login to the dashboard");
  assertStringIncludes(text, "A login to the dashboard was refused");
  assertStringIncludes(text, "A careless line token=***");
  for (const secret of [TOKEN, cookie!.split("=")[1]!, key!, "not-the-token"]) {
    assertEquals(text.includes(secret), false);
  }
});

Deno.test("dashboard: a name that was made to mean this machine is refused (DNS rebinding)", async () => {
  await using made = new Made({ hosts: ["worker-host"] });
  const ask = async (host: string) =>
    (await raw(made, "GET /api/state", { host, ...BEARER })).status;
  for (
    const host of [
      "127.0.0.1",
      "localhost:1234",
      "LOCALHOST",
      "[::1]:80",
      "10.1.2.3:9",
      "worker-host",
    ]
  ) assertEquals(await ask(host), 200, host);
  for (
    const host of [
      "evil.example",
      "evil.example:8080",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "127.0.0.1:80@evil.example",
      "[::1].evil.example",
      "worker-host.evil.example",
    ]
  ) {
    // What is no host at all is refused before the dashboard sees it.
    assert([421, 400].includes(await ask(host)), host);
    const page = await raw(made, "GET /", { host });
    assert([421, 400].includes(page.status), host);
  }
});

Deno.test("dashboard: a page of elsewhere can do nothing in the name of the operator", async () => {
  await using made = new Made();
  made.sessions = [sessionLike("s")];
  const { origin, ...browser } = await login(made);
  const body = JSON.stringify({ session: "s" });
  const stop = (headers: Record<string, string>) =>
    raw(made, "POST /api/stop", { ...browser, ...JSON_BODY, ...headers }, body);
  for (
    const headers of [
      {},
      { origin: "http://evil.example" },
      { origin: "null" },
      // Another server of this machine, such as one of a session.
      { origin: "http://127.0.0.1:7860" },
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "cross-site" },
    ]
  ) assertEquals((await stop(headers as never)).status, 403, JSON.stringify(headers));
  // What a form of another page can send.
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
    assertEquals((await stop({ origin: origin!, "content-type": type })).status, 400, type);
  }
  assertEquals(made.done, []);
  const preflight = await raw(made, "OPTIONS /api/stop", { origin: "http://evil.example" });
  assertEquals(preflight.status, 405);
  assertEquals(preflight.headers.get("access-control-allow-origin"), null);
  const login2 = await raw(
    made,
    "POST /api/login",
    { ...JSON_BODY, origin: "http://evil.example" },
    JSON.stringify({ token: TOKEN }),
  );
  assertEquals(login2.status, 403);
  assertEquals((await stop({ origin: origin! })).status, 200);
  assertEquals(made.done, ["stop s"]);
});

Deno.test("dashboard: every answer forbids scripts of others, frames, and keeping", async () => {
  await using made = new Made();
  const answers = [
    await raw(made, "GET /"),
    await raw(made, "GET /main.js"),
    await raw(made, "GET /nothing"),
    await raw(made, "GET /api/state"),
    await raw(made, "GET /api/state", BEARER),
    await raw(made, "DELETE /api/state", BEARER),
    await raw(made, "GET /", { host: "evil.example" }),
  ];
  assertEquals(answers.map((one) => one.status), [200, 200, 404, 401, 200, 405, 421]);
  for (const { headers } of answers) {
    const policy = headers.get("content-security-policy")!;
    assertStringIncludes(policy, "default-src 'none'");
    assertStringIncludes(policy, "script-src 'self'");
    assertStringIncludes(policy, "frame-ancestors 'none'");
    assertEquals(/unsafe/.test(policy), false);
    assertEquals(headers.get("x-frame-options"), "DENY");
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertEquals(headers.get("cache-control"), "no-store");
    assertEquals(headers.get("access-control-allow-origin"), null);
  }
  // The page loads nothing from elsewhere, and has no script in it.
  const { text } = await raw(made, "GET /");
  assertEquals([...text.matchAll(/<script\b[^>]*>([^]*?)<\/script>/g)].map((one) => one[1]), [""]);
  assertEquals(/(?:https?:)?\/\/\w/.test(text), false);
  assertEquals((await raw(made, "HEAD /")).text, "");
  for (const path of ["/../deno.json", "/page/main.js", "/constructor", "/__proto__", "//x"]) {
    assertEquals((await raw(made, `GET ${path}`)).status, 404, path);
  }
});

Deno.test("dashboard: bodies that are too long, are not JSON or never end are refused", async () => {
  await using made = new Made();
  const post = (body: string) => raw(made, "POST /api/stop", { ...BEARER, ...JSON_BODY }, body);
  for (const body of ["[]", "null", "{", '"s"', JSON.stringify({ session: "x".repeat(5000) })]) {
    assertEquals((await post(body)).status, 400, body.slice(0, 20));
  }
  assertEquals((await post(JSON.stringify({ session: 7 }))).status, 400);
  const promised = { ...BEARER, ...JSON_BODY, "content-length": "100" };
  assertEquals((await raw(made, "POST /api/stop", promised, "{")).status, 400);
  assertEquals(made.done, []);
});

Deno.test("dashboard: who looks at the same moment shares one look, and what has not changed is not sent again", async () => {
  await using made = new Made();
  made.sessions = [sessionLike("s")];
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => fetch(`${made.url}api/state`, { headers: BEARER })),
  );
  const tags = new Set(answers.map((one) => one.headers.get("etag")));
  await Promise.all(answers.map((one) => one.body?.cancel()));
  assert(tags.size < 20);
  assert(made.looks < 20, String(made.looks));
  const [tag] = [...tags].slice(-1);
  const first = answers.at(-1)!.headers.get("etag")!;
  assertEquals(tag, first);
  made.sessions = [sessionLike("s"), sessionLike("t")];
  // Changes are seen although an answer is shared for a moment.
  for (;;) {
    const response = await fetch(`${made.url}api/state`, {
      headers: { ...BEARER, "if-none-match": first },
    });
    const { status } = response;
    const text = await response.text();
    if (status === 304) assertEquals(text, "");
    else if (JSON.parse(text).sessions.total === 2) break;
  }
});

Deno.test("dashboard: the state has bounds, whatever sessions put out and ask for", async () => {
  await using made = new Made();
  const packages = Array.from({ length: 3000 }, (_, i) => `package-${i}${"x".repeat(500)}`);
  const line = `${"y".repeat(60_000)}\n`;
  made.sessions = Array.from({ length: 700 }, (_, i) =>
    sessionLike(`s-${i}`, {
      request: { spec: specOf(...packages) },
      output: (log) => {
        for (let k = 0; k < 5; k++) log.write("stdout", line);
      },
    }));
  made.environments = Array.from(
    { length: 400 },
    (_, i) => environmentLike(`e-${i}`, { spec: specOf(...packages) }),
  );
  const response = await fetch(`${made.url}api/state`, { headers: BEARER });
  const text = await response.text();
  const { sessions, environments } = JSON.parse(text);
  assertEquals([sessions.total, environments.total], [700, 400]);
  assertEquals([sessions.items.length, environments.items.length], [500, 200]);
  // The newest are those that are shown.
  assertEquals(sessions.items[0].id, "s-699");
  assert(text.length < 3_000_000, String(text.length));
  const details = await fetch(`${made.url}api/session?id=s-3`, { headers: BEARER });
  const detail = await details.text();
  assert(detail.length < 100_000, String(detail.length));
  assertMatch(JSON.parse(detail).dependencies.at(-1), /^… 2960 more$/);
});

Deno.test("dashboard: sessions are told with state, owner, app, age, usage, queue and their last output", async () => {
  await using made = new Made();
  await fill(made);
  const { sessions, environments, builds } = await state(made);
  const items = sessions.items;
  const busy = items.find((one) => one.app_id === "cell-segmentation")!;
  assertEquals(
    [busy.state, busy.busy, busy.queued, busy.workspace, busy.memory_bytes, busy.cpu_seconds],
    ["running", true, 2, "ws-user-1", 47_972_352, 1.5],
  );
  assertEquals(busy.environment, "3f0c9a41b2d7e586");
  assertStringIncludes((busy.last_output as { text: string }).text, "epoch 3");
  assertEquals(items.map((one) => one.state), ["starting", "dead", "running", "running"]);
  const rows = environments.items;
  assertEquals(rows.map((one) => one.sessions), [2, 0, 0]);
  assertEquals(
    builds.map((one) => [one.state, one.phase, one.percent]),
    [["running", "download", 34], ["failed", "solve", null], ["ready", "solve", null]],
  );
  const gone = await fetch(`${made.url}api/session?id=nobody`, { headers: BEARER });
  assertEquals(gone.status, 404);
  assertStringIncludes((await gone.json()).error, "it has ended");
});

Deno.test("dashboard: actions reach the worker, and their errors reach the operator", async () => {
  await using made = new Made();
  const post = async (path: string, body: unknown) => {
    const headers = { ...BEARER, ...JSON_BODY };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await fetch(`${made.url}api/${path}`, init);
    return { status: response.status, body: await response.json() };
  };
  assertEquals(await post("interrupt", { session: "s" }), {
    status: 200,
    body: { done: true, result: true },
  });
  assertEquals((await post("stop", { session: "s" })).body, { done: true, result: null });
  assertEquals((await post("remove", { environment: "e" })).status, 200);
  assertEquals(made.done, ["interrupt s", "stop s", "remove e"]);
  const failed = await post("stop", { session: "nobody" });
  assertEquals([failed.status, failed.body.code], [404, "session_not_found"]);
  assertEquals((await post("nonsense", {})).status, 404);
  // One that takes long goes on behind the answer.
  const held = Promise.withResolvers<void>();
  made.hold = held.promise;
  assertEquals(await post("stop", { session: "slow" }), { status: 202, body: { done: false } });
  held.resolve();
  await held.promise;
  while (!made.done.includes("stop slow")) await new Promise((done) => setTimeout(done, 5));
  const { lines } = await (await fetch(`${made.url}api/log`, { headers: BEARER })).json();
  assertStringIncludes(lines.join("\n"), "Dashboard action action=stop subject=slow");
});

Deno.test("dashboard: a port that is taken is an error that names the option", async () => {
  await using made = new Made();
  const error = assertThrows(() =>
    startDashboard({
      port: made.port,
      token: TOKEN,
      sources: {} as never,
      actions: {} as never,
      log: made.log,
    }), WorkerError);
  assertEquals(error.code, "usage");
  assertStringIncludes(error.suggestion, "--dashboard-port");
});

Deno.test("dashboard: a reader that does not read keeps it neither from answering nor from ending", async () => {
  const connections: Deno.Conn[] = [];
  const connect = async (made: Made) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: made.port });
    connections.push(connection);
    return connection;
  };
  {
    await using made = new Made();
    made.sessions = Array.from({ length: 500 }, (_, i) => sessionLike(`s-${i}`));
    const request = new TextEncoder().encode(
      `GET /api/state HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`,
    );
    for (let i = 0; i < 5; i++) {
      const connection = await connect(made);
      for (let k = 0; k < 10; k++) await connection.write(request);
    }
    // Nor does one whose request never ends, or never begins.
    const begun = `POST /api/login HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\n` +
      `content-type: application/json\r\ncontent-length: 100\r\n\r\n{`;
    await (await connect(made)).write(new TextEncoder().encode(begun));
    await (await connect(made)).write(new TextEncoder().encode("GET /api/st"));
    await state(made);
  }
  for (const connection of connections) connection.close();
});

Deno.test("dashboard: requests that are answered at once have a limit, and the others are told", async () => {
  await using made = new Made();
  const held = Promise.withResolvers<void>();
  made.hold = held.promise;
  const stop = (i: number) =>
    fetch(`${made.url}api/stop`, {
      method: "POST",
      headers: { ...BEARER, ...JSON_BODY },
      body: JSON.stringify({ session: `s-${i}` }),
    });
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => stop(i)));
  held.resolve();
  const count = (status: number) => answers.filter((one) => one.status === status).length;
  assert(count(503) > 0 && count(202) >= 64, JSON.stringify(answers.map((one) => one.status)));
  assertEquals(count(503) + count(202), 100);
  await Promise.all(answers.map((one) => one.body?.cancel()));
  const after = await stop(1);
  assertEquals([after.status, (await after.json()).done], [200, true]);
});

Deno.test("a login is forgotten when it is not used, and when there are too many", () => {
  let now = 0;
  const admission = new Admission({ token: TOKEN, now: () => now });
  const headersOf = (key: string) => new Headers({ "x-dashboard-key": key });
  const enter = () => admission.login(TOKEN)!;
  const one = enter();
  const HOUR = 3_600_000;
  for (let i = 0; i < 5; i++) {
    now += 11 * HOUR;
    assertEquals(admission.admit(headersOf(one.key), one.cookie), "browser");
  }
  now += 13 * HOUR;
  assertEquals(admission.admit(headersOf(one.key), one.cookie), undefined);
  const old = enter();
  const used = enter();
  for (let i = 0; i < 99; i++) {
    assertEquals(admission.admit(headersOf(used.key), used.cookie), "browser");
    enter();
  }
  assertEquals(admission.admit(headersOf(old.key), old.cookie), undefined);
  assertEquals(admission.admit(headersOf(used.key), used.cookie), "browser");
  assertNotEquals(old.cookie, used.cookie);
  assertEquals(admission.login(""), undefined);
});

Deno.test("the tail of the log keeps the last lines, by number and by size", () => {
  const tail = new LogTail({ maxLines: 5, maxCharacters: 100 });
  for (let i = 0; i < 8; i++) tail.add(`line ${i}`);
  assertEquals(tail.from(0, 100), {
    first: 3,
    lines: ["line 3", "line 4", "line 5", "line 6", "line 7"],
    next: 8,
  });
  assertEquals(tail.from(7, 100).lines, ["line 7"]);
  assertEquals(tail.from(8, 100), { first: 8, lines: [], next: 8 });
  assertEquals(tail.from(0, 2).lines, ["line 6", "line 7"]);
  // A page that was open while the worker was started again.
  assertEquals(tail.from(5000, 100).lines.length, 5);
  tail.add("x".repeat(98));
  assertEquals(tail.from(0, 100).lines, ["x".repeat(98)]);
  const long = new LogTail();
  long.add("y".repeat(100_000));
  assertEquals(long.from(0, 1).lines[0]!.length, 2001);
});

Deno.test("what is logged goes to the log and to its tail", () => {
  const lines: string[] = [];
  const tail = new LogTail();
  const now = () => new Date(0);
  const log = bothLoggers(
    createLogger({ format: "json", now, write: (line) => lines.push(line) }),
    createLogger({ now, write: tail.add }),
  );
  log.warning("Careful", { url: "https://user:pass@host/x" });
  log.debug("Not said");
  assertEquals(lines.length, 1);
  assertEquals(tail.from(0, 10).lines, [
    "1970-01-01T00:00:00.000Z WARNING Careful url=https://***@host/x",
  ]);
});

Deno.test("several who wait for the same environment are one build; what is in the cache is none", async () => {
  const builds = new Builds();
  const one = beginBuild(builds, specOf("python", "numpy"));
  const two = beginBuild(builds, specOf("numpy", "python"));
  const other = beginBuild(builds, specOf("python", "scipy"));
  const found = beginBuild(builds, specOf("python"));
  await Promise.resolve();
  for (const build of [one, two, other, found]) {
    build.tell({ type: "info", message: "Checking", phase: "environment" });
  }
  assertEquals(builds.list(), []);
  for (const build of [one, two, other]) {
    build.tell({ type: "info", message: "Solving", phase: "solve" });
  }
  one.tell({ type: "info", message: "Downloading", phase: "download", percent: 50 });
  found.end("k0");
  await found.settled;
  const seen = () => builds.list().map(({ state, waiting, percent }) => [state, waiting, percent]);
  assertEquals(seen(), [["running", 1, undefined], ["running", 2, 50]]);
  // One stops waiting; for the other it goes on.
  two.fail(new WorkerError("environment_cancelled", "cancelled"));
  await two.settled;
  assertEquals(seen(), [["running", 1, undefined], ["running", 1, 50]]);
  one.end("k1");
  await one.settled;
  other.fail(new WorkerError("environment_cancelled", "cancelled"));
  await other.settled;
  assertEquals(seen().map(([state]) => state), ["cancelled", "ready"]);
  assertEquals(builds.list()[1]!.key, "k1");
});

Deno.test("builds that have ended are kept, but not for ever", async () => {
  const builds = new Builds();
  for (let i = 0; i < 30; i++) {
    const build = beginBuild(builds, specOf(`p-${i}`));
    await Promise.resolve();
    build.tell({ type: "info", message: "Solving", phase: "solve" });
    build.fail(new Error("z".repeat(10_000)));
    await build.settled;
  }
  assertEquals(builds.list().length, 20);
  assertEquals(builds.list()[0]!.spec.packages, ["p-29"]);
  assert(builds.list()[0]!.message.length < 2100);
});

Deno.test("usage is measured seldom, tells processors from the second time on, and never holds up who asks", async () => {
  let now = 0;
  let asked = 0;
  let seconds = 10;
  const sampler = new UsageSampler(() => now);
  const session = {
    usage: () => {
      asked++;
      return Promise.resolve({ cpu_seconds: seconds, memory_bytes: 5, processes: 1 });
    },
  };
  assertEquals(await sampler.of(session), { cpu_seconds: 10, memory_bytes: 5, processes: 1 });
  now = 2000;
  await sampler.of(session);
  assertEquals(asked, 1);
  now = 4000;
  seconds = 12;
  await sampler.of(session);
  assertEquals(asked, 2);
  now = 4100;
  assertEquals((await sampler.of(session))?.cpus, 0.5);
  // After a restart the process counts from the beginning.
  now = 8000;
  seconds = 0.1;
  await sampler.of(session);
  await Promise.resolve();
  now = 8100;
  assertEquals((await sampler.of(session))?.cpus, undefined);
  const silent = { usage: () => new Promise<undefined>(() => {}) };
  assertEquals(await sampler.of(silent), undefined);
  const failing = { usage: () => Promise.reject(new Error("gone")) };
  assertEquals(await sampler.of(failing), undefined);
});
