/** Files for a job: volumes of a manifest. */
import type { Volume, VolumeMount } from "../api/types.ts";
import { granted } from "./grants.ts";
import {
  flag,
  isMapping,
  type Kind,
  listOf,
  mapping,
  oneOf,
  type PartsOf,
  type Scope,
  text,
} from "./kind.ts";
import { isDnsLabel } from "./names.ts";
import { below, invalid, misplaced, type Place, refused } from "./problems.ts";
import { quantityValue } from "./quantity.ts";
import { bytes } from "./resources.ts";
import type { Amounts } from "./settings.ts";
import { isDataKey } from "./variables.ts";

const MAX_VOLUMES = 16;
const MAX_ITEMS = 64;
const MAX_PATH = 512;
/** The kernel's own, and where Kubernetes puts what identifies a pod. */
const RESERVED =
  /^\/(proc|sys)(\/|$)|^\/dev$|^\/(var\/)?run(\/secrets)?$|^\/(var\/)?run\/secrets\/(kubernetes\.io|eks\.amazonaws\.com)(\/|$)|^\/var$/;

function isPlain(path: string): boolean {
  return path.split("/").every((part) => part !== "" && part !== "." && part !== "..") &&
    !path.includes(":");
}

/** An absolute path in a container. */
export const containerPath = text(
  "an absolute path, without colons and without . and .. in it",
  (path) => path === "/" || (path.startsWith("/") && isPlain(path.slice(1))),
  { maxLength: MAX_PATH },
);

const mountPath: Kind<string> = {
  ...containerPath,
  rule: `${containerPath.rule}; not / and no place of the system`,
  read(value, place, scope) {
    const path = containerPath.read(value, place, scope);
    if (path === "/" || RESERVED.test(path)) {
      throw invalid(place, mountPath.rule, { received: path });
    }
    return path;
  },
};

const relativePath = text("a relative path, without colons and without . and .. in it", isPlain, {
  maxLength: MAX_PATH,
});

const emptyDir: Kind<{ medium?: "Memory"; size_limit?: string }> = (() => {
  const parts = mapping({
    medium: { kind: oneOf("Memory"), description: "`Memory` keeps it in memory." },
    size_limit: { kind: bytes, description: "The most it may hold; more ends the pod." },
  });
  return {
    ...parts,
    words: "`true` or mapping",
    rule: `true, or ${parts.rule}`,
    schema: { anyOf: [{ type: "boolean", enum: [true] }, parts.schema] },
    read(value, place, scope) {
      return value === true ? {} : isMapping(value) ? parts.read(value, place, scope) : (() => {
        throw invalid(place, emptyDir.rule, { received: value });
      })();
    },
  };
})();

const hostPath: Kind<string> = {
  ...containerPath,
  rule: `${containerPath.rule}; only where the operator allows it (--allow-host-path)`,
  read(value, place, scope) {
    if (!scope.settings.allowHostPath) {
      throw refused(
        place,
        "directories of nodes are not allowed by the operator of this worker",
        "Use claim or empty_dir, or ask the operator for --allow-host-path.",
      );
    }
    return containerPath.read(value, place, scope);
  },
};

const files = listOf(
  mapping({
    key: {
      kind: text("a key: letters, digits, dots, dashes and underscores", isDataKey),
      description: "Entry of the secret or config map.",
      required: true,
    },
    path: { kind: relativePath, description: "Its file below `mount_path`.", required: true },
  }),
  MAX_ITEMS,
);

const entry = mapping({
  name: {
    kind: text("at most 63 of a to z, digits and -", isDnsLabel),
    description: "Name in the pod. Default: `volume-1`, `volume-2`, …",
  },
  mount_path: { kind: mountPath, description: "Where the container sees it.", required: true },
  claim: { kind: granted("allowedClaims"), description: "A persistent volume claim." },
  config_map: { kind: granted("allowedConfigMaps"), description: "A config map, as files." },
  secret: { kind: granted("allowedSecrets"), description: "A secret, as files." },
  empty_dir: { kind: emptyDir, description: "A directory of the pod's own, which goes with it." },
  host_path: { kind: hostPath, description: "A directory of the node." },
  size_limit: { kind: bytes, description: "Of `empty_dir`: the most it may hold." },
  read_only: { kind: flag, description: "Whether it cannot be written." },
  sub_path: { kind: relativePath, description: "Only this part of the volume." },
  // Not `items`, as Kubernetes has it: Hypha's server cannot keep a mapping in which something is called that.
  files: {
    kind: files,
    description: "Of `secret` and `config_map`: only these entries, `{key, path}`.",
  },
});

const SOURCES = ["claim", "config_map", "secret", "empty_dir", "host_path"] as const;

type Entry = PartsOf<NonNullable<typeof entry.parts>> & Record<string, unknown>;

/** A volume and where it is seen. */
export interface MountedVolume {
  readonly volume: Volume;
  readonly mount: VolumeMount;
}

/** An `emptyDir` that the operator's ceilings hold for. Throws `permission_denied` above them. */
export function emptyDirOf(
  asked: { medium?: "Memory"; size_limit?: string },
  ceilings: Amounts,
  place: Place,
): NonNullable<Volume["emptyDir"]> {
  const resource = asked.medium === "Memory" ? "memory" : "ephemeral-storage";
  const ceiling = Object.hasOwn(ceilings, resource) ? ceilings[resource] : undefined;
  const wanted = asked.size_limit;
  if (
    wanted !== undefined && ceiling !== undefined &&
    quantityValue(wanted)! > quantityValue(ceiling)!
  ) {
    throw refused(
      below(place, "size_limit"),
      `${wanted} is more than the ${ceiling} that the operator allows`,
      `Ask for at most ${ceiling}.`,
    );
  }
  const sizeLimit = wanted ?? ceiling;
  return {
    ...(asked.medium === undefined ? {} : { medium: asked.medium }),
    ...(sizeLimit === undefined ? {} : { sizeLimit }),
  };
}

function volumeOf(read: Entry, name: string, place: Place, scope: Scope): MountedVolume {
  const given = SOURCES.filter((source) => read[source] !== undefined);
  const [source] = given;
  if (source === undefined || given.length > 1) {
    throw invalid(place, `a mapping with exactly one of ${SOURCES.join(", ")}`);
  }
  if (read.files !== undefined && source !== "secret" && source !== "config_map") {
    throw misplaced(below(place, "files"), "is only for secret and config_map", "Use sub_path.");
  }
  if (read.size_limit !== undefined && source !== "empty_dir") {
    throw misplaced(below(place, "size_limit"), "is only for empty_dir", "Leave it out.");
  }
  const { claim, config_map, secret, host_path } = read as {
    claim: string;
    config_map: string;
    secret: string;
    host_path: string;
  };
  const listed = read.files as { key: string; path: string }[] | undefined;
  const chosen = listed === undefined ? {} : { items: listed };
  const readOnly = read.read_only === true;
  const volume: Volume = { name };
  switch (source) {
    case "claim":
      volume.persistentVolumeClaim = { claimName: claim, ...(readOnly ? { readOnly } : {}) };
      break;
    case "config_map":
      volume.configMap = { name: config_map, ...chosen };
      break;
    case "secret":
      volume.secret = { secretName: secret, ...chosen };
      break;
    case "host_path":
      volume.hostPath = { path: host_path };
      break;
    case "empty_dir": {
      const asked = read.empty_dir as { medium?: "Memory"; size_limit?: string };
      const limit = read.size_limit as string | undefined;
      volume.emptyDir = emptyDirOf(
        limit === undefined ? asked : { ...asked, size_limit: limit },
        scope.settings.maxResources,
        place,
      );
    }
  }
  return {
    volume,
    mount: {
      name,
      mountPath: read.mount_path as string,
      ...(readOnly ? { readOnly } : {}),
      ...(read.sub_path === undefined ? {} : { subPath: read.sub_path as string }),
    },
  };
}

const list = listOf(entry, MAX_VOLUMES);

/** The `volumes` of a manifest. */
export const volumes: Kind<MountedVolume[]> = {
  ...list,
  read(value, place, scope) {
    const names = new Set<string>();
    const paths = new Set<string>();
    return (list.read(value, place, scope) as Entry[]).map((read, index) => {
      const at = below(place, index);
      const name = read.name as string | undefined ?? `volume-${index + 1}`;
      if (names.has(name)) {
        throw invalid(below(at, "name"), "another for each volume", { received: name });
      }
      const path = read.mount_path as string;
      if (paths.has(path)) {
        throw invalid(below(at, "mount_path"), "another for each volume", { received: path });
      }
      names.add(name);
      paths.add(path);
      return volumeOf(read, name, at, scope);
    });
  },
};

/** Where a conda worker keeps its environments. */
export const cache: Kind<
  { claim?: string; empty_dir?: { medium?: "Memory"; size_limit?: string }; sub_path?: string }
> = (() => {
  const parts = mapping({
    claim: { kind: granted("allowedClaims"), description: "A persistent volume claim." },
    empty_dir: { kind: emptyDir, description: "A directory of the pod's own, which goes with it." },
    sub_path: { kind: relativePath, description: "Of `claim`: only this part of the volume." },
  });
  return {
    ...parts,
    read(value, place, scope) {
      const read = parts.read(value, place, scope);
      if ((read.claim === undefined) === (read.empty_dir === undefined)) {
        throw invalid(place, "a mapping with either claim or empty_dir");
      }
      return read;
    },
  };
})();
