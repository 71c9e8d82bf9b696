import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { browserTest, openPage } from "../stack/browser.ts";
import { program } from "../cli/program.ts";
import { eventually, Stage } from "./stage.ts";
import type { WorkerProcess } from "./worker_process.ts";

const TOKEN = "the-operators-own-token";

/** The line that tells where the dashboard is. */
function linkOf(worker: WorkerProcess): string {
  return /^Dashboard: (\S+)$/m.exec(worker.stdout)![1]!;
}

interface State {
  worker: Record<string, unknown>;
  sessions: { total: number; items: Record<string, unknown>[] };
  environments: { total: number; items: Record<string, unknown>[] };
  builds: Record<string, unknown>[];
}

browserTest("the operator watches a worker in a browser", async (t) => {
  await using stage = await Stage.start({ args: ["--dashboard-port=0"] });
  const { worker, managers } = stage;
  const link = linkOf(worker);
  const token = link.split("#token=")[1]!;
  const url = link.split("#")[0]!;
  const get = async (path: string) =>
    await (await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })).json();
  await using page = await openPage(link, { width: 1280, height: 900 });
  await page.waitForText("connected");
  await page.waitForText("No sessions.");
  await page.waitForText("The cache is empty.");
  assertEquals(await page.evaluate("location.hash"), "");

  await t.step("a build is seen while it goes on, with the session that waits for it", async () => {
    // A package manager that takes its time over each package: the test looks at its progress.
    await managers.setFaults({ "link_delay": 1.5 });
    const started = stage.python(`
server = await connect()
worker = await server.get_service("conda-worker")
c = config("built-for")
c["manifest"]["dependencies"] = ["python=3.11", "toy-a", "toy-b"]
await worker.start(c)
await server.disconnect()
`);
    await page.waitFor("document.querySelector('#builds progress:not([hidden])') !== null");
    await page.waitForText("1 running");
    await page.waitFor(
      "document.querySelector('#sessions .pill')?.innerText === 'starting'",
    );
    assertStringIncludes(await page.text("#builds"), "toy-a");
    // It moves.
    const done = async () => {
      const state = await get("api/state") as State;
      const { phase, percent } = state.builds[0] as { phase: string; percent: number };
      return `${phase} ${percent}`;
    };
    const seen = new Set<string>();
    await eventually(async () => {
      seen.add(await done());
      return seen.size >= 3;
    }, "progress that moves");
    await started;
    await managers.setFaults({});
    await page.waitFor("document.querySelector('#builds .pill')?.innerText === 'ready'");
    await page.waitForText("for ws-user-user-1/built-for");
    await page.waitFor("document.querySelector('#environments .id') !== null");
    await page.waitFor(
      "document.querySelector('#environments .users')?.innerText.includes('1 session')",
    );
    // Its size comes when it has been measured.
    await page.waitFor("/[MKG]B/.test(document.querySelector('#environments .size')?.innerText)");
  });

  await t.step("a session is seen as it is: busy, with its outputs and what it uses", async () => {
    await page.click("#sessions summary");
    const running = stage.python(`
server = await connect()
worker = await server.get_service("conda-worker")
result = await worker.execute("built-for", """
import time, sys
print("first words <b>of</b> the cell", flush=True)
block = bytearray(50_000_000)
while True: time.sleep(0.01)
""", {"timeout": 600})
check(result["status"] == "error" and result["error"]["ename"] == "KeyboardInterrupt", result)
await server.disconnect()
`);
    await page.waitFor("document.querySelector('#sessions .pill').innerText === 'busy'");
    await page.waitFor(
      "document.querySelector('#sessions pre').innerText.includes('first words <b>of</b> the cell')",
    );
    await page.waitFor("/MB/.test(document.querySelector('#sessions .memory').innerText)");
    await page.waitFor("/%/.test(document.querySelector('#sessions .cpu').innerText)");
    const { sessions } = await get("api/state") as State;
    const [session] = sessions.items;
    assertEquals(
      [session!.id, session!.workspace, session!.busy, session!.queued, session!.state],
      ["ws-user-user-1/built-for", "ws-user-user-1", true, 0, "running"],
    );
    await page.click("#sessions [data-action=interrupt]");
    await page.waitForText("Interrupted.");
    await running;
    await page.waitFor("document.querySelector('#sessions .pill').innerText === 'idle'");
    await page.waitFor(
      "document.querySelector('#sessions pre').innerText.includes('KeyboardInterrupt')",
    );
  });

  await t.step("the log is seen, without the token of anybody", async () => {
    await page.waitForText("call method=execute");
    const log = await page.text("#log");
    const secrets = [token, await stage.server.userToken({ user: "user-1" })];
    for (const secret of secrets) {
      assertEquals(log.includes(secret), false);
      assertEquals(worker.stderr.includes(secret), false);
    }
    // The link is printed once, and nowhere else.
    assertEquals(worker.output().split(token).length, 2);
  });

  await t.step("a session is stopped, and an environment nobody uses is removed", async () => {
    await page.click("#sessions [data-action=stop]");
    await page.click("#confirm-yes");
    await page.waitForText("No sessions.");
    await eventually(async () => (await stage.sessionDirectories()).length === 0, "no directory");
    await page.evaluate("document.querySelector('#environments details').open = true");
    await page.waitFor("!document.querySelector('#environments [data-action=remove]').disabled");
    await page.click("#environments [data-action=remove]");
    await page.click("#confirm-yes");
    await page.waitForText("The cache is empty.");
  });

  await t.step(
    "nothing went wrong in the browser, and nothing was asked of elsewhere",
    async () => {
      await page.resize(375, 800);
      assertEquals(await page.overflow(), 0);
      // A session may end between the list that names it and the question for it.
      const gone = /status of 404 .*\/api\/session\?/;
      assertEquals(page.errors.filter((one) => !gone.test(one)), []);
      assertEquals(page.requests.filter((one) => !one.startsWith(url)), []);
    },
  );

  await t.step("a lost server is seen", async () => {
    await stage.server.stop();
    await page.waitForText("reconnecting");
  });
});

Deno.test("a session reaches the dashboard's port but nothing behind it", async () => {
  await using stage = await Stage.start({
    args: ["--dashboard-port=0"],
    env: { HYPHA_DASHBOARD_TOKEN: TOKEN },
  });
  const url = linkOf(stage.worker);
  assertEquals(url.includes(TOKEN), false);
  await stage.python(
    `
server = await connect()
worker = await server.get_service("conda-worker")
await worker.start(config("tenant"))
result = await worker.execute("tenant", '''
import os, glob, urllib.request, urllib.error
url = ${JSON.stringify(url)}
answers = []
for path in ["api/state", "api/log", "api/session?id=ws-user-user-1/tenant", "api/state?token="]:
    try: urllib.request.urlopen(url + path)
    except urllib.error.HTTPError as error: answers.append(error.code)
print(answers)
# Neither its own variables nor those of other processes that it may read tell the token.
print("${TOKEN}" in str(os.environ))
found = []
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try: found += [path] if b"${TOKEN.slice(0, 12)}" in open(path, "rb").read() else []
    except OSError: pass
print("in its own processes:", [p for p in found if "/self/" in p or "/%d/" % os.getpid() in p])
''')
lines = stdout(result).splitlines()
check(lines == ["[401, 401, 401, 401]", "False", "in its own processes: []"], result)
await worker.stop("tenant")
await server.disconnect()
`,
    { no_proxy: "*" },
  );
  const state = await (await fetch(`${url}api/state`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  })).json() as State;
  assertEquals(state.worker.state, "connected");
  assertEquals(state.environments.total, 1);
  assert(Number(state.worker.memory_bytes) > 1e6);
  assertEquals(stage.worker.output().includes(TOKEN), false);
});

Deno.test("without --dashboard-port there is no dashboard, and a token that can be guessed is refused", async () => {
  const required = [
    "--server-url=http://127.0.0.1:9",
    "--workspace=w",
    "--token=some-token-of-nobody",
  ];
  const run = (...args: string[]) => program(["start", ...required, ...args]);
  for (
    const [args, message] of [
      [["--dashboard-port=x"], "--dashboard-port must be a port number"],
      [["--dashboard-port=70000"], "--dashboard-port must be a port number"],
      [["--dashboard-port=0", "--dashboard-token=short"], "at least 16 characters"],
    ] as const
  ) {
    const { code, stderr, stdout } = await run(...args);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, message);
    assertEquals(stdout.includes("Dashboard"), false);
    assertEquals(stderr.includes("short"), false);
  }
  // Off by default.
  const { stdout, stderr } = await run("--package-manager=none");
  assertEquals((stdout + stderr).includes("ashboard"), false);
});
