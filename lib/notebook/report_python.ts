/** Colours for Python code: a tokenizer that takes any text, also what is no Python, and loses no character. */

/** What a piece of code is. */
export type TokenKind =
  | "keyword"
  | "constant"
  | "builtin"
  | "definition"
  | "decorator"
  | "string"
  | "number"
  | "comment"
  | "magic"
  | "operator"
  | "text";

/** A piece of code. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const words = (text: string) => new Set(text.split(" "));
const KEYWORDS = words(
  "and as assert async await break class continue def del elif else except finally for from global if import in is " +
    "lambda nonlocal not or pass raise return try while with yield",
);
/** Names that are keywords only where a statement begins. */
const SOFT = words("match case type");
const CONSTANTS = words("True False None NotImplemented Ellipsis __debug__ self cls");
const BUILTINS = words(
  "abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex delattr " +
    "dict dir display divmod enumerate eval exec filter float format frozenset getattr globals hasattr hash help hex id " +
    "input int isinstance issubclass iter len list locals map max memoryview min next object oct open ord pow print " +
    "property range repr reversed round set setattr slice sorted staticmethod str sum super tuple type vars zip " +
    "__import__ BaseException Exception ArithmeticError AssertionError AttributeError EOFError FileExistsError " +
    "FileNotFoundError ImportError IndexError KeyError KeyboardInterrupt LookupError MemoryError ModuleNotFoundError " +
    "NameError NotImplementedError OSError OverflowError PermissionError RecursionError RuntimeError StopIteration " +
    "SyntaxError SystemExit TimeoutError TypeError UnicodeError ValueError Warning ZeroDivisionError",
);

/** The kinds of pieces, each tried where the one before has ended. */
const PIECES =
  /(?<space>[ \t\f\r]+)|(?<newline>\n)|(?<comment>#[^\n]*)|(?<string>(?:[rRbBuUfFtT]{0,2})(?:"""|'''|"|'))|(?<number>(?:0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)[jJ]?)|(?<name>[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{N}\p{Mn}\p{Mc}_]*)|(?<decorator>@)|(?<operator>[^\s\w])|(?<other>[^])/uy;
const REST: Readonly<Record<string, RegExp>> = {
  '"""': /(?:[^\\]|\\[^])*?(?:"""|$)/y,
  "'''": /(?:[^\\]|\\[^])*?(?:'''|$)/y,
  // A string that is not closed ends with its line.
  '"': /(?:[^\\\n"]|\\[^])*"?/y,
  "'": /(?:[^\\\n']|\\[^])*'?/y,
};
/** Magics, shell commands and questions for help, where a line begins. */
const MAGIC = /[ \t]*(?:%%?[^\s\d]|!|\?)[^\n]*|[ \t]*[\w.*]+\?{1,2}[ \t]*(?=\n|$)/y;
/** A cell of another language. */
const FOREIGN =
  /^\s*%%(?:bash|sh|script|html|HTML|javascript|js|latex|markdown|svg|SVG|writefile|perl|ruby)\b/;

/** Stands for the "@" that begins a decorator; the other one multiplies. */
const DECORATES = "@ ";

/** The pieces of code, in order; together they are the code. */
export function tokenize(code: string): Token[] {
  if (FOREIGN.test(code)) {
    const end = code.indexOf("\n", code.search(/\S/));
    const first = end < 0 ? code : code.slice(0, end);
    return merged([{ kind: "magic", text: first }, {
      kind: "text",
      text: code.slice(first.length),
    }]);
  }
  const tokens: Token[] = [];
  let depth = 0;
  // The last piece that is neither space nor comment; none where a statement begins.
  let before = "";
  for (let at = 0; at < code.length;) {
    if (before === "" && depth === 0 && (at === 0 || code[at - 1] === "\n")) {
      MAGIC.lastIndex = at;
      const magic = MAGIC.exec(code)?.[0];
      if (magic !== undefined) {
        tokens.push({ kind: "magic", text: magic });
        at += magic.length;
        continue;
      }
    }
    PIECES.lastIndex = at;
    const { 0: piece, groups } = PIECES.exec(code)!;
    const named = groups!;
    let kind: TokenKind = "text";
    let text = piece;
    if (named.newline !== undefined) {
      if (depth === 0 && before !== "\\") before = "";
    } else if (named.comment !== undefined) kind = "comment";
    else if (named.string !== undefined) {
      const rest = REST[piece.replace(/^[a-zA-Z]+/, "")]!;
      rest.lastIndex = at + piece.length;
      kind = "string";
      text += rest.exec(code)![0];
    } else if (named.number !== undefined) kind = "number";
    else if (named.name !== undefined) {
      kind = kindOfName(piece, before, code.slice(at + piece.length, at + piece.length + 40));
    } else if (named.decorator !== undefined) {
      kind = before === "" ? "decorator" : "operator";
    } else if (named.operator !== undefined) {
      if ("([{".includes(piece)) depth++;
      else if (")]}".includes(piece)) depth = Math.max(0, depth - 1);
      kind = "operator";
    }
    if (named.space === undefined && named.newline === undefined && kind !== "comment") {
      before = kind === "decorator" ? DECORATES : text;
    }
    tokens.push({ kind, text });
    at += text.length;
  }
  return merged(tokens);
}

function kindOfName(name: string, before: string, after: string): TokenKind {
  if (before === DECORATES) return "decorator";
  if (before === "def" || before === "class") return "definition";
  // An attribute is no keyword, whatever its name.
  if (before === ".") return "text";
  if (KEYWORDS.has(name)) return "keyword";
  if (SOFT.has(name) && before === "" && /^[ \t]+[^=\s.,)\]:+*/%<>|&^-]/.test(after)) {
    return "keyword";
  }
  if (CONSTANTS.has(name)) return "constant";
  // print=… in a call names an argument.
  return BUILTINS.has(name) && !/^\s*=[^=]/.test(after) ? "builtin" : "text";
}

/** Neighbours of one kind as one piece, which makes a page smaller. */
function merged(tokens: Token[]): Token[] {
  const found: { kind: TokenKind; text: string }[] = [];
  for (const { kind, text } of tokens) {
    const last = found.at(-1);
    if (last?.kind === kind) last.text += text;
    else if (text !== "") found.push({ kind, text });
  }
  return found;
}
