/**
 * The content of an environment.yml, as text or as an object.
 *
 * YAML lets a text of a few lines stand for a structure without end. So its size is bounded before it is read,
 * and the size and depth of what it stands for before anybody walks through it.
 */
import { parse as parseYaml } from "@std/yaml";
import { messageOf } from "../errors.ts";
import { fieldsOf, invalidEntry, isRecord } from "./entry.ts";

/** Longest text, in characters. */
const MAX_TEXT = 256 * 1024;
/** Most values, counted as often as they are referred to. */
const MAX_VALUES = 10_000;
/** Lists and mappings within each other. */
const MAX_DEPTH = 16;

/**
 * The fields of an environment.yml. Its `name` and `prefix` are among them, but say only where its author
 * keeps the environment.
 *
 * @throws WorkerError `invalid_spec` that names the entry
 */
export function readEnvironmentFile(value: unknown, entry: string): Map<string, unknown> {
  const content = typeof value === "string" ? parseText(value, entry) : value;
  if (content === undefined || content === null) return new Map();
  if (!isRecord(content)) throw invalidEntry(entry, "it is not the content of an environment.yml");
  checkSize(content, entry);
  return fieldsOf(content, entry);
}

function parseText(text: string, entry: string): unknown {
  if (text.length > MAX_TEXT) {
    throw invalidEntry(entry, `it is longer than ${MAX_TEXT} characters`);
  }
  try {
    return parseYaml(text);
  } catch (error) {
    throw invalidEntry(entry, `it is not YAML: ${messageOf(error).split("\n", 1)[0]}`);
  }
}

function checkSize(content: unknown, entry: string): void {
  let values = 0;
  const walk = (value: unknown, depth: number): void => {
    if (++values > MAX_VALUES) throw invalidEntry(entry, `it has more than ${MAX_VALUES} values`);
    if (typeof value !== "object" || value === null) return;
    if (depth > MAX_DEPTH) {
      throw invalidEntry(entry, "its lists and mappings are nested too deeply");
    }
    for (const inner of Object.values(value)) walk(inner, depth + 1);
  };
  walk(content, 0);
}
