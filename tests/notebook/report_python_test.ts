import { assert, assertEquals } from "@std/assert";
import { tokenize, type TokenKind } from "../../lib/notebook/report_python.ts";
import { codeHtml } from "../../lib/notebook/report_code.ts";

/** The pieces of a kind, without spaces around them. */
function pieces(code: string, kind: TokenKind): string[] {
  const tokens = tokenize(code);
  assertEquals(tokens.map((one) => one.text).join(""), code);
  return tokens.filter((one) => one.kind === kind).map((one) => one.text.trim());
}

Deno.test("Keywords, names that are defined, decorators and built-ins are told apart", () => {
  const code =
    "@app.route('/')\nasync def fetch(self, n=None):\n    return [print(x) for x in range(n)]\n\nclass Sum(dict): pass";
  assertEquals(pieces(code, "keyword"), ["async", "def", "return", "for", "in", "class", "pass"]);
  assertEquals(pieces(code, "definition"), ["fetch", "Sum"]);
  assertEquals(pieces(code, "decorator"), ["@app"]);
  assertEquals(pieces(code, "builtin"), ["print", "range", "dict"]);
  assertEquals(pieces(code, "constant"), ["self", "None"]);
});

Deno.test("Attributes, arguments and products are no keywords, built-ins or decorators", () => {
  assertEquals(pieces("a.import_, b.list, f(type=1, max = 2), m @ n", "builtin"), []);
  assertEquals(pieces("m @ n", "decorator"), []);
  assertEquals(pieces("x.print", "builtin"), []);
});

Deno.test("match, case and type are keywords only where they begin a statement of their own", () => {
  const code =
    "match value:\n    case [1, 2]:\n        type Alias = int\nmatch = 3\nmatch.group()\ntype(x)";
  assertEquals(pieces(code, "keyword"), ["match", "case", "type"]);
});

Deno.test("Strings of every kind end where Python ends them", () => {
  const code =
    `a = r'x\\y' + "it's" + f"{x!r}\\"" + b'''one\n# no comment\n''' # a comment "with quotes`;
  assertEquals(pieces(code, "string"), [
    "r'x\\y'",
    `"it's"`,
    `f"{x!r}\\""`,
    "b'''one\n# no comment\n'''",
  ]);
  assertEquals(pieces(code, "comment"), ['# a comment "with quotes']);
  assertEquals(pieces(`x = "a\\"b" + 'c#d'`, "string"), [`"a\\"b"`, `'c#d'`]);
  assertEquals(pieces(`"""one\n"two" '''\n""" + x`, "string"), [`"""one\n"two" '''\n"""`]);
  assertEquals(pieces(`s = "not closed\nx = 1`, "number"), ["1"]);
  assertEquals(pieces(`"""never closed\nx = 1`, "string"), [`"""never closed\nx = 1`]);
});

Deno.test("Numbers of every kind are numbers, names with digits are not", () => {
  assertEquals(pieces("1 0x_ff 0b101 0o17 1_000.5e-3 .5 10. 3j x1 e5", "number"), [
    "1",
    "0x_ff",
    "0b101",
    "0o17",
    "1_000.5e-3",
    ".5",
    "10.",
    "3j",
  ]);
});

Deno.test("Magics are magics at the beginning of a line only", () => {
  assertEquals(pieces("%matplotlib inline\n!ls -la\nx = 5 %y\ndf.head?\n?print\na % b", "magic"), [
    "%matplotlib inline",
    "!ls -la",
    "df.head?",
    "?print",
  ]);
  assertEquals(pieces("f(1\n% 2)", "magic"), []);
  assertEquals(pieces("%%bash\nfor f in *; do echo 'x; done", "keyword"), []);
  assertEquals(pieces("%%time\nfor f in x: pass", "keyword"), ["for", "in", "pass"]);
});

Deno.test("Whatever the text, no character is lost", () => {
  const alphabet = `ab1 \n\t'"\\#%!?@([{}])=.:é日😀_$\u0000`;
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
  for (let round = 0; round < 2000; round++) {
    const characters = Array.from(alphabet);
    const text = Array.from(
      { length: Math.floor(random() * 40) },
      () => characters[Math.floor(random() * characters.length)],
    ).join("");
    assertEquals(tokenize(text).map((one) => one.text).join(""), text);
  }
});

Deno.test("Code is text, not HTML, also when it is too long for colours", () => {
  assertEquals(
    codeHtml('"<script>"', ""),
    '<pre class="code"><code><span class="s">&quot;&lt;script&gt;&quot;</span></code></pre>',
  );
  const long = codeHtml("x = '</code>' \n".repeat(50_000), "");
  assert(!long.includes("<span") && !long.slice(25, -13).includes("</code>"));
});
