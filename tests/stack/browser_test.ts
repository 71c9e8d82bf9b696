import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { filesBelow, leftProcesses, markedProcesses } from "../../scripts/leftovers.ts";
import { browserTest, openPage } from "./browser.ts";
import { decodePng } from "./png.ts";

browserTest("A page is shown, can be asked and photographed", async () => {
  await using page = await openPage(
    `<title>T</title><style>body {margin: 0} div {height: 50px; background: rgb(10, 200, 30)}</style>
     <div></div><p>Hello, <b>world</b></p><script>console.log("from the page", 7)</script>`,
    { width: 200, height: 120 },
  );
  assertEquals(await page.text("p"), "Hello, world");
  assertEquals(await page.evaluate("document.title"), "T");
  assertEquals(await page.evaluate((a: number, b: number) => Promise.resolve(a + b), 20, 22), 42);
  assertEquals(page.messages, [{ level: "log", text: "from the page 7" }]);
  const image = await decodePng(await page.screenshot());
  assertEquals([image.width, image.height], [200, 120]);
  assertEquals(image.pixel(100, 25), [10, 200, 30, 255]);
  assertEquals(image.pixel(199, 119), [255, 255, 255, 255]);
});

browserTest("Colour scheme, size of the window and overflow are what was asked for", async () => {
  const html = `<style>@media (prefers-color-scheme: dark) {body {background: rgb(1, 2, 3)}}</style>
    <div style="width: 450px">x</div>`;
  await using page = await openPage(html, { colorScheme: "dark", width: 600 });
  assertEquals((await decodePng(await page.screenshot())).pixel(599, 5), [1, 2, 3, 255]);
  assertEquals(await page.overflow(), 0);
  await page.resize(400, 300);
  await page.colorScheme("light");
  assert(await page.overflow() > 50);
  assertEquals((await decodePng(await page.screenshot())).pixel(399, 5), [255, 255, 255, 255]);
});

browserTest(
  "Errors, also those of frames, and requests, also those in vain, are seen",
  async () => {
    await using page = await openPage(`
    <img src="http://198.51.100.1/picture.png">
    <iframe sandbox="allow-scripts" srcdoc="<script>console.error('in the frame')</script>"></iframe>
    <script>throw new Error("in the page")</script>`);
    await page.waitFor("document.images[0].complete");
    assert(page.requests.includes("http://198.51.100.1/picture.png"), page.requests.join());
    while (page.errors.length < 3) await page.evaluate("new Promise(requestAnimationFrame)");
    const errors = page.errors.join("\n");
    for (const text of ["in the frame", "in the page", "198.51.100.1"]) {
      assertStringIncludes(errors, text);
    }
    await assertRejects(() => page.evaluate("nothing.at.all"), Error, "nothing is not defined");
    await assertRejects(() => page.text("#none"), Error, "the page has none");
  },
);

browserTest("A page of a server on this machine is used as a person does", async () => {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) =>
      new Response(
        `<input id="name"><button onclick="out.textContent = document.querySelector('input').value">
         Say</button><p id="out"></p><p>${request.headers.get("cookie")}</p>`,
        { headers: { "content-type": "text/html" } },
      ),
  );
  try {
    const url = `http://127.0.0.1:${server.addr.port}/`;
    await using page = await openPage(url, { cookies: [{ name: "who", value: "me", url }] });
    await page.click("#name");
    await page.type("Ada");
    await page.click("button");
    await page.waitForText("Ada");
    assertStringIncludes(await page.text(), "who=me");
  } finally {
    await server.shutdown();
  }
});

browserTest("Nothing is left of a page that is disposed of", async () => {
  const directory = await Deno.makeTempDir();
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", directory);
  try {
    {
      await using page = await openPage("<p>x</p>");
      await page.screenshot();
      assert((await markedProcesses([directory])).length > 0);
    }
    assertEquals(await leftProcesses([directory]), []);
    assertEquals(await filesBelow(directory), []);
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
    await Deno.remove(directory, { recursive: true });
  }
});
