/**
 * Kinds of values: what a field may hold, said once for errors, documents and the schema that programs read.
 */
import type { JsonSchema } from "../../worker/method.ts";
import { below, invalid, misplaced, type Place } from "./problems.ts";
import type { JobSettings } from "./settings.ts";
import { nearest } from "../../nearest.ts";

/** Longer words are no typing errors, and comparing them takes time. */
const MAX_WORD = 64;

/** The known word that somebody may have meant. */
export function meantBy(word: string, known: readonly string[]): string | undefined {
  return word.length > MAX_WORD ? undefined : nearest(word, known);
}

/** For whom a value is read. */
export interface Scope {
  readonly settings: JobSettings;
  /** Workspace of the session. */
  readonly workspace: string;
  /** Whether the caller administers the worker's own workspace. */
  readonly operator: boolean;
}

/** What a value may be. */
export interface Kind<T> {
  /** For documents: `text`, `list of texts`. */
  readonly words: string;
  /** Completes "must be …". */
  readonly rule: string;
  /** Without a description. */
  readonly schema: JsonSchema;
  /** Fields of a mapping, or of the mappings in a list. */
  readonly parts?: Parts;
  /** Whether the fields are those of the entries of a list. */
  readonly isList?: boolean;
  /** Checks a value. Throws `invalid_argument` or `permission_denied` that names the place. */
  read(value: unknown, place: Place, scope: Scope): T;
}

/** A field of a mapping within a manifest. */
export interface Part<T = unknown> {
  readonly kind: Kind<T>;
  readonly description: string;
  readonly required?: boolean;
}

/** Fields of a mapping by name. */
export type Parts = Readonly<Record<string, Part>>;

/** What a mapping with some fields is read into; a field that is missing or `null` is not there. */
export type PartsOf<P extends Parts> = {
  -readonly [Name in keyof P]?: P[Name] extends Part<infer T> ? T : never;
};

/** Whether a value is a mapping. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Uint8Array);
}

/** A text that a check holds for. It must have no control characters, unless `multiline`. */
export function text(
  rule: string,
  check: (text: string) => boolean,
  options: { maxLength?: number; multiline?: boolean } = {},
): Kind<string> {
  const { maxLength = 1024, multiline = false } = options;
  return {
    words: "text",
    rule,
    schema: { type: "string" },
    read(value, place) {
      if (
        typeof value !== "string" || value.length > maxLength || !check(value) ||
        (multiline ? value.includes("\0") : /\p{Cc}/u.test(value)) || !value.isWellFormed()
      ) throw invalid(place, rule, { received: value });
      return value;
    },
  };
}

/** One of some texts. */
export function oneOf<const T extends string>(...values: readonly T[]): Kind<T> {
  const rule = `one of ${values.join(", ")}`;
  return {
    words: values.map((value) => `\`${value}\``).join(", "),
    rule,
    schema: { type: "string", enum: values },
    read(value, place) {
      const found = values.find((known) => known === value);
      if (found !== undefined) return found;
      const meant = typeof value === "string" ? meantBy(value, values) : undefined;
      throw invalid(place, rule, {
        received: value,
        ...(meant === undefined ? {} : { suggestion: `Did you mean ${meant}?` }),
      });
    },
  };
}

/** A whole number. */
export function integer(minimum: number, maximum: number, unit = ""): Kind<number> {
  const rule = `a whole number${unit === "" ? "" : ` of ${unit}`} from ${minimum} to ${maximum}`;
  return {
    words: unit === "" ? "number" : unit,
    rule,
    schema: { type: "integer", minimum, maximum },
    read(value, place) {
      if (!Number.isSafeInteger(value) || value as number < minimum || value as number > maximum) {
        throw invalid(place, rule, { received: value });
      }
      return value as number;
    },
  };
}

/** `true` or `false`. */
export const flag: Kind<boolean> = {
  words: "`true`, `false`",
  rule: "true or false",
  schema: { type: "boolean" },
  read(value, place) {
    if (typeof value !== "boolean") throw invalid(place, flag.rule, { received: value });
    return value;
  },
};

/** A list of values of one kind. */
export function listOf<T>(item: Kind<T>, maximum: number): Kind<T[]> {
  const rule = `a list of at most ${maximum}, each ${item.rule}`;
  return {
    words: item.parts === undefined && item.words === "text" ? "list of texts" : "list",
    rule,
    schema: { type: "array", items: item.schema },
    ...(item.parts === undefined ? {} : { parts: item.parts, isList: true }),
    read(value, place, scope) {
      if (!Array.isArray(value) || value.length > maximum) {
        throw invalid(place, rule, { received: value });
      }
      return Array.from(value, (entry, index) => item.read(entry, below(place, index), scope));
    },
  };
}

/** A mapping whose keys are names of one kind and whose values are of another. */
export function mappingOf<T>(
  key: Kind<string>,
  value: Kind<T>,
  maximum: number,
): Kind<[string, T][]> {
  const rule = `a mapping with at most ${maximum} entries`;
  return {
    words: "mapping",
    rule,
    schema: { type: "object", additionalProperties: value.schema },
    read(given, place, scope) {
      if (!isMapping(given)) throw invalid(place, rule, { received: given });
      const entries = Object.entries(given);
      if (entries.length > maximum) throw invalid(place, rule, { received: given });
      return entries.map(([name, entry]) => {
        const at = below(place, name);
        return [
          key.read(name, { ...at, path: `the name in ${at.path}` }, scope),
          value.read(entry, at, scope),
        ];
      });
    },
  };
}

/** A mapping with the given fields and no others. */
export function mapping<const P extends Parts>(parts: P): Kind<PartsOf<P>> {
  const names = Object.keys(parts);
  const rule = `a mapping with ${names.join(", ")}`;
  return {
    words: "mapping",
    rule,
    schema: {
      type: "object",
      properties: Object.fromEntries(
        Object.entries(parts).map((
          [name, { kind, description }],
        ) => [name, { ...kind.schema, description: description.replaceAll("`", "") }]),
      ),
      required: names.filter((name) => parts[name]!.required === true),
      additionalProperties: false,
    },
    parts,
    read(value, place, scope) {
      if (!isMapping(value)) throw invalid(place, rule, { received: value });
      const result: Record<string, unknown> = {};
      for (const [name, entry] of Object.entries(value)) {
        const part = Object.hasOwn(parts, name) ? parts[name] : undefined;
        if (part === undefined) {
          const meant = meantBy(name, names);
          throw misplaced(
            below(place, name),
            "is not known",
            meant === undefined ? `Use ${names.join(", ")}.` : `Did you mean ${meant}?`,
          );
        }
        if (entry !== null && entry !== undefined) {
          result[name] = part.kind.read(entry, below(place, name), scope);
        }
      }
      for (const name of names) {
        if (parts[name]!.required === true && result[name] === undefined) {
          throw misplaced(below(place, name), "is missing", `Write ${place.example}`);
        }
      }
      return result as PartsOf<P>;
    },
  };
}
