import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { browserTest, openPage } from "../stack/browser.ts";
import { decodePng } from "../stack/png.ts";
import {
  beginBuild,
  environmentLike,
  fill,
  Made,
  sessionLike,
  specOf,
  TOKEN,
} from "./dashboard_support.ts";

/** A text that runs script wherever it is taken for markup or code. */
const HOSTILE = `<img src=x onerror="globalThis.owned=1"><script>globalThis.owned=2</script>` +
  `"' onmouseover='globalThis.owned=3' javascript:globalThis.owned=4 {{7*7}} \u202e\u0000`;

browserTest("dashboard page: the link opens it, and the token leaves the address", async () => {
  await using made = new Made();
  await fill(made);
  await using page = await openPage(made.link);
  await page.waitForText("notebook-of-ada");
  assertEquals(await page.evaluate("location.href"), made.url);
  assertEquals(await page.evaluate("document.cookie"), "");
  assertEquals(page.requests.filter((url) => url.includes(TOKEN)), []);
  assertEquals(page.requests.filter((url) => !url.startsWith(made.url)), []);
  // The next visit needs no token.
  await page.goto(made.url);
  await page.waitForText("notebook-of-ada");
  // A link with the token in the query works, too.
  await page.click("#logout");
  await page.waitForText("paste its token");
  await page.goto(`${made.url}?token=${TOKEN}`);
  await page.waitForText("notebook-of-ada");
  assertEquals(await page.evaluate("location.href"), made.url);
  assertEquals(page.errors.filter((one) => !one.includes("401")), []);
});

browserTest(
  "dashboard page: it asks for the token, and says when it is the wrong one",
  async () => {
    await using made = new Made();
    made.sessions = [sessionLike("behind-the-door")];
    await using page = await openPage(made.url);
    await page.waitForText("paste its token");
    assertEquals((await page.text()).includes("behind-the-door"), false);
    await page.type("wrong");
    await page.click("#login button");
    await page.waitForText("This is not the token of this dashboard");
    await page.evaluate("document.querySelector('#token').value = ''");
    await page.click("#token");
    await page.type(TOKEN);
    await page.click("#login button");
    await page.waitForText("behind-the-door");
    await page.click("#logout");
    await page.waitForText("paste its token");
    await page.goto(made.url);
    await page.waitForText("paste its token");
  },
);

browserTest("dashboard page: what tenants name and print is shown and never run", async () => {
  await using made = new Made();
  const spec = specOf(HOSTILE);
  made.sessions = [
    sessionLike(HOSTILE, {
      request: { appId: HOSTILE, workspace: HOSTILE, spec, clientId: HOSTILE, entryPoint: HOSTILE },
      death: { code: 1, signal: null, reason: HOSTILE, stderr: HOSTILE },
      pythonVersion: HOSTILE,
      output: (log) => {
        log.write("stdout", `${HOSTILE}\n\u001b[31m${HOSTILE}\u001b[0m\n`);
        log.add("error", HOSTILE);
      },
    }),
    sessionLike("__proto__", { output: (log) => log.write("stdout", HOSTILE) }),
    sessionLike("constructor"),
  ];
  made.environments = [
    environmentLike(HOSTILE, { spec, reason: HOSTILE, prefix: HOSTILE, python: HOSTILE }),
  ];
  made.facts = { service_id: HOSTILE, workspace: HOSTILE };
  const running = beginBuild(made.builds, spec);
  const failed = beginBuild(made.builds, specOf(HOSTILE, "x"));
  await Promise.resolve();
  running.tell({ type: "info", message: HOSTILE, phase: HOSTILE });
  failed.tell({ type: "info", message: HOSTILE, phase: "solve" });
  failed.fail(new WorkerError("solver_conflict", HOSTILE));
  made.tail.add(`2026-01-01T00:00:00.000Z INFO ${HOSTILE}`);
  made.tail.add(HOSTILE);
  await using page = await openPage(made.link, { width: 375, height: 800 });
  await page.waitForText("constructor");
  await page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)");
  await page.waitFor("document.querySelectorAll('pre.output span').length >= 4");
  await page.waitFor("document.querySelectorAll('#log .line').length >= 3");
  const text = await page.text();
  for (const place of ["#sessions", "#environments", "#builds", "#log", "#facts"]) {
    assertStringIncludes(await page.text(place), "<img src=x onerror=", place);
  }
  assert(text.split("<script>globalThis.owned=2").length > 15, text);
  assertEquals(await page.evaluate("globalThis.owned ?? null"), null);
  assertEquals(
    await page.evaluate("document.querySelectorAll('img:not([src=\"/icon.svg\"])').length"),
    0,
  );
  // Nothing was asked of the names either, and nothing is wider than a phone.
  assertEquals(page.requests.filter((url) => !url.startsWith(made.url)), []);
  assertEquals(await page.overflow(), 0);
  // A script that gets into the page all the same is not run.
  const intruders = [
    "document.body.append(Object.assign(document.createElement('script'), {text: 'globalThis.owned = 5'}))",
    "document.body.innerHTML += '<img src=x onerror=\"globalThis.owned = 6\">'",
    "document.body.setAttribute('onclick', 'globalThis.owned = 7'); document.body.click()",
  ];
  for (const code of intruders) {
    await page.evaluate(`(() => { try { ${code} } catch (error) { return String(error); } })()`);
  }
  assertEquals(await page.evaluate("globalThis.owned ?? null"), null);
  running.tell({ type: "info", message: "the end", phase: "done" });
  running.fail(new Error("the end"));
  await running.settled;
});

browserTest("dashboard page: it follows sessions, builds, environments and the log", async () => {
  await using made = new Made();
  await using page = await openPage(made.link);
  await page.waitForText("No sessions.");
  await page.waitForText("The cache is empty.");
  const spec = specOf("python=3.11", "numpy");
  const build = beginBuild(made.builds, spec);
  await Promise.resolve();
  const download = (percent: number) =>
    build.tell({ type: "info", message: "Downloading packages", phase: "download", percent });
  const bar = "document.querySelector('#builds progress')";
  download(10);
  await page.waitFor(`${bar}?.value === 10`);
  // Bars without a known end move by themselves.
  build.tell({ type: "info", message: "Solving", phase: "solve" });
  await page.waitFor(`!${bar}.hasAttribute('value')`);
  download(60);
  await page.waitFor(`${bar}.value === 60`);
  await page.waitForText("60 % ·");
  made.environments = [environmentLike("3f0c9a41b2d7e586", { spec })];
  build.end("3f0c9a41b2d7e586");
  await build.settled;
  await page.waitFor(`${bar}.hidden && document.querySelector('#environments .id') !== null`);
  assertStringIncludes(await page.text("#builds"), "ready");

  const shown = sessionLike("a-session", { request: { spec } });
  made.sessions = [shown];
  await page.waitForText("a-session");
  await page.waitFor(
    "document.querySelector('#environments .users').innerText.includes('1 session')",
  );
  await page.click("#sessions summary");
  await page.waitForText("No output so far.");
  shown.log.write("stdout", "step 1\rstep 2\rstep 3\n\u001b[1;32mgreen\u001b[0m and plain\n");
  await page.waitFor("document.querySelector('#sessions pre').innerText.includes('green')");
  assertMatch(await page.text("#sessions pre"), /^step 3\ngreen and plain\n?$/);
  assertEquals(await page.text("#sessions pre .ansi-green.bold"), "green");
  // What is open stays open, and what is typed or chosen stays, while news come.
  assertEquals(await page.evaluate("document.querySelector('#sessions details').open"), true);
  made.log.warning("Something to see", { a: 1 });
  await page.waitForText("Something to see a=1");
  made.sessions = [];
  await page.waitForText("No sessions.");
  assertEquals(page.errors, []);
});

browserTest(
  "dashboard page: buttons ask before they end something, and tell what came of it",
  async () => {
    await using made = new Made();
    made.sessions = [
      sessionLike("busy-one", { pendingExecutions: 1 }),
      sessionLike("nobody"),
    ];
    made.environments = [
      environmentLike("unused"),
      environmentLike("in-use", { inUse: true, pids: [1] }),
    ];
    await using page = await openPage(made.link);
    await page.waitForText("busy-one");
    const row = (key: string) => `details[data-key="${key}"]`;
    const press = async (key: string, action: string) => {
      await page.evaluate(`document.querySelector('${row(key)}').open = true`);
      await page.click(`${row(key)} [data-action=${action}]`);
    };
    await press("busy-one", "interrupt");
    await page.waitForText("Interrupted.");
    assertEquals(made.done, ["interrupt busy-one"]);
    // The answer to a question may be no.
    await press("busy-one", "stop");
    await page.waitForText("Stop this session?");
    assertStringIncludes(await page.text("#confirm"), "busy-one");
    await page.click("#confirm-no");
    await page.waitFor("!document.querySelector('#confirm').open");
    await press("busy-one", "stop");
    await page.click("#confirm-yes");
    await page.waitForText("The session has ended.");
    assertEquals(made.done, ["interrupt busy-one", "stop busy-one"]);
    await press("nobody", "stop");
    await page.click("#confirm-yes");
    await page.waitForText("Cannot find session nobody");
    await press("unused", "remove");
    await page.click("#confirm-yes");
    await page.waitForText("The environment is removed.");
    assertEquals(made.done.at(-1), "remove unused");
    const disabled = (key: string, action: string) =>
      page.evaluate(`document.querySelector('${row(key)} [data-action=${action}]').disabled`);
    assertEquals(await disabled("in-use", "remove"), true);
    assertEquals(await disabled("nobody", "interrupt"), true);
  },
);

browserTest("dashboard page: it says when the worker does not answer", async () => {
  const made = new Made();
  made.sessions = [sessionLike("before")];
  await using page = await openPage(made.link);
  try {
    await page.waitForText("before");
  } finally {
    await made[Symbol.asyncDispose]();
  }
  await page.waitForText("The worker does not answer");
  assertStringIncludes(await page.text(), "before");
});

browserTest("dashboard page: it fits phones and desks, by day and by night", async () => {
  await using made = new Made();
  await fill(made);
  const long = "x".repeat(256);
  made.sessions.push(sessionLike(long, {
    request: { appId: long, workspace: long },
    output: (log) => log.write("stdout", "z".repeat(5000)),
  }));
  await using page = await openPage(made.link, { width: 320, height: 700 });
  await page.waitForText("notebook-of-ada");
  await page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)");
  await page.waitForText("Entry script");
  for (const width of [320, 375, 768, 1024, 1600]) {
    await page.resize(width, 700);
    assertEquals(await page.overflow(), 0, `${width} pixels`);
  }
  const corner = async () => (await decodePng(await page.screenshot())).pixel(2, 2).slice(0, 3);
  const brightness = (pixel: number[]) => pixel.reduce((sum, one) => sum + one, 0) / 3;
  assert(brightness(await corner()) > 220);
  await page.colorScheme("dark");
  assert(brightness(await corner()) < 40);
  // Text can be told from what is behind it (WCAG AA), in all pills.
  for (const scheme of ["light", "dark"] as const) {
    await page.colorScheme(scheme);
    const poor = await page.evaluate<string[]>(POOR_CONTRASTS);
    assertEquals(poor, [], scheme);
  }
  assertEquals(page.errors, []);
});

/** Texts with less contrast than people need (WCAG AA), computed in the page. */
const POOR_CONTRASTS = `(() => {
  const parse = (text) => {
    const [r = 0, g = 0, b = 0, a = 1] = (text.match(/[\\d.]+/g) ?? []).map(Number);
    return [r, g, b, a];
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((one) => {
      const part = one / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = new Set();
  for (const element of document.querySelectorAll("#app *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest(":disabled, [hidden]") !== null) continue;
    let behind = element;
    while (behind !== null && parse(getComputedStyle(behind).backgroundColor)[3] < 1) {
      behind = behind.parentElement;
    }
    if (behind === null) continue;
    const a = light(parse(getComputedStyle(element).color));
    const b = light(parse(getComputedStyle(behind).backgroundColor));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.add([element.className, element.textContent.slice(0, 20), ratio].join(" "));
  }
  return [...found];
})()`;
