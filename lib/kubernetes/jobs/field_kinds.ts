/** Kinds of single fields of a manifest. */
import { Buffer } from "node:buffer";
import { parseImage, spellings } from "./image.ts";
import { type Kind, listOf, oneOf, text } from "./kind.ts";
import { matchesAny } from "./pattern.ts";
import { invalid, misplaced, type Place, refused } from "./problems.ts";
import type { JobSettings } from "./settings.ts";
import { JOB_TYPES, type JobType } from "./types.ts";

const MAX_WORDS = 256;
/** All words of a command together (bytes). */
const MAX_COMMAND = 64 * 1024;

/** The `type` of a manifest. */
export const jobType: Kind<JobType> = {
  ...oneOf(...JOB_TYPES),
  read(value, place, { settings }) {
    const type = JOB_TYPES.find((known) => known === value);
    if (type === undefined) {
      throw misplaced(
        place,
        `names a type that this worker does not run: ${JSON.stringify(value)?.slice(0, 80)}`,
        `Use one of the types ${settings.types.join(", ")}.`,
      );
    }
    if (!settings.types.includes(type)) {
      throw refused(
        place,
        `the operator of this worker has not switched on ${type}`,
        `Use one of the types ${settings.types.join(", ")}.`,
      );
    }
    return type;
  },
};

/** The `image` of a manifest. */
export const image: Kind<string> = {
  words: "text",
  rule: "the name of an image, in small letters, with a tag or digest, so it must contain `:`",
  schema: { type: "string" },
  read(value, place, { settings, workspace }) {
    const parsed = typeof value === "string" ? parseImage(value) : undefined;
    if (parsed === undefined) throw invalid(place, image.rule, { received: value });
    if (parsed.tag === undefined && parsed.digest === undefined) {
      throw invalid(place, image.rule, {
        received: value,
        suggestion: `Say which version: ${parsed.name}:latest, or better one that does not change.`,
      });
    }
    if (!spellings(parsed).some((name) => matchesAny(settings.allowedImages, name, workspace))) {
      const allowed = settings.allowedImages.slice(0, 10).join(", ");
      throw refused(
        place,
        `the operator of this worker has not allowed ${value}`,
        `Use one of: ${
          allowed === "" ? "none" : allowed
        }; or ask the operator to add it to --allowed-images.`,
      );
    }
    return value as string;
  },
};

const word = text("text without null characters", () => true, {
  maxLength: MAX_COMMAND,
  multiline: true,
});
const words = listOf(word, MAX_WORDS);

/** A program with its arguments, or the arguments alone. */
export const command: Kind<string[]> = {
  ...words,
  rule: `a list of at most ${MAX_WORDS} texts, ${MAX_COMMAND} bytes together`,
  read(value, place, scope) {
    if (typeof value === "string") {
      throw invalid(place, command.rule, {
        received: value,
        suggestion: 'Write a list: ["sh", "-c", "…"] for what a shell shall read.',
      });
    }
    if (!Array.isArray(value) || value.length > MAX_WORDS) {
      throw invalid(place, command.rule, { received: value });
    }
    const read = words.read(value, place, scope);
    if (read.reduce((sum, one) => sum + Buffer.byteLength(one), 0) > MAX_COMMAND) {
      throw invalid(place, command.rule, {
        received: value,
        suggestion: "Put long scripts into the image or a config map.",
      });
    }
    return read;
  },
};

/** `image_pull_policy`: what the operator demands is not weakened. */
export const pullPolicy: Kind<JobSettings["imagePullPolicy"]> = {
  ...oneOf("Always", "IfNotPresent", "Never"),
  read(value, place, scope) {
    const policy = oneOf("Always", "IfNotPresent", "Never").read(value, place, scope);
    if (scope.settings.imagePullPolicy === "Always" && policy !== "Always") {
      throw refused(
        place,
        "the operator of this worker has images fetched each time",
        "Write Always, or leave it out.",
      );
    }
    return policy;
  },
};

/** Something only the operator can switch on. */
export function allowedFlag(
  setting: "allowPrivileged" | "allowHostNetwork",
  what: string,
  option: string,
): Kind<boolean> {
  return {
    words: "`true`, `false`",
    rule: `true or false; true only where the operator allows it (${option})`,
    schema: { type: "boolean" },
    read(value, place, { settings }) {
      if (typeof value !== "boolean") throw invalid(place, "true or false", { received: value });
      if (value && !settings[setting]) {
        throw refused(
          place,
          `${what} is not allowed by the operator of this worker`,
          `Leave it out, or ask the operator for ${option}.`,
        );
      }
      return value;
    },
  };
}

/** A number of seconds up to what the operator allows. */
export const timeout: Kind<number> = {
  words: "seconds",
  rule: "a whole number of seconds from 1, at most what the operator allows (--max-timeout)",
  schema: { type: "integer", minimum: 1 },
  read(value, place, { settings }) {
    if (!Number.isSafeInteger(value) || value as number < 1 || value as number > 2 ** 31 - 1) {
      throw invalid(place, timeout.rule, { received: value });
    }
    const most = settings.maxTimeout;
    if (most !== undefined && value as number > most) {
      throw refused(
        place,
        `${value} is more than the ${most} seconds that the operator allows`,
        `Ask for at most ${most}.`,
      );
    }
    return value as number;
  },
};

/** The name of a service within a workspace. Nothing in it may be more than text to Kubernetes or to Hypha. */
export const serviceId = text(
  "at most 63 letters, digits, dots, dashes and underscores",
  (id) => /^\w[\w.-]{0,62}$/.test(id) && !id.includes(".."),
);

/** Whether a text can be the name of a workspace. */
export function isWorkspace(name: string): boolean {
  return name.length <= 256 && /^\w[\w.@|-]*$/.test(name) && !name.includes("..");
}

/** The `workspace` of a manifest: everybody may name his own, and only the operator others. */
export const workspaceName: Kind<string> = {
  words: "text",
  rule: "the name of your own workspace",
  schema: { type: "string" },
  read(value, place: Place, { workspace, operator }) {
    if (typeof value !== "string" || !isWorkspace(value)) {
      throw invalid(place, workspaceName.rule, { received: value });
    }
    if (!operator && value !== workspace) {
      throw refused(
        place,
        `you start it from workspace ${workspace}, and only the operator may name another one`,
        `Write ${workspace}, or leave it out.`,
      );
    }
    return value;
  },
};

const SERVICE = /^(?:(\w[\w.@|-]*)\/)?(?:[\w][\w.-]*:)?\w[\w.-]*$/;

/** `wait_for_service`: whether, or for which service. */
export const awaitedService: Kind<boolean | string> = {
  words: "`true`, `false` or text",
  rule: "true, false, or a service of the job's workspace: name, client:name or workspace/name",
  schema: { anyOf: [{ type: "boolean" }, { type: "string" }] },
  read(value, place) {
    if (typeof value === "boolean") return value;
    if (typeof value === "string" && value.length <= 256 && SERVICE.test(value)) return value;
    throw invalid(place, awaitedService.rule, { received: value });
  },
};
