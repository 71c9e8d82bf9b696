/** Values of a configuration file, as options take them. */
import { choicesOf, type Option, usage } from "./option.ts";

/** A value of a file. */
export interface Setting {
  /** The key, as it is spelled there. */
  readonly key: string;
  readonly value: string | boolean | readonly string[];
}

/** What {@linkcode readKey} needs. */
export interface KeyPlace {
  /** Key, file and line, for messages. */
  readonly where: string;
  /** Makes a path of the file one that can be used from anywhere. */
  readonly locate: (path: string) => string;
}

/** Placeholders of numbers. */
const NUMBERS = new Set(["N", "SECONDS", "DAYS", "PORT", "SIZE"]);
/** Placeholders of lists in one value. */
const LISTS = new Set(["A,B", "DIRS"]);
/** Placeholders of paths. */
const PATHS = new Set(["DIR", "FILE"]);

/** What an option takes, for messages. */
function expected(option: Option): string {
  const choices = choicesOf(option);
  if (option.type === "flag") return "true or false";
  if (option.type === "list") return "a list of texts, or a text";
  if (LISTS.has(option.value ?? "")) return "a list of texts, or a text with commas";
  if (option.value === "SIZE") return 'a size such as "50GB", or a number of bytes';
  if (NUMBERS.has(option.value ?? "")) return "a number";
  return choices.length > 0 ? `one of ${choices.join(", ")}` : "a text";
}

/**
 * Reads the value of an option. Its meaning is checked by the command, as if it had been an argument.
 *
 * @throws WorkerError `usage` that names key, file and line, and what the option takes
 */
export function readKey(
  option: Option,
  key: string,
  value: unknown,
  { where, locate }: KeyPlace,
): Setting {
  const placeholder = option.value ?? "";
  const wrong = () => {
    const given = typeof value === "string" ? "" : `, received ${JSON.stringify(value)}`;
    return usage(`Wrong value of ${where}: it takes ${expected(option)}${given}`);
  };
  const text = (item: unknown): string => {
    if (typeof item !== "string" || item === "") throw wrong();
    return PATHS.has(placeholder) ? locate(item) : item;
  };
  if (option.type === "flag") {
    if (typeof value !== "boolean") throw wrong();
    return { key, value };
  }
  if (option.type === "list") return { key, value: [value].flat().map(text) };
  if (LISTS.has(placeholder) && Array.isArray(value)) {
    const items = value.map(text);
    // The list becomes one text, whose parts cannot have what parts it.
    if (items.some((item) => item.includes(","))) throw wrong();
    return { key, value: items.join(",") };
  }
  if (NUMBERS.has(placeholder)) {
    if (typeof value === "number" && Number.isFinite(value)) return { key, value: String(value) };
    if (typeof value === "string" && value !== "") return { key, value };
    throw wrong();
  }
  const choices = choicesOf(option);
  if (typeof value === "boolean" && choices.includes(String(value))) {
    return { key, value: String(value) };
  }
  return { key, value: text(value) };
}
