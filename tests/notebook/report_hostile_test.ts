import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Notebook } from "../../lib/notebook/document.ts";
import { renderReport } from "../../lib/notebook/report.ts";
import { cleanHtml } from "../../lib/notebook/report_html.ts";
import { cleanStyle, cleanStyleSheet } from "../../lib/notebook/report_css.ts";
import { renderMarkdown } from "../../lib/notebook/markdown.ts";
import { browserTest, openPage } from "../stack/browser.ts";
import { display, htmlOutput, notebook, PICTURES, ran, stream, text } from "./report_fixture.ts";

/** What would run, load, cover or leave something, were it not stopped; `pwn()` is to run. */
const ATTACKS = [
  `<script>pwn()</script>`,
  `</script><script>pwn()</script>`,
  `</pre></section></main><script>pwn()</script>`,
  `<img src=x onerror=pwn()>`,
  `<img src="x" onerror="pwn()" style="position:fixed;top:0">`,
  `<img src="http://198.51.100.1/track.png"><img srcset="http://198.51.100.1/s.png 2x">`,
  `<svg onload=pwn()><script>pwn()</script></svg>`,
  `<svg><style><img src=x onerror=pwn()></style></svg>`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=pwn()&gt;">`,
  `<noscript><p title="</noscript><img src=x onerror=pwn()>"></noscript>`,
  `<textarea></textarea><title></title><xmp></xmp><plaintext><img src=x onerror=pwn()>`,
  `<iframe src="javascript:pwn()"></iframe><iframe srcdoc="<script>parent.pwn()</script>"></iframe>`,
  `<iframe srcdoc="&lt;script&gt;parent.pwn()&lt;/script&gt;"></iframe>`,
  `<a href="javascript:pwn()" class="attack">x</a><a href="java\nscript:pwn()" class="attack">x</a>`,
  `<a href="&#1;javascript:pwn()">x</a><a href=" JaVaScRiPt:pwn()">x</a><a href="data:text/html,<script>pwn()</script>">x</a>`,
  `<a href="vbscript:pwn()">x</a><a href="file:///etc/passwd">x</a><a href="//198.51.100.1/">x</a>`,
  `<base href="http://198.51.100.1/"><a href="x">x</a>`,
  `<meta http-equiv="refresh" content="0;url=http://198.51.100.1/">`,
  `<link rel=stylesheet href="http://198.51.100.1/x.css"><link rel=prefetch href="http://198.51.100.1/x">`,
  `<style>body { display: none } header h1 { visibility: hidden }</style>`,
  `<style>@import "http://198.51.100.1/x.css"; .source { background: url(http://198.51.100.1/x) }</style>`,
  `<style>#T_a, header { display: none } #T_a td { background-image: url(http://198.51.100.1/x) }</style>`,
  `<div style="position:fixed;inset:0;background:red;z-index:9999">cover</div>`,
  `<div style="margin:-5000px;background:url(http://198.51.100.1/x)">x</div>`,
  `<div style="width:99999999px;height:99999px;transform:scale(100)">wide</div>`,
  `<form action="http://198.51.100.1/"><input name=a autofocus onfocus=pwn()><button>Go</button></form>`,
  `<object data="http://198.51.100.1/x"></object><embed src="http://198.51.100.1/x"><applet code=x>`,
  `<video src="http://198.51.100.1/x" onerror=pwn()></video><audio src=x onerror=pwn()>`,
  `<body onload=pwn()><html onmouseover=pwn()><frameset onload=pwn()>`,
  `<div><div><table><tr><td><b><i><p>never closed`,
  `</div></div></section></section></main></body></html>after`,
  `<li><div><li></div></li></div></div></div>`,
  `<a><div><a><table><a><tr><td><a></div></div></table>`,
  `<table><tr><td></table></table></td></tr></div></section>`,
  `<!-- <script>pwn()</script> --><!--><script>pwn()</script>`,
  `<![CDATA[<script>pwn()</script>]]><?xml <script>pwn()</script> ?>`,
  `<scr<script>ipt>pwn()</scr</script>ipt>`,
  `<p id="section-1" name="body" class="facts source failed">x</p>`,
  `<details open ontoggle=pwn()><summary onclick=pwn()>x</summary></details>`,
  `<marquee onstart=pwn()>x</marquee><x onclick=pwn() tabindex=1 autofocus onfocus=pwn()>y</x>`,
  `<img src="data:text/html,<script>pwn()</script>"><img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='pwn()'><script>parent.pwn()</script></svg>">`,
  `<input type=image src=http://198.51.100.1/x><td background="http://198.51.100.1/x">`,
  `<template shadowrootmode=open><style>:host{position:fixed}</style><script>pwn()</script></template>`,
  `"'><script>pwn()</script>`,
  `&lt;script&gt;pwn()&lt;/script&gt;`,
  `<b \u0000onclick=pwn()>\u0000<scr\u0000ipt>pwn()</script>`,
];

/** A notebook in which an attack stands wherever text can stand. */
function everywhere(attack: string): Notebook {
  const one = notebook(
    text(
      `# ${attack}\n\n${attack}\n\n[x](javascript:pwn()) ![x](javascript:pwn()) <${attack}>\n\n\`${attack}\``,
    ),
    text("```" + attack + "\n" + attack + "\n```\n\n$$" + attack + "$$ and $" + attack + "$"),
    ran(1, attack, [
      stream(`${attack}\x1b[31m${attack}\x1b]8;;javascript:pwn()\x1b\\x\x1b]8;;\x1b\\`),
      display({ "text/html": attack }),
      display({ "text/html": attack, "text/plain": attack }),
      display({ "text/markdown": attack }),
      display({ "text/latex": attack }),
      display({ "application/json": { [attack]: attack } }),
      display({ [`a/${attack}`]: attack }),
      display({ "image/png": attack, "image/svg+xml": attack, "text/plain": attack }),
      display({ "image/png": PICTURES.png, "text/plain": attack }, {
        "image/png": { width: attack, height: attack },
      }),
      { output_type: "error", ename: attack, evalue: attack, traceback: [attack] },
      { output_type: "error", ename: attack, evalue: attack, traceback: [] },
    ]),
    { cell_type: "raw", id: attack, metadata: {}, source: attack },
  );
  one.cells[2]!.id = attack;
  one.metadata.language_info = { version: attack };
  return one;
}

const GUARD = "<script>window.pwn = () => document.documentElement.dataset.pwned = 'yes';</script>";

browserTest(
  "Hostile output does not run, load, cover or leave anything, even without the page's policy",
  async () => {
    await using page = await openPage("about:blank");
    for (const attack of ATTACKS) {
      const html = renderReport(everywhere(attack), { title: attack, subtitle: attack });
      // The first wall alone must hold, so the second one is taken away, and a success would be seen.
      const open = html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, GUARD);
      assert(open !== html);
      page.requests.length = page.messages.length = 0;
      await page.goto(open);
      await page.evaluate(
        "[...document.querySelectorAll('a, summary')].forEach((one) => one.click())",
      );
      const found = await page.evaluate<Record<string, unknown>>(`({
      pwned: document.documentElement.dataset.pwned,
      scripts: document.scripts.length,
      handlers: [...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames())
        .filter((name) => /^on|^src(set|doc)$|^action|^formaction|^background|^ping|^http-equiv=refresh/.test(name)),
      strange: [...document.querySelectorAll("main *, header *, nav *")].map((one) => one.localName)
        .filter((name) => /^(iframe|frame|object|embed|form|input|button|textarea|select|video|audio|base|link|meta|svg|math|template|body|html)$/.test(name)),
      fixed: [...document.querySelectorAll("main *")].filter((one) => getComputedStyle(one).position === "fixed").length,
      title: document.querySelector("header h1").getBoundingClientRect().height > 10
        && getComputedStyle(document.querySelector("header h1")).visibility === "visible",
      cells: [...document.querySelectorAll("body > main > section.cell")].length,
      inside: [...document.body.children].map((one) => one.localName).filter((name) => !["header", "nav", "main"].includes(name)),
    })`);
      assertEquals(found, {
        scripts: 1,
        handlers: [],
        strange: [],
        fixed: 0,
        title: true,
        cells: 4,
        inside: [],
      }, attack);
      assertEquals(page.requests.filter((url) => !/^(?:data|file):/.test(url)), [], attack);
      assertEquals(await page.overflow(), 0, attack);
    }
  },
);

browserTest("The page's policy stops what a hole in the cleaning would let through", async () => {
  const asked: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    asked.push(new URL(request.url).pathname);
    return new Response("");
  });
  try {
    const url = `http://127.0.0.1:${server.addr.port}`;
    const report = renderReport(notebook(ran(1, "x", [stream("here")])), { title: "t" });
    const hole = report.replace(
      "here",
      `<script>document.title = "pwned"</script><img src=x onerror="document.title = 'pwned'">
       <script src="${url}/script.js"></script><img src="${url}/picture"><iframe src="${url}/frame"></iframe>
       <iframe srcdoc="<script>fetch('${url}/srcdoc')</script><img src='${url}/inner'>"></iframe>
       <link rel="stylesheet" href="${url}/style.css"><base href="${url}/"><object data="${url}/object"></object>
       <style>@import "${url}/import.css"; body { background: url(${url}/background) }</style>
       <video src="${url}/video"></video><embed src="${url}/embed">
       <a href="javascript:document.title = 'pwned'">x</a>
       <form action="${url}/form"><button>x</button></form>`,
    );
    assert(hole !== report);
    await using page = await openPage(hole);
    await page.evaluate("document.querySelector('section a').click()");
    await page.evaluate("document.querySelector('button').click()");
    assertEquals(await page.evaluate("document.title"), "t");
    assert(await page.evaluate<boolean>("document.baseURI.startsWith('file:')"));
    assert(page.errors.length >= 8, page.errors.join("\n"));
    // Whatever is asked for has been asked for when this arrives.
    await page.goto(`${url}/last`);
    assertEquals(asked.filter((path) => path !== "/favicon.ico"), ["/last"]);
  } finally {
    await server.shutdown();
  }
});

browserTest(
  "Ten megabytes of text make a page that opens, with the beginning and the end",
  async () => {
    const line = "0123456789 <b>&amp;</b> \x1b[32mgreen\x1b[0m " + "x".repeat(60) + "\n";
    const huge = "THE BEGINNING\n" + line.repeat(Math.ceil(10_000_000 / line.length)) + "THE END\n";
    const html = renderReport(
      notebook(
        ran(1, huge, [
          stream(huge),
          display({ "text/plain": huge }),
          display({ "text/html": huge }),
        ]),
        text(huge),
      ),
      { title: "huge" },
    );
    assert(html.length < 60_000_000, `${html.length}`);
    await using page = await openPage(html);
    assertStringIncludes(await page.text(".output"), "THE BEGINNING");
    await page.evaluate("document.querySelector('.output details').open = true");
    const all = await page.text(".output");
    assertStringIncludes(all, "THE END");
    assertStringIncludes(all, "characters left out");
    assertEquals(await page.overflow(), 0);
  },
);

Deno.test("Deep and endless nesting is bounded", () => {
  const deep = cleanHtml("<div>".repeat(100_000) + "x");
  assert(deep.html.length < 5000 && deep.html.includes("x"));
  assertEquals(deep.html.match(/<div>/g)?.length, deep.html.match(/<\/div>/g)?.length);
  const started = renderMarkdown("> ".repeat(200) + "x\n\n" + "[".repeat(2000) + "*".repeat(2000));
  assert(started.html.length > 0);
});

Deno.test("What is harmless comes through as it was", () => {
  const html =
    `<p>a <b>b</b> <a href="https://example.org/?a=1&amp;b=2" rel="noopener noreferrer nofollow">c</a><br>` +
    `<img src="data:image/png;base64,AAAA" alt="d"></p><table class="dataframe"><tbody><tr><td colspan="2" ` +
    `style="color: red; text-align: right">1 &lt; 2</td></tr></tbody></table>`;
  assertEquals(cleanHtml(html), { html, active: false, empty: false });
  assertEquals(cleanHtml("<!-- nothing --> <p></p>").empty, true);
});

Deno.test("Styles keep what changes looks, and lose what loads, moves or covers", () => {
  assertEquals(
    cleanStyle("COLOR:#ff000080;background-color: rgb(1, 2, 3) !important;font-weight:bold"),
    "color: #ff000080; background-color: rgb(1, 2, 3); font-weight: bold",
  );
  const bad = [
    "position: fixed",
    "background: url(http://x)",
    "background: URL (x)",
    "width: expression(1)",
    "color: \\75 rl(x)",
    "margin: -100px",
    "padding: -1px",
    "width: 99999px",
    "display: none",
    "--x: url(y)",
    "background: image-set('x' 1x)",
    "color: red}body{display:none",
    "color: red</style>",
    "color: var(--page)",
    "behavior: url(x)",
  ];
  for (const style of bad) assertEquals(cleanStyle(style), "", style);
  const hidden = "/* ; } */color: blue;/**/ position/**/: fixed";
  assertEquals(cleanStyle(hidden), "color: blue");
  assertEquals(
    cleanStyleSheet(
      "#T_1 td, body, #T_1_row0_col0 { color: red } body { color: red } @media print { a { b: c } }",
    ),
    "#T_1 td, #T_1_row0_col0 { color: red }",
  );
  assertEquals(cleanStyleSheet("#T_1 ~ header { color: red } #T_1 + * { color: red }"), "");
});

Deno.test("Markdown keeps formulas, shows attachments, and names pictures it does not load", () => {
  const attachments = { "a b.png": { "image/png": "AAAA" } };
  const render = (source: string) => renderMarkdown(source, { attachments }).html;
  assertStringIncludes(render("![pic](attachment:a%20b.png)"), 'src="data:image/png;base64,AAAA"');
  assertStringIncludes(render("![pic](attachment:none.png)"), "[picture not included: pic]");
  assertStringIncludes(render("![](https://example.org/x.png)"), "https://example.org/x.png]");
  assertStringIncludes(render("$a_1 * b_2 * c$"), '<span class="math">$a_1 * b_2 * c$</span>');
  assertStringIncludes(render("It costs $5 and $6."), "It costs $5 and $6.");
  assertStringIncludes(
    render("text\n$$\na_1 < b\n$$\nmore"),
    '<div class="math">$$\na_1 &lt; b\n$$</div>',
  );
  assertStringIncludes(
    render("\\begin{align*}\nx &= 1\n\\end{align*}"),
    '<div class="math">\\begin{align*}\nx &amp;= 1\n\\end{align*}</div>',
  );
  assertStringIncludes(render("`$x$`"), "<code>$x$</code>");
  assertEquals(render("\ue0000\ue001"), "<p>\ufffd0\ufffd</p>\n");
});

Deno.test("Headings get names, whatever is in them", () => {
  let count = 0;
  const { html, headings } = renderMarkdown("# A `b` & <i>c</i>\n\n## [d](#e)\n\n<h3 id=x>f\n\ng", {
    nextId: () => `n-${++count}`,
  });
  assertEquals(headings, [
    { level: 1, text: "A b & c", id: "n-1" },
    { level: 2, text: "d", id: "n-2" },
    { level: 3, text: "f g", id: "n-3" },
  ]);
  assertStringIncludes(html, '<h1 id="n-1">A <code>b</code> &amp; <i>c</i></h1>');
});

Deno.test("Scripts that are all there is are told of, and nothing else is shown of them", () => {
  const html = renderReport(htmlOutput("<div id=plot></div><script>draw()</script>"), {
    title: "t",
  });
  assertStringIncludes(html, "Interactive output: this page runs no scripts.");
  assert(!html.includes("draw()"));
});
