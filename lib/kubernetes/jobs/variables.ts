/** Environment variables of a container. */
import { Buffer } from "node:buffer";
import type { EnvVar } from "../api/types.ts";
import { checkGrant } from "./grants.ts";
import { isMapping, type Kind, text } from "./kind.ts";
import { isObjectName } from "./names.ts";
import { below, invalid } from "./problems.ts";

const MAX_VARIABLES = 200;
/** Longest value, and all names and values together (bytes): Linux has limits of its own, and so has the API. */
const MAX_VALUE = 32 * 1024;
const MAX_TOTAL = 128 * 1024;

const variableName = text(
  "the name of a variable: letters, digits, dots, dashes and underscores, with a letter or _ first",
  (name) => /^[A-Za-z_][\w.-]{0,254}$/.test(name),
);
const objectName = text("the name of an object of the namespace", isObjectName);
const keyName = text("a key: letters, digits, dots, dashes and underscores", isDataKey);

/** Whether a text can be a key of a secret or config map. */
export function isDataKey(key: string): boolean {
  return /^[\w.-]{1,253}$/.test(key) && key !== "." && !key.startsWith("..");
}

const VALUE =
  `text (at most ${MAX_VALUE} bytes), a number, true, false, {secret, key} or {config_map, key}`;

/** One variable; `undefined` removes one that would be there. */
export type Variable = Omit<EnvVar, "name"> | undefined;

const variable: Kind<Variable> = {
  words: "text or mapping",
  rule: VALUE,
  schema: {
    anyOf: [
      { type: "string" },
      { type: "number" },
      { type: "boolean" },
      { type: "null" },
      {
        type: "object",
        properties: {
          secret: { type: "string" },
          config_map: { type: "string" },
          key: { type: "string" },
        },
        required: ["key"],
        additionalProperties: false,
      },
    ],
  },
  read(value, place, scope) {
    if (value === null || value === undefined) return undefined;
    if (typeof value === "number" && Number.isFinite(value)) return { value: String(value) };
    if (typeof value === "boolean") return { value: String(value) };
    if (typeof value === "string") {
      // What was received is not shown: it may be a secret.
      if (value.includes("\0") || !value.isWellFormed()) throw invalid(place, VALUE);
      if (Buffer.byteLength(value) > MAX_VALUE) throw invalid(place, VALUE);
      return { value };
    }
    if (!isMapping(value)) throw invalid(place, VALUE);
    const names = Object.keys(value).sort().join();
    if (names !== "key,secret" && names !== "config_map,key") throw invalid(place, VALUE);
    const key = keyName.read(value.key, below(place, "key"), scope);
    if (names === "key,secret") {
      const at = below(place, "secret");
      const name = objectName.read(value.secret, at, scope);
      checkGrant("allowedSecrets", name, at, scope);
      return { valueFrom: { secretKeyRef: { name, key } } };
    }
    const at = below(place, "config_map");
    const name = objectName.read(value.config_map, at, scope);
    checkGrant("allowedConfigMaps", name, at, scope);
    return { valueFrom: { configMapKeyRef: { name, key } } };
  },
};

const RULE = `a mapping of at most ${MAX_VARIABLES} variables, each ${VALUE}`;

/** The `env` of a manifest. */
export const variables: Kind<Map<string, Variable>> = {
  words: "mapping",
  rule: RULE,
  schema: { type: "object", additionalProperties: variable.schema },
  read(value, place, scope) {
    if (!isMapping(value)) throw invalid(place, RULE);
    const entries = Object.entries(value);
    if (entries.length > MAX_VARIABLES) throw invalid(place, RULE);
    const result = new Map<string, Variable>();
    let total = 0;
    for (const [name, entry] of entries) {
      const at = below(place, name);
      variableName.read(name, { ...at, path: `the name in ${at.path}` }, scope);
      const read = variable.read(entry, at, scope);
      total += name.length + Buffer.byteLength(read?.value ?? "");
      if (total > MAX_TOTAL) {
        throw invalid(place, `at most ${MAX_TOTAL} bytes, all names and values together`, {
          suggestion: "Put large values into a config map or a file of the image.",
        });
      }
      result.set(name, read);
    }
    return result;
  },
};

/**
 * A value that means itself: without this a text from outside could bring in other variables, such as a secret of the
 * operator, as `$(NAME)`.
 */
export function literal(value: string): Variable {
  return { value: value.replaceAll("$", "$$$$") };
}

/** Variables as Kubernetes takes them; later maps go before earlier ones. */
export function environment(...maps: readonly ReadonlyMap<string, Variable>[]): EnvVar[] {
  const merged = new Map(maps.flatMap((map) => [...map]));
  return [...merged].flatMap(([name, value]) => value === undefined ? [] : [{ name, ...value }]);
}
