import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import type { ExecutionResult } from "../../lib/interpreter/outputs.ts";
import { Kernel, type SessionTest, suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";
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

/** Tests of figures that can follow each other in one session: importing matplotlib is most of what one costs. */
const figures: Record<string, SessionTest> = {
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
};

const tests: Record<string, SessionTest> = {
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
  "%config chooses the formats of figures": async (session) => {
    const plain = widthOf(await run(session, `${PLOT}plt.plot([1]);`));
    await run(session, "%config InlineBackend.figure_format = 'retina'");
    const retina = await run(session, "plt.plot([1]);");
    assert(Math.abs(widthOf(retina) - 2 * plain) <= 4);
    const [shown] = retina.outputs;
    assert(shown?.type === "display_data");
    const size = shown.metadata["image/png"] as { width: number };
    assert(Math.abs(size.width - plain) <= 2);
    const both = "%config InlineBackend.figure_formats = ['svg', 'jpeg']\nplt.plot([1]);";
    const mimes = Object.keys(dataOf(await run(session, both))[0]!).sort();
    assertEquals(mimes, ["image/jpeg", "image/svg+xml", "text/plain"]);
    const value = "v = %config InlineBackend.figure_formats\nsorted(v)";
    assertEquals(await valueOf(session, value), "['jpeg', 'svg']");
    await run(session, "%config InlineBackend.figure_format = 'png'");
    await run(session, "%config InlineBackend.print_figure_kwargs = {'bbox_inches': None}");
    assertEquals(widthOf(await run(session, "plt.plot([1]);")), 640);
    await run(session, "%config InlineBackend.close_figures = False\nplt.plot([1]);");
    assertEquals(await valueOf(session, "plt.get_fignums()"), "[1]");
    const wrong = await session.execute("%config InlineBackend.figure_format = 'gif'");
    assertStringIncludes(wrong.error!.evalue, "supported formats are");
  },
  "what a task displays after its cell has its forms named": async (_, kernel) => {
    const late: Data[] = [];
    const session = await kernel.session({
      env: { HOME: kernel.directory },
      onLateDisplay: ({ data }) => late.push(data),
    });
    const code = "import asyncio\nfrom matplotlib.figure import Figure\nasync def show():\n" +
      "    await asyncio.sleep(0)\n    figure = Figure()\n    figure.subplots().plot([1])\n" +
      "    display(figure)\ntask = asyncio.ensure_future(show())";
    await session.execute(code);
    await session.execute("await task");
    assertEquals(late.map((data) => Object.keys(data).sort()), [["image/png", "text/plain"]]);
    await session.kill();
  },
  "bars of tqdm.notebook are those of the console": async (session) => {
    const code = "from tqdm.notebook import tqdm, trange\nfor _ in tqdm(range(3)): pass\n" +
      "for _ in trange(2): pass";
    const result = await run(session, code);
    assertEquals(kindsOf(result), ["stderr"]);
    assertMatch(textOf(result, "stderr"), /100%\|█+\| 3\/3.*\n100%\|█+\| 2\/2/);
  },
  "nest_asyncio lets cells run loops of their own": async (session) => {
    const code = "import asyncio, nest_asyncio\nnest_asyncio.apply()\n" +
      "async def f():\n    await asyncio.sleep(0.001)\n    return 5\n" +
      "[asyncio.run(f()), asyncio.get_event_loop().run_until_complete(f())]";
    assertEquals(await valueOf(session, code), "[5, 5]");
    assertEquals(await valueOf(session, "await f()"), "5");
    let started = false;
    const waiting = session.execute("print(1, flush=True)\nasyncio.run(asyncio.sleep(1000))", {
      onOutput: () => void (started = true),
    });
    await until(() => started);
    await session.interrupt();
    assertEquals((await waiting).error?.ename, "KeyboardInterrupt");
    assertEquals(await valueOf(session, "6"), "6");
  },
  "classes and functions of cells reach other processes by cloudpickle": async (session) => {
    const code = "import cloudpickle, subprocess, sys\nfactor = 3\nclass C:\n" +
      "    def m(self, x): return x * factor\ndata = cloudpickle.dumps(C().m)\n" +
      "program = 'import pickle, sys; print(pickle.load(sys.stdin.buffer)(4))'\n" +
      "subprocess.run([sys.executable, '-c', program], input=data, capture_output=True).stdout";
    assertEquals(await valueOf(session, code), "b'12\\n'");
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

/** Tests of what needs IPython in the environment. */
const widgets: Record<string, SessionTest> = {
  "a widget is shown as text where nobody can draw it, and works": async (session) => {
    const slider = await run(session, "import ipywidgets as w\ns = w.IntSlider(value=3)\ns");
    assertEquals(dataOf(slider)[0]!["text/plain"], "IntSlider(value=3)");
    const code = "s.observe(lambda change: print('now', change.new), 'value')\ns.value = 8";
    assertEquals(textOf(await run(session, code), "stdout"), "now 8\n");
    const out = "out = w.Output()\nwith out:\n    print('inside')\n    display(5)\nout";
    const shown = await run(session, out);
    assertEquals(textOf(shown, "stdout"), "inside\n");
    assertEquals(dataOf(shown).map((data) => data["text/plain"]), ["5", "Output()"]);
    const interact = await run(session, "w.interact(lambda x: x * 2, x=3);");
    assertEquals(dataOf(interact)[0]!["text/plain"], "6");
  },
  "a figure of plotly that is a widget is shown as a figure": async (session) => {
    const code =
      "import plotly.graph_objects as go\nf = go.FigureWidget(data=[go.Bar(y=[1, 2])])\n" +
      "f.add_bar(y=[3])\nf";
    for (const result of [await run(session, code), await run(session, "display(f)")]) {
      const [data] = dataOf(result);
      const figure = data!["application/vnd.plotly.v1+json"] as { data: Data[] };
      assertEquals(figure.data.map((one) => one.y), [[1, 2], [3]]);
      assertStringIncludes(String(data!["text/html"]), "Plotly.newPlot");
      assertStringIncludes(String(data!["text/plain"]), "FigureWidget(");
    }
  },
  "extensions of IPython bring their magics": async (session) => {
    await run(session, "%load_ext line_profiler");
    const code = "def slow():\n    x = 1\n    return x\n%lprun -f slow slow()";
    assertMatch(textOf(await run(session, code), "stdout"), /Timer unit[^]*Hits[^]* 3 +1 /);
    const again = textOf(await run(session, "%load_ext line_profiler"), "stdout");
    assertStringIncludes(again, "already loaded");
    const none = await session.execute("%load_ext json");
    assertStringIncludes(none.error!.evalue, "has no load_ipython_extension()");
    const missing = await session.execute("%load_ext no_such_extension");
    assertStringIncludes(missing.error!.evalue, "%pip");
    const own = "from IPython.core.magic import Magics, magics_class, line_magic, cell_magic\n" +
      "@magics_class\nclass Own(Magics):\n    @line_magic\n    def where(self, line):\n" +
      "        return line, 'own_name' in self.shell.user_ns\n    @cell_magic\n" +
      "    def upper(self, line, cell):\n        print(cell.upper())\n" +
      "own_name = 1\nget_ipython().register_magics(Own)";
    await run(session, own);
    assertEquals(await valueOf(session, "%where am I"), "('am I', True)");
    assertEquals(textOf(await run(session, "%%upper\nabc"), "stdout"), "ABC\n\n");
  },
};

for (const kind of ["plain", "ipython"] as const) {
  const title = kind === "plain" ? "without IPython" : "with IPython";
  Deno.test(`rich results, ${title}`, async (t) => {
    await using kernel = await Kernel.start(await richPython(kind));
    // One home for all: matplotlib looks for fonts once.
    const env = { HOME: kernel.directory };
    const plotting = await kernel.session({ env });
    for (const [name, test] of Object.entries(figures)) {
      await t.step(name, async () => {
        await test(plotting, kernel);
        await run(plotting, "plt.ion()\nplt.close('all')");
      });
    }
    await plotting.kill();
    for (
      const [name, test] of Object.entries({
        ...tests,
        ...ipython,
        ...(kind === "ipython" ? widgets : {}),
      })
    ) {
      await t.step(name, async () => {
        const session = await kernel.session({ env });
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
