/** The text of scripts: from files in the encoding they name, and from standard input. */
import { messageOf } from "../errors.ts";
import { usage } from "./option.ts";

/** Python's comment that names the encoding of a file (PEP 263). */
const ENCODING = /^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)/;

/** Reads a script. Throws `usage` when it is no text. */
export async function readScript(path: string, name: string): Promise<string> {
  try {
    return decode(await Deno.readFile(path), name);
  } catch (error) {
    throw usage(`Cannot read ${name}: ${messageOf(error)}`);
  }
}

/** Reads a script from standard input, to its end. */
export async function readStandardInput(): Promise<string> {
  try {
    return decode(new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer()), "-");
  } catch (error) {
    throw usage(`Cannot read standard input: ${messageOf(error)}`);
  }
}

function decode(bytes: Uint8Array, name: string): string {
  // The comment itself is ASCII, in the first or the second line.
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 1000)).split(/\r\n|\r|\n/, 2);
  const [first = "", second = ""] = head;
  const named = ENCODING.exec(first) ??
    (/^[ \t\f]*(?:#|$)/.test(first) ? ENCODING.exec(second) : null);
  const encoding = (named?.[1] ?? "utf-8").replace(/^latin-?1$/i, "latin1");
  let decoder;
  try {
    decoder = new TextDecoder(encoding.replaceAll("_", "-"), { fatal: true });
  } catch {
    throw new Error(`its encoding ${encoding} is not known`);
  }
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Error(`it is not ${encoding} as ${name === "-" ? "a script" : "its text"} must be`);
  }
}
