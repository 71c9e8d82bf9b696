import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import type { ExecutionResult } from "../../lib/interpreter/outputs.ts";
import { Kernel, type SessionTest, suite, textOf, valueOf } from "./harness.ts";
import { richPython } from "./rich_environment.ts";

type Data = Record<string, unknown>;

async function run(session: Interpreter, code: string): Promise<ExecutionResult> {
  const result = await session.execute(code);
  if (result.error !== undefined) throw new Error(result.error.traceback.join("\n"));
  return result;
}

function dataOf(result: ExecutionResult): Data[] {
  return result.outputs.flatMap((output) => output.type === "stream" ? [] : [output.data]);
}

/** The kinds of a result's outputs in order: `png` for a figure, else the type. */
function kindsOf(result: ExecutionResult): string[] {
  return result.outputs.map((output) =>
    output.type === "stream" ? output.name : "image/png" in output.data ? "png" : output.type
  );
}

/** Width of the first PNG of a result, in pixels. */
function widthOf(result: ExecutionResult): number {
  const png = dataOf(result).map((data) => data["image/png"]).find((one) => one !== undefined);
  return new DataView(Uint8Array.fromBase64(png as string).buffer).getUint32(16);
}

/** Tests that need no library but IPython's, or what stands for it. */
const ipython: Record<string, SessionTest> = {
  "the display functions and classes of IPython reach the output": async (session) => {
    const names =
      "display, HTML, Image, Markdown, JSON, SVG, Latex, Math, Javascript, Code, Audio, " +
      "Video, IFrame, FileLink, clear_output, update_display, DisplayHandle, " +
      "set_matplotlib_formats, publish_display_data";
    await run(session, `from IPython.display import ${names}`);
    const shown = await run(
      session,
      "display(HTML('<b>'), Markdown('*'), JSON({'a': 1}), Latex('$x$'), Math('x'), " +
        "Javascript('1'), Code('x = 1', language='python'))\n" +
        "display(SVG('<?xml version=\"1.0\"?><svg><g/></svg>'), " +
        "IFrame('http://x', 1, 2), Audio([0, 1], rate=8000), Image(data=b'\\x89PNG\\r\\n\\x1a\\n', width=9))",
    );
    assertEquals(dataOf(shown).map((data) => Object.keys(data).find((m) => m !== "text/plain")), [
      "text/html",
      "text/markdown",
      "application/json",
      "text/latex",
      "text/latex",
      "application/javascript",
      "text/html",
      "image/svg+xml",
      "text/html",
      "text/html",
      "image/png",
    ]);
    assertEquals(dataOf(shown)[0]!["text/plain"], "<IPython.core.display.HTML object>");
    const code =
      "h = display(HTML('1'), display_id=True)\nprint('between')\nh.update(HTML('2'))\n" +
      "publish_display_data({'x/y': 1})\nprint('gone')\nclear_output(wait=True)\nprint('kept')";
    assertEquals((await run(session, code)).outputs, [{
      type: "stream",
      name: "stdout",
      text: "kept\n",
    }]);
    const handle = await run(
      session,
      "h = display(1, display_id='i')\nupdate_display(2, display_id='i')",
    );
    assertEquals(dataOf(handle), [{ "text/plain": "2" }]);
    const raw = "from IPython.core.display import display_html\ndisplay_html('<i>', raw=True)";
    assertEquals(dataOf(await run(session, raw)), [{ "text/html": "<i>" }]);
  },
  "libraries find a shell, but no notebook": async (session) => {
    const code = "import IPython\nip = get_ipython()\n" +
      "ip is IPython.get_ipython(), type(ip).__name__, ip.kernel, ip.user_ns is globals()";
    assertEquals(await valueOf(session, code), "(True, 'HyphaShell', None, True)");
    assertEquals(await valueOf(session, "ip.getoutput('echo a; echo b')"), "['a', 'b']");
    assertEquals(
      await valueOf(
        session,
        "ip.run_line_magic('pwd', '') == ip.ev('__import__(\"os\").getcwd()')",
      ),
      "True",
    );
    assertEquals(
      textOf(await run(session, "ip.run_cell_magic('bash', '', 'echo x')"), "stdout"),
      "x\n",
    );
    assertEquals(await valueOf(session, "ip.run_cell('y = 5').success, y"), "(True, 5)");
    const failed = await run(session, "ip.run_cell('1/0').success");
    assertMatch(textOf(failed, "stderr"), /ZeroDivisionError/);
    const html = "ip.display_formatter.formatters['text/html']";
    const own = await run(session, `${html}.for_type(complex, lambda c: '<c>')\n1j`);
    assertEquals(dataOf(own)[0]!["text/html"], "<c>");
    const events = "seen = []\nip.events.register('post_execute', lambda: seen.append(1))";
    await run(session, events);
    assertEquals(await valueOf(session, "seen"), "[1]");
  },
  "what is shown can be captured": async (session) => {
    const code = "from IPython.utils.capture import capture_output\n" +
      "from IPython.display import HTML, display\n" +
      "with capture_output() as seen:\n    print('x')\n    display(HTML('y'))\n" +
      "seen.stdout, [one.data['text/html'] for one in seen.outputs]";
    const result = await run(session, code);
    assertEquals(dataOf(result).map((data) => data["text/plain"]), ["('x\\n', ['y'])"]);
  },
};

const PLOT = "import matplotlib.pyplot as plt\n";

const tests: Record<string, SessionTest> = {
  "figures are shown at the end of the cell, and where show is called": async (session) => {
    const code =
      `${PLOT}plt.plot([1])\nplt.show()\nprint('x')\nfor n in 1, 2:\n    plt.figure()\n` +
      "    plt.plot([n])";
    assertEquals(kindsOf(await run(session, code)), ["png", "stdout", "png", "png"]);
    assertEquals((await run(session, "plt.get_fignums()")).outputs.length, 1);
    assertEquals(await valueOf(session, "plt.get_fignums()"), "[]");
  },
  "a figure that is the result is shown as such and as an open figure": async (session) => {
    const result = await run(session, `${PLOT}fig, ax = plt.subplots()\nax.plot([1])\nfig`);
    assertEquals(result.outputs.map((output) => output.type), ["execute_result", "display_data"]);
    assertEquals(dataOf(result)[0]!["text/plain"], "<Figure size 640x480 with 1 Axes>");
    assertEquals(kindsOf(await run(session, "fig")), ["png"]);
  },
  "closed and empty figures are not shown": async (session) => {
    const closed = await run(session, `${PLOT}plt.plot([1])\nplt.close()\nplt.figure();`);
    assertEquals(closed.outputs, []);
  },
  "figures made while plotting is off wait for show": async (session) => {
    assertEquals((await run(session, `${PLOT}plt.ioff()\nplt.plot([1]);`)).outputs, []);
    assertEquals(kindsOf(await run(session, "plt.show()")), ["png"]);
  },
  "a cell that fails shows what it has plotted": async (session) => {
    const result = await session.execute(`${PLOT}plt.plot([1])\n1/0`);
    assertEquals([result.error?.ename, kindsOf(result)], ["ZeroDivisionError", ["png"]]);
  },
  "a figure that cannot be drawn is reported and fails nothing": async (session) => {
    const result = await run(session, `${PLOT}plt.title(r'$\\bad{$');`);
    assertEquals(kindsOf(result), ["stderr"]);
    assertStringIncludes(textOf(result, "stderr"), "ValueError");
    assert(!textOf(result, "stderr").includes("hypha_kernel"));
  },
  "saving a figure does not change that it is shown": async (session) => {
    const code =
      `${PLOT}import os\nplt.plot([1])\nplt.savefig('a.png')\nos.path.getsize('a.png') > 0`;
    assertEquals(kindsOf(await run(session, code)), ["execute_result", "png"]);
  },
  "figures of a background thread are shown": async (session) => {
    const code = `${PLOT}import threading\ndef plot():\n    plt.subplots()[1].plot([1])\n` +
      "thread = threading.Thread(target=plot)\nthread.start()\nthread.join()";
    assertEquals(kindsOf(await run(session, code)), ["png"]);
  },
  "a backend that the user chooses is left alone": async (session) => {
    const code =
      `import matplotlib\nmatplotlib.use('Agg')\n${PLOT}plt.plot([1])\nprint(plt.get_backend())`;
    assertEquals((await run(session, code)).outputs.length, 1);
  },
  "formats of figures can be chosen": async (session) => {
    const set = "from matplotlib_inline.backend_inline import set_matplotlib_formats\n";
    const plain = widthOf(await run(session, `${PLOT}plt.plot([1]);`));
    const retina = await run(session, `${set}set_matplotlib_formats('retina')\nplt.plot([1]);`);
    assert(Math.abs(widthOf(retina) - 2 * plain) <= 4);
    const [shown] = retina.outputs;
    assert(shown?.type === "display_data");
    assertEquals(Object.keys(shown.metadata["image/png"] as Data), ["width", "height"]);
    const svg = await run(session, "set_matplotlib_formats('svg')\nplt.plot([1]);");
    assertStringIncludes(String(dataOf(svg)[0]!["image/svg+xml"]), "<svg");
    assertEquals("image/png" in dataOf(svg)[0]!, false);
    const unknown = await session.execute("set_matplotlib_formats('gif')");
    assertEquals(unknown.error?.ename, "ValueError");
  },
  "nothing is imported before the user does": async (session) => {
    const code = "import sys\n[n for n in ('matplotlib', 'plotly', 'IPython') if n in sys.modules]";
    assertEquals(await valueOf(session, code), "[]");
  },
  "plotly's figures are shown as results and by show, drawn and as HTML": async (session) => {
    const result = await run(
      session,
      "import plotly.graph_objects as go\nfig = go.Figure(data=[go.Bar(y=[1, 2])])\nfig",
    );
    const width = await run(session, "fig.show(width=300)");
    for (const [data] of [dataOf(result), dataOf(width)]) {
      assertEquals(Object.keys(data!), ["application/vnd.plotly.v1+json", "text/html"]);
      assertStringIncludes(String(data!["text/html"]), "Plotly.newPlot");
    }
    const shown = dataOf(width)[0]!["application/vnd.plotly.v1+json"] as { layout: Data };
    assertEquals(shown.layout.width, 300);
    const chosen = await run(session, "fig.show(renderer='notebook_connected')");
    assertEquals(textOf(chosen, "stderr"), "");
    assertStringIncludes(String(dataOf(chosen).at(-1)!["text/html"]), "Plotly.newPlot");
  },
  "tables are HTML and text, of Jupyter's size": async (session) => {
    const [data] = dataOf(await run(session, "import pandas as pd\npd.DataFrame({'a': [1]})"));
    assertEquals(Object.keys(data!), ["text/plain", "text/html"]);
    assertEquals(data!["text/plain"], "   a\n0  1");
    assertEquals(await valueOf(session, "pd.get_option('display.max_columns')"), "20");
    const styled = await run(session, "pd.DataFrame({'a': [1]}).style.highlight_max()");
    assertStringIncludes(String(dataOf(styled)[0]!["text/html"]), "background-color");
  },
  "images of Pillow are PNG": async (session) => {
    const code = "import PIL.Image\nPIL.Image.new('RGB', (3, 4))";
    assertEquals(widthOf(await run(session, code)), 3);
  },
  "arrays keep their own text": async (session) => {
    const value = await valueOf(session, "import numpy as np\n[np.zeros((2, 2))]");
    assertEquals(value, "[array([[0., 0.],\n        [0., 0.]])]");
  },
  "a long progress bar of tqdm is one line of the console": async (session) => {
    const code = "from tqdm.auto import tqdm\nfor _ in tqdm(range(10000), mininterval=0): pass";
    const text = textOf(await run(session, code), "stderr");
    assertEquals(text.split("\n").length, 2);
    assertMatch(text, /^100%\|█+\| 10000\/10000/);
  },
  "rich prints text, and its tables have HTML": async (session) => {
    const code = "from rich import print\nfrom rich.table import Table\nt = Table()\n" +
      "t.add_column('c')\nprint('[red]text')\nt";
    const result = await run(session, code);
    assertEquals(textOf(result, "stdout"), "text\n");
    assertStringIncludes(String(dataOf(result)[0]!["text/html"]), "<pre");
  },
};

for (const kind of ["plain", "ipython"] as const) {
  const title = kind === "plain" ? "without IPython" : "with IPython";
  Deno.test(`rich results, ${title}`, async (t) => {
    await using kernel = await Kernel.start(await richPython(kind));
    for (const [name, test] of Object.entries({ ...tests, ...ipython })) {
      await t.step(name, async () => {
        // One home for all: matplotlib looks for fonts once.
        const session = await kernel.session({ env: { HOME: kernel.directory } });
        try {
          await test(session, kernel);
        } finally {
          await session.kill();
        }
      });
    }
  });
}

await suite("IPython's names in an environment without libraries", ipython);
