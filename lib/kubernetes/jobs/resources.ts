/** Processors, memory and devices: what a manifest asks for, and what it gets under the operator's ceilings. */
import type { ResourceRequirements } from "../api/types.ts";
import { isMapping, type Kind, mapping, mappingOf, text } from "./kind.ts";
import { domainOf, isKubernetesDomain, isQualifiedName } from "./names.ts";
import { below, invalid, type Place, refused } from "./problems.ts";
import { quantityOf, quantityValue } from "./quantity.ts";
import type { Amounts, ResourceAmounts } from "./settings.ts";

/** What nodes have by themselves; everything else is a device, counted in whole numbers. */
const NATIVE = ["cpu", "memory", "ephemeral-storage"];
/** Fewer bytes than this are a mistake, mostly `512m`, which is half a byte. */
const LEAST_BYTES = 2 ** 20;
/** What is asked for where a ceiling is the limit: Kubernetes would ask for all of it. */
const MODEST: Amounts = { cpu: "100m", memory: "128Mi", "ephemeral-storage": "128Mi" };
const GPU = "nvidia.com/gpu";
const MAX_RESOURCES = 16;

const resourceName = text(
  "cpu, memory, ephemeral-storage or the name of a device such as nvidia.com/gpu",
  (name) =>
    NATIVE.includes(name) ||
    (isQualifiedName(name) && name.includes("/") && !isKubernetesDomain(domainOf(name)) &&
      !name.startsWith("requests.")),
);

const AMOUNT = "an amount such as 2, 500m or 4Gi";

/** An amount in Kubernetes' notation. */
export const amount: Kind<string> = {
  words: "amount",
  rule: AMOUNT,
  schema: { anyOf: [{ type: "string" }, { type: "number" }] },
  read(value, place) {
    const quantity = quantityOf(value);
    if (quantity === undefined) throw invalid(place, AMOUNT, { received: value });
    return quantity;
  },
};

/** A number of bytes in Kubernetes' notation. */
export const bytes: Kind<string> = {
  ...amount,
  words: "bytes",
  rule: "an amount of bytes such as 512Mi or 4Gi",
  read(value, place, scope) {
    const quantity = amount.read(value, place, scope);
    if (quantityValue(quantity)! >= LEAST_BYTES) return quantity;
    const meant = /^[\d.]+m$/.test(quantity)
      ? ` Did you mean ${quantity}`.replace(/m$/, "Mi?")
      : "";
    throw invalid(place, "at least 1Mi", {
      received: value,
      suggestion: `m stands for thousandths, Mi for 1024 times 1024.${meant}`,
    });
  },
};

const amounts: Kind<[string, string][]> = (() => {
  const any = mappingOf(resourceName, amount, MAX_RESOURCES);
  return {
    ...any,
    rule: `a mapping of resources to amounts, at most ${MAX_RESOURCES}`,
    read(value, place, scope) {
      return any.read(value, place, scope).map(([name, quantity]) => {
        const at = below(place, name);
        if (name === "memory" || name === "ephemeral-storage") bytes.read(quantity, at, scope);
        else if (name !== "cpu" && !Number.isSafeInteger(quantityValue(quantity))) {
          throw invalid(at, "a whole number of devices", { received: quantity });
        }
        return [name, quantity];
      });
    },
  };
})();

const MAX_GPUS = 1024;

/** Devices: a number of them, or which. */
export const devices: Kind<{ resource: string; count: number }> = {
  words: "number or mapping",
  rule: `a whole number from 0 to ${MAX_GPUS}, or a mapping with resource and count`,
  schema: {
    anyOf: [
      { type: "integer", minimum: 0, maximum: MAX_GPUS },
      {
        type: "object",
        properties: { resource: { type: "string" }, count: { type: "integer" } },
        required: ["count"],
        additionalProperties: false,
      },
    ],
  },
  read(value, place, scope) {
    const whole = (count: unknown, at: Place) => {
      if (Number.isSafeInteger(count) && count as number >= 0 && count as number <= MAX_GPUS) {
        return count as number;
      }
      throw invalid(at, isMapping(value) ? `a whole number from 0 to ${MAX_GPUS}` : devices.rule, {
        received: count,
      });
    };
    if (!isMapping(value)) return { resource: GPU, count: whole(value, place) };
    const unknown = Object.keys(value).find((name) => name !== "resource" && name !== "count");
    if (unknown !== undefined) throw invalid(place, devices.rule, { received: value });
    const at = below(place, "resource");
    const resource = resourceName.read(value.resource ?? GPU, at, scope);
    if (NATIVE.includes(resource)) {
      throw invalid(at, "the name of a device such as nvidia.com/gpu", { received: resource });
    }
    return { resource, count: whole(value.count, below(place, "count")) };
  },
};

/** The `resources` of a manifest. */
export const resources = mapping({
  requests: {
    kind: amounts,
    description: "What the node must have free: `cpu`, `memory`, `ephemeral-storage`, devices.",
  },
  limits: {
    kind: amounts,
    description:
      "What it may use at most. Above its `memory` it is ended (OOMKilled), above its `cpu` slowed down.",
  },
  gpu: { kind: devices, description: "Another place for the field `gpu`." },
});

/** What a manifest asks for. */
export interface Asked {
  readonly requests?: readonly (readonly [string, string])[];
  readonly limits?: readonly (readonly [string, string])[];
  readonly gpu?: { readonly resource: string; readonly count: number };
}

function least(a: string, b: string): string {
  return quantityValue(a)! <= quantityValue(b)! ? a : b;
}

/**
 * What a container gets: what it asks for, else the defaults, and never more than the ceilings.
 *
 * @throws WorkerError `invalid_argument` for a request above its limit, `permission_denied` above a ceiling
 */
export function resourcesOf(
  asked: Asked,
  defaults: ResourceAmounts,
  ceilings: Amounts,
  place: Place,
): ResourceRequirements | undefined {
  const requests = new Map(asked.requests);
  const limits = new Map(asked.limits);
  const { gpu } = asked;
  if (gpu !== undefined) {
    const { resource } = gpu;
    if (requests.has(resource) || limits.has(resource)) {
      throw invalid(
        { ...place, path: "manifest.gpu" },
        `left out where resources name ${resource}`,
      );
    }
    if (gpu.count > 0) limits.set(resource, String(gpu.count));
  }
  const names = new Set([
    ...requests.keys(),
    ...limits.keys(),
    ...Object.keys(defaults.requests ?? {}),
    ...Object.keys(defaults.limits ?? {}),
    ...NATIVE.filter((name) => Object.hasOwn(ceilings, name)),
  ]);
  const result = { requests: new Map<string, string>(), limits: new Map<string, string>() };
  for (const name of names) {
    const ceiling = Object.hasOwn(ceilings, name) ? ceilings[name] : undefined;
    const wanted = requests.get(name);
    const given = limits.get(name);
    for (const [part, value] of [["requests", wanted], ["limits", given]] as const) {
      if (value === undefined || ceiling === undefined) continue;
      if (quantityValue(value)! > quantityValue(ceiling)!) {
        throw refused(
          below(below(place, part), name),
          `${value} is more than the ${ceiling} that the operator allows`,
          `Ask for at most ${ceiling}.`,
        );
      }
    }
    if (!NATIVE.includes(name)) {
      const count = given ?? wanted ?? defaults.limits?.[name] ?? defaults.requests?.[name]!;
      if (quantityValue(wanted ?? count) !== quantityValue(count)) {
        throw invalid(
          below(below(place, "requests"), name),
          `left out, or equal to its limit ${count}`,
        );
      }
      const capped = ceiling === undefined ? count : least(count, ceiling);
      result.limits.set(name, capped);
      result.requests.set(name, capped);
      continue;
    }
    if (
      wanted !== undefined && given !== undefined && quantityValue(wanted)! > quantityValue(given)!
    ) {
      throw invalid(below(below(place, "requests"), name), `at most its limit ${given}`, {
        received: wanted,
      });
    }
    const usual = defaults.limits?.[name];
    // A default limit that is below what is asked for makes way.
    let limit = given ??
      (usual !== undefined && wanted !== undefined && quantityValue(usual)! < quantityValue(wanted)!
        ? wanted
        : usual);
    if (limit !== undefined && ceiling !== undefined) limit = least(limit, ceiling);
    const fromCeiling = limit === undefined && ceiling !== undefined;
    limit ??= ceiling;
    const request = wanted ?? defaults.requests?.[name] ?? (fromCeiling ? MODEST[name] : undefined);
    if (limit !== undefined) result.limits.set(name, limit);
    if (request !== undefined) {
      result.requests.set(name, limit === undefined ? request : least(request, limit));
    }
  }
  if (names.size === 0) return undefined;
  return {
    ...(result.requests.size === 0 ? {} : { requests: Object.fromEntries(result.requests) }),
    ...(result.limits.size === 0 ? {} : { limits: Object.fromEntries(result.limits) }),
  };
}
