/**
 * A real browser for tests: a headless Chromium that `scripts/setup.sh` puts into `.tools/browser`.
 *
 * Each page has a browser of its own with an empty profile, and reaches nothing beyond this machine. When the
 * page is disposed of, its processes and files are gone.
 *
 * ```ts
 * browserTest("The page greets", async () => {
 *   await using page = await openPage("<h1>Hello</h1>");
 *   assertEquals(await page.text("h1"), "Hello");
 * });
 * ```
 */
import { join, toFileUrl } from "@std/path";
import { BrowserConnection, type Message } from "./browser_connection.ts";
import { stackPaths } from "./stack.ts";

/** How a page is shown. */
export interface PageOptions {
  /** Width of the window in CSS pixels. @default 1000 */
  width?: number;
  /** Height of the window in CSS pixels. @default 800 */
  height?: number;
  /** What `prefers-color-scheme` says. @default "light" */
  colorScheme?: "light" | "dark";
  /** Cookies set before the page is opened. */
  cookies?: readonly { name: string; value: string; url: string }[];
}

/** Something the page's console or its network has to say. */
export interface PageMessage {
  /** `error`, `warning`, `log`, … */
  readonly level: string;
  readonly text: string;
}

/** What a test may wait for, in milliseconds: long, since it only matters when the test fails. */
const WAIT_MS = 60_000;
const POLL_MS = 30;
const FOLDER = join(stackPaths.tools, "browser");
const BUILT = Deno.build.os === "linux" && Deno.build.arch === "x86_64";
const NAMES = ["chrome-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/** The executable, or `undefined` on machines for which there is none. */
function executable(): string | undefined {
  if (BUILT) return join(FOLDER, "chromium");
  const places = (Deno.env.get("PATH") ?? "").split(":");
  return places.flatMap((place) => NAMES.map((name) => join(place, name))).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

const EXECUTABLE = executable();

/** A test with a browser. It is left out, and says so, only on machines for which there is no browser. */
export function browserTest(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  if (EXECUTABLE === undefined) {
    console.error(
      `SKIPPED: "${name}": there is no browser for ${Deno.build.target}; put chromium on PATH`,
    );
  }
  Deno.test({ name, ignore: EXECUTABLE === undefined, fn });
}

/** Opens an address (`http:`, `https:`, `file:`, `data:`, `about:`) or a text of HTML, and waits until it is loaded. */
export async function openPage(urlOrHtml: string, options: PageOptions = {}): Promise<Page> {
  const profile = await Deno.makeTempDir({ prefix: "browser-" });
  let connection: BrowserConnection | undefined;
  try {
    connection = start(profile);
    const page = await Page.open(connection, profile, options);
    await page.goto(urlOrHtml);
    return page;
  } catch (error) {
    await connection?.[Symbol.asyncDispose]();
    await Deno.remove(profile, { recursive: true });
    throw error;
  }
}

function start(profile: string): BrowserConnection {
  if (EXECUTABLE === undefined) throw new Error("Cannot open a page: there is no browser");
  try {
    Deno.statSync(EXECUTABLE);
  } catch {
    throw new Error(`Cannot open a page: ${EXECUTABLE} is missing; run scripts/setup.sh stack`);
  }
  const own: Record<string, string> = BUILT
    ? { LD_LIBRARY_PATH: join(FOLDER, "lib"), FONTCONFIG_FILE: join(FOLDER, "fonts.conf") }
    : {};
  return new BrowserConnection(EXECUTABLE, [
    "--headless",
    // The sandbox needs rights that containers and root do not have; pages of tests are the tests' own.
    "--no-sandbox",
    "--no-zygote",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--no-first-run",
    "--no-pings",
    "--hide-scrollbars",
    "--mute-audio",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    // Pictures of the page show all of it, however slow the machine.
    "--run-all-compositor-stages-before-draw",
    "--disable-checker-imaging",
    // Whatever is not on this machine is asked of a proxy that does not exist.
    "--proxy-server=http://127.0.0.1:9",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
    `--user-data-dir=${join(profile, "profile")}`,
    "about:blank",
  ], {
    PATH: Deno.env.get("PATH") ?? "",
    HOME: profile,
    TMPDIR: profile,
    XDG_CACHE_HOME: profile,
    XDG_CONFIG_HOME: profile,
    TZ: "UTC",
    LANG: "en_US.UTF-8",
    ...own,
  });
}

/** A page in a browser of its own. */
export class Page implements AsyncDisposable {
  readonly #connection: BrowserConnection;
  readonly #profile: string;
  readonly #session: string;
  #documents = 0;
  #loaded = Promise.withResolvers<void>();
  /** What was written to the console, also by frames, and what the browser complained about. */
  readonly messages: PageMessage[] = [];
  /** Addresses that were asked for, also by frames and also in vain. */
  readonly requests: string[] = [];

  private constructor(connection: BrowserConnection, profile: string, session: string) {
    this.#connection = connection;
    this.#profile = profile;
    this.#session = session;
    connection.listen((event) => this.#take(event));
  }

  /** Use {@linkcode openPage}. */
  static async open(
    connection: BrowserConnection,
    profile: string,
    options: PageOptions,
  ): Promise<Page> {
    const { targetInfos } = await connection.send("Target.getTargets");
    const target = (targetInfos as Message[]).find((one) => one.type === "page");
    const targetId = target?.targetId ??
      (await connection.send("Target.createTarget", { url: "about:blank" })).targetId;
    const { sessionId } = await connection.send("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    const page = new Page(connection, profile, sessionId);
    await page.#watch(sessionId);
    await page.resize(options.width ?? 1000, options.height ?? 800);
    await page.colorScheme(options.colorScheme ?? "light");
    for (const cookie of options.cookies ?? []) await page.send("Network.setCookie", cookie);
    return page;
  }

  /** Listens to a page or to a frame that has a process of its own. */
  async #watch(session: string): Promise<void> {
    const domains = ["Page", "Runtime", "Network", "Log"];
    await Promise.all(domains.map((one) => this.#connection.send(`${one}.enable`, {}, session)));
    await this.#connection.send("Target.setAutoAttach", {
      autoAttach: true,
      waitForDebuggerOnStart: true,
      flatten: true,
    }, session);
    await this.#connection.send("Runtime.runIfWaitingForDebugger", {}, session);
  }

  #take({ method, params, sessionId }: Message): void {
    if (method === "Page.loadEventFired" && sessionId === this.#session) this.#loaded.resolve();
    else if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    else if (method === "Runtime.consoleAPICalled") {
      const text = params.args.map((one: Message) => one.value ?? one.description).join(" ");
      this.messages.push({ level: params.type, text });
    } else if (method === "Runtime.exceptionThrown") {
      const { text, exception } = params.exceptionDetails;
      this.messages.push({ level: "error", text: `${text} ${exception?.description ?? ""}` });
    } else if (method === "Log.entryAdded") {
      const { level, text, url } = params.entry;
      this.messages.push({ level, text: url === undefined ? text : `${text} (${url})` });
    } else if (method === "Target.attachedToTarget") {
      // A frame may be gone again before it can be listened to.
      this.#watch(params.sessionId).catch(() => {});
    }
  }

  /** Messages of level `error`. */
  get errors(): string[] {
    return this.messages.filter((one) => one.level === "error").map((one) => one.text);
  }

  /** Sends a command of the DevTools protocol to the page. */
  async send(method: string, params: Message = {}): Promise<Message> {
    return await this.#connection.send(method, params, this.#session);
  }

  /** Opens another address or text of HTML, and waits until it is loaded. */
  async goto(urlOrHtml: string): Promise<void> {
    this.#loaded = Promise.withResolvers<void>();
    const url = /^(https?|file|data|about):/.test(urlOrHtml)
      ? urlOrHtml
      : await this.#write(urlOrHtml);
    const { errorText } = await this.send("Page.navigate", { url });
    if (errorText) throw new Error(`Cannot open ${url}: ${errorText}`);
    await within(this.#loaded.promise, `${url} to be loaded`);
    // What is shown is what a person sees: with its pictures and fonts.
    await this.evaluate("document.fonts.ready.then(() => true)");
  }

  async #write(html: string): Promise<string> {
    const path = join(this.#profile, `page-${++this.#documents}.html`);
    await Deno.writeTextFile(path, html);
    return toFileUrl(path).href;
  }

  /**
   * Evaluates an expression, or calls a function with arguments (both of JSON values), in the page. Promises are
   * awaited. Works in pages that forbid scripts, too.
   */
  async evaluate<T, A extends unknown[] = []>(
    what: string | ((...args: A) => T | Promise<T>),
    ...args: A
  ): Promise<T> {
    const given = args.map((arg) => JSON.stringify(arg) ?? "undefined").join(", ");
    const expression = typeof what === "string" ? what : `(${what})(${given})`;
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    if (exceptionDetails !== undefined) {
      const { text, exception } = exceptionDetails;
      throw new Error(`Cannot evaluate in the page: ${exception?.description ?? text}`);
    }
    return result.value as T;
  }

  /** The text a person sees in the first element of a CSS selector. */
  async text(selector = "body"): Promise<string> {
    const text = await this.evaluate<string | null>(
      `document.querySelector(${JSON.stringify(selector)})?.innerText ?? null`,
    );
    if (text === null) throw new Error(`Cannot read ${selector}: the page has none`);
    return text;
  }

  /** Waits until an expression is true in the page. */
  async waitFor(expression: string): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    while (!await this.evaluate<boolean>(`Boolean(${expression})`)) {
      if (performance.now() > deadline) {
        throw new Error(`Waited in vain for ${expression} in:\n${await this.text()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Waits until the page shows a text. */
  async waitForText(text: string): Promise<void> {
    await this.waitFor(`document.body.innerText.includes(${JSON.stringify(text)})`);
  }

  /** Clicks the middle of the first element of a CSS selector, as a mouse does. */
  async click(selector: string): Promise<void> {
    const place = await this.evaluate<{ x: number; y: number } | null>(`(() => {
      const element = document.querySelector(${JSON.stringify(selector)});
      if (element === null) return null;
      element.scrollIntoView({block: "center", behavior: "instant"});
      const box = element.getBoundingClientRect();
      return {x: box.x + box.width / 2, y: box.y + box.height / 2};
    })()`);
    if (place === null) throw new Error(`Cannot click ${selector}: the page has none`);
    const event = { ...place, button: "left", clickCount: 1 };
    await this.send("Input.dispatchMouseEvent", { type: "mousePressed", ...event });
    await this.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...event });
  }

  /** Types text into what has the focus. */
  async type(text: string): Promise<void> {
    await this.send("Input.insertText", { text });
  }

  /** Changes the size of the window, in CSS pixels. */
  async resize(width: number, height: number): Promise<void> {
    await this.send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
  }

  /** Changes what `prefers-color-scheme` says, and the medium: the screen or paper. */
  async colorScheme(scheme: "light" | "dark", media: "screen" | "print" = "screen"): Promise<void> {
    await this.send("Emulation.setEmulatedMedia", {
      media,
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
  }

  /** A picture (PNG) of what the window shows, or of the whole page. */
  async screenshot(options: { full?: boolean } = {}): Promise<Uint8Array<ArrayBuffer>> {
    // What has just been scrolled or recoloured is drawn with the frame after the next.
    await this.evaluate(
      "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))",
    );
    const { data } = await this.send("Page.captureScreenshot", {
      format: "png",
      captureBeyondViewport: options.full ?? false,
    });
    return Uint8Array.fromBase64(data);
  }

  /** How many pixels the page is wider than the window. */
  async overflow(): Promise<number> {
    return await this.evaluate<number>(
      "Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)",
    );
  }

  /** Ends the browser and removes its files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
    await Deno.remove(this.#profile, { recursive: true });
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`Waited in vain for ${what}`)), WAIT_MS);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
