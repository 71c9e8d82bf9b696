/**
 * Checks objects of Kubernetes against what its API says about them, as strictly as the API does with
 * `fieldValidation=Strict`: fields that it does not know, types, and fields that must be there.
 */
import document from "./kubernetes_schema.json" with { type: "json" };

/** The part of OpenAPI that the document uses. */
export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  "x-kubernetes-int-or-string"?: boolean;
  "x-kubernetes-preserve-unknown-fields"?: boolean;
}

const { kinds, definitions } = document as unknown as {
  kinds: Record<string, string>;
  definitions: Record<string, Schema>;
};

/** An object of Kubernetes, as YAML has it. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  // deno-lint-ignore no-explicit-any -- tests look into what has been checked
  [field: string]: any;
}

/** What is wrong with an object, each with its path; nothing when it is right. */
export function mistakes(manifest: Manifest): string[] {
  const name = kinds[`${manifest.apiVersion} ${manifest.kind}`];
  if (name === undefined) return [`no schema of ${manifest.apiVersion} ${manifest.kind}`];
  return [...check(definitions[name]!, manifest, manifest.kind), ...names(manifest)];
}

const LABEL = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;
const KEY =
  /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/** What the schema does not say about names and labels. */
function names({ kind, metadata }: Manifest): string[] {
  const found: string[] = [];
  const longest = kind === "Service" ? 63 : kind === "StatefulSet" ? 52 : 253;
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(metadata.name) || metadata.name.length > longest) {
    found.push(`${kind}.metadata.name: ${metadata.name} is no name`);
  }
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (!KEY.test(key) || !LABEL.test(value)) {
      found.push(`${kind}.metadata.labels: ${key}=${value}`);
    }
  }
  for (const key of Object.keys(metadata.annotations ?? {})) {
    if (!KEY.test(key)) found.push(`${kind}.metadata.annotations: ${key}`);
  }
  return found;
}

const QUANTITY = /^[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;

function check(given: Schema, value: unknown, path: string): string[] {
  const schema = given.$ref === undefined ? given : definitions[given.$ref]!;
  const wrong = (what: string) => [`${path}: ${what}, not ${JSON.stringify(value)}`];
  if (given.$ref?.endsWith(".resource.Quantity")) {
    return QUANTITY.test(String(value)) ? [] : wrong("a quantity");
  }
  if (schema.format === "int-or-string" || schema["x-kubernetes-int-or-string"]) {
    return typeof value === "string" || Number.isInteger(value) ? [] : wrong("integer or string");
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    return wrong(`one of ${schema.enum.join(", ")}`);
  }
  switch (schema.type) {
    case "object":
      return isRecord(value) ? checkObject(schema, value, path) : wrong("an object");
    case "array":
      if (!Array.isArray(value)) return wrong("a list");
      return value.flatMap((one, at) => check(schema.items!, one, `${path}[${at}]`));
    case "string":
      if (typeof value !== "string") return wrong("a string");
      return schema.pattern === undefined || new RegExp(schema.pattern).test(value)
        ? []
        : wrong(`like ${schema.pattern}`);
    case "integer":
    case "number":
      if (typeof value !== "number") return wrong("a number");
      if (schema.type === "integer" && !Number.isInteger(value)) return wrong("an integer");
      return value < (schema.minimum ?? -Infinity) || value > (schema.maximum ?? Infinity)
        ? wrong("a number in range")
        : [];
    case "boolean":
      return typeof value === "boolean" ? [] : wrong("true or false");
    default:
      return schema.properties !== undefined && isRecord(value)
        ? checkObject(schema, value, path)
        : [];
  }
}

function checkObject(schema: Schema, value: Record<string, unknown>, path: string): string[] {
  const missing = (schema.required ?? []).filter((name) => value[name] === undefined);
  const found = missing.map((name) => `${path}.${name}: is missing`);
  for (const [name, one] of Object.entries(value)) {
    const more = schema.additionalProperties;
    const own = schema.properties?.[name] ?? (typeof more === "object" ? more : undefined);
    if (own !== undefined) {
      // A field without a value counts as one that is not there.
      if (one !== null) found.push(...check(own, one, `${path}.${name}`));
      continue;
    }
    const open = schema["x-kubernetes-preserve-unknown-fields"] || more === true ||
      (schema.properties === undefined && more === undefined);
    if (!open) found.push(`${path}.${name}: is unknown`);
  }
  return found;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
