/** Variables of an environment: set in its sessions, without any say in what is installed. */
import { fieldsOf, invalidEntry, isRecord, showEntry } from "./entry.ts";

const MAX_VARIABLES = 200;
/** Longest value, in characters. */
const MAX_VALUE = 32 * 1024;

/**
 * The `variables` of an environment.yml.
 *
 * @throws WorkerError `invalid_spec` that names the variable, but not its value
 */
export function parseVariables(value: unknown, entry: string): Map<string, string> {
  const variables = new Map<string, string>();
  if (value === undefined || value === null) return variables;
  if (!isRecord(value)) throw invalidEntry(entry, "it is not a mapping of names to texts");
  const fields = fieldsOf(value, entry);
  if (fields.size > MAX_VARIABLES) {
    throw invalidEntry(entry, `it has more than ${MAX_VARIABLES} variables`);
  }
  for (const [name, content] of fields) {
    if (!/^[A-Za-z_]\w{0,255}$/.test(name)) {
      throw invalidEntry(`${entry} (${showEntry(name)})`, "it is not a name");
    }
    variables.set(name, textOf(content, `${entry}.${name}`));
  }
  return variables;
}

function textOf(value: unknown, entry: string): string {
  // YAML has changed what was written when it is anything but a text or a whole number.
  if (typeof value !== "string" && !Number.isSafeInteger(value)) {
    throw invalidEntry(entry, "a variable's value is a text; put it in quotes");
  }
  const text = String(value);
  if (text.length > MAX_VALUE) {
    throw invalidEntry(entry, `it is longer than ${MAX_VALUE} characters`);
  }
  if (text.includes("\0")) throw invalidEntry(entry, "it has a NUL character");
  return text;
}
