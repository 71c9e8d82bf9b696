import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { renderReport } from "../../lib/notebook/report.ts";
import { browserTest, openPage, type Page } from "../stack/browser.ts";
import { decodePng } from "../stack/png.ts";
import { display, everything, notebook, PICTURES, ran, stream, text } from "./report_fixture.ts";

const TITLE = { title: "Everything.ipynb", subtitle: "run by a test" };

/** Nothing was loaded but the page, nothing complained. */
function assertQuiet(page: Page): void {
  assertEquals(page.messages, []);
  const asked = page.requests.filter((url) => !url.startsWith("data:"));
  assertEquals(asked.length, 1, asked.join("\n"));
}

/** The place of the first element of a selector (or of another one, by its number) in the window. */
async function box(page: Page, selector: string, index = 0): Promise<DOMRect> {
  return await page.evaluate(`(() => {
    const element = document.querySelectorAll(${JSON.stringify(selector)})[${index}];
    element.scrollIntoView({block: "center", behavior: "instant"});
    return element.getBoundingClientRect().toJSON();
  })()`);
}

browserTest(
  "A report shows every kind of output, loads nothing and complains of nothing",
  async () => {
    await using page = await openPage(renderReport(everything(), TITLE));
    assertQuiet(page);
    assertEquals(await page.evaluate("document.title"), TITLE.title);
    const shown = await page.text();
    const expected = [
      "run by a test",
      "1 error",
      "9 code cells",
      "Python 3.11.9",
      "1.50 s",
      "20 ms",
      "Text with bold, code, a link and $\\alpha_1$.",
      "RED RED RED on green orange\n100%",
      "a warning",
      "Show all (5,000 lines, 49 kB)",
      "column_29",
      '"key": [',
      "$$x^2$$",
      "Interactive output: this page runs no scripts.",
      "Figure({data: []})",
      "ZeroDivisionError: division by zero",
      "raw <b>text</b>",
      "not_run = 'a long line of code'",
    ];
    for (const text of expected) assertStringIncludes(shown, text);
    for (const text of [" 10%", "line 4999", "draw()", "☐"]) assert(!shown.includes(text), text);
    assertEquals(
      await page.evaluate("[...document.querySelectorAll('.count')].map((one) => one.textContent)"),
      ["[1]", "[2]", "[3]", "[4]", "[5]", "[6]", "[7]", "[8]", "[ ]"],
    );
    assertEquals(
      await page.evaluate("[...document.querySelectorAll('nav a')].map((one) => one.textContent)"),
      ["Everything", "Streams", "Displays"],
    );
  },
);

browserTest(
  "Pictures of every format, and colours of terminals, are what they should be on the screen",
  async () => {
    await using page = await openPage(renderReport(everything(), TITLE));
    const wanted = [[200, 0, 200], [0, 128, 255], [255, 160, 0], [0, 200, 90]];
    for (const [index, colour] of wanted.entries()) {
      const { x, y, width, height } = await box(page, "figure img", index);
      assertEquals([width, height], [60, 30]);
      const picture = await decodePng(await page.screenshot());
      const pixel = picture.pixel(Math.round(x + width / 2), Math.round(y + height / 2));
      colour.forEach((value, channel) => assert(Math.abs(pixel[channel]! - value) < 4, `${pixel}`));
    }
    for (const scheme of ["light", "dark"] as const) {
      await page.colorScheme(scheme);
      const red = await box(page, ".af1");
      const picture = await decodePng(await page.screenshot());
      let reddish = 0;
      for (let y = Math.round(red.top); y < red.bottom; y++) {
        for (let x = Math.round(red.left); x < red.right; x++) {
          const [r, g, b] = picture.pixel(x, y);
          if (r! > 150 && r! > g! * 1.8 && r! > b! * 1.8) reddish++;
        }
      }
      assert(reddish > 60, `${scheme}: ${reddish} red pixels of "RED RED RED"`);
      // The page itself is light or dark, and text stands out from it.
      const corner = picture.pixel(2, 2);
      assert(scheme === "light" ? corner[0]! > 230 : corner[0]! < 40, `${scheme}: ${corner}`);
      const ink = scheme === "light" ? [31, 35, 40] : [230, 237, 243];
      assert(picture.count(ink as [number, number, number], 10) > 500, `${scheme}: no text`);
    }
  },
);

browserTest(
  "A report fits a phone and a wide window; only what is wide scrolls, in its own place",
  async () => {
    await using page = await openPage(renderReport(everything(), TITLE), {
      width: 400,
      height: 800,
    });
    for (const width of [320, 400, 800, 1400]) {
      await page.resize(width, 800);
      assertEquals(await page.overflow(), 0, `at ${width} pixels`);
    }
    await page.resize(400, 800);
    const scrolls = (selector: string) =>
      page.evaluate<boolean>(
        `(() => { const one = document.querySelector(${JSON.stringify(selector)});
        one.scrollLeft = 50; return one.scrollLeft === 50; })()`,
      );
    assert(await scrolls(".html"), "the table scrolls");
    assert(await scrolls(".cell:last-child .code"), "the long line scrolls");
    const picture = await box(page, "figure img");
    assert(picture.right <= 400);
  },
);

browserTest("Long outputs are folded, and a click shows all of them", async () => {
  await using page = await openPage(renderReport(everything(), TITLE));
  assertStringIncludes(await page.text(".fold"), "line 19\n…");
  await page.click(".fold summary");
  await page.waitForText("line 4999");
  assert(!(await page.text(".fold")).includes("…"));
});

browserTest("The table of contents and the count of errors lead to their places", async () => {
  await using page = await openPage(renderReport(everything(), TITLE), { height: 300 });
  for (
    const [link, place] of [["nav li:last-child a", "h2"], [".facts .failed a", ".failed .code"]]
  ) {
    await page.evaluate("document.documentElement.style.scrollBehavior = 'auto'");
    await page.click(link!);
    await page.waitFor("location.hash !== ''");
    const top = await page.evaluate<number>(
      `[...document.querySelectorAll(${JSON.stringify(place)})].at(-1).getBoundingClientRect().top`,
    );
    assert(top >= 0 && top < 300, `${place} is at ${top}`);
  }
});

browserTest("Styles of pandas' styled tables come through", async () => {
  await using page = await openPage(renderReport(everything(), TITLE));
  assertEquals(
    await page.evaluate(
      "getComputedStyle(document.getElementById('T_0a1b2_row0_col0')).backgroundColor",
    ),
    "rgb(68, 1, 84)",
  );
});

browserTest("On paper nothing is cut off at the side", async () => {
  await using page = await openPage(renderReport(everything(), TITLE));
  await page.colorScheme("light", "print");
  const wrapped = "getComputedStyle(document.querySelector('.cell:last-child .code')).whiteSpace";
  assertEquals(await page.evaluate(wrapped), "pre-wrap");
  assertEquals(
    await page.evaluate("getComputedStyle(document.querySelector('nav')).display"),
    "none",
  );
  const { data } = await page.send("Page.printToPDF", { preferCSSPageSize: true });
  assertStringIncludes(atob(data).slice(0, 8), "%PDF-");
});

Deno.test("A report is the same each time and needs nothing but itself", () => {
  const one = everything();
  const html = renderReport(one, TITLE);
  assertEquals(renderReport(one, TITLE), html);
  assert(!/<script|<link|<iframe|@import|url\(/.test(html));
  assertStringIncludes(html, "default-src 'none'");
});

Deno.test("Empty cells, empty outputs and an empty notebook make no empty boxes", () => {
  const empty = notebook(ran(1, "  \n", []), text(" \n"), ran(2, "x", [stream(""), display({})]));
  const html = renderReport(empty, { title: "t" });
  assertEquals(html.match(/<section class="cell/g)?.length, 1);
  assert(!html.includes('class="output'));
  assert(!renderReport(notebook(), { title: "t" }).includes("<section"));
});

Deno.test("Neighbours on a stream are one text, so that a bar that is drawn in pieces is one bar", () => {
  const html = renderReport(
    notebook(ran(1, "x", [stream("10%"), stream("\r50%"), stream("\r99%"), stream("!", "stderr")])),
    { title: "t" },
  );
  assertEquals(
    html.match(/<pre class="text"[^>]*>([^<]*)</g)?.map((one) => one.replace(/.*>(.*)</, "$1")),
    [
      "99%",
      "!",
    ],
  );
});

Deno.test("The best form of an output that a page can show is chosen", () => {
  const shown = (data: Record<string, unknown>) => {
    const html = renderReport(notebook(ran(1, "x", [display(data)])), { title: "t" });
    return html.slice(html.indexOf('<section class="output'), html.indexOf("</main>"));
  };
  assertStringIncludes(shown({ "text/plain": "p", "image/png": PICTURES.png }), "<figure>");
  assertStringIncludes(shown({ "text/plain": "p", "text/html": "<i>h</i>" }), "<i>h</i>");
  assertStringIncludes(shown({ "text/plain": "p", "text/html": "<svg><path/></svg>" }), ">p</pre>");
  assertStringIncludes(shown({ "text/html": "<p>left<script>x</script></p>" }), "<p>left</p>");
  assertStringIncludes(shown({ "text/plain": "p", "application/json": [1] }), ">p</pre>");
  assertStringIncludes(shown({ "application/x-own": "?" }), "Output of type application/x-own");
  // Not what it says it is.
  assertStringIncludes(shown({ "image/png": '"><b>', "text/plain": "p" }), ">p</pre>");
});
