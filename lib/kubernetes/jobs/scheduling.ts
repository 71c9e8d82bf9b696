/** Which nodes a job runs on, and what is written on its objects. */
import type { Toleration } from "../api/types.ts";
import {
  integer,
  type Kind,
  listOf,
  mapping,
  mappingOf,
  oneOf,
  type PartsOf,
  text,
} from "./kind.ts";
import { MARK_DOMAIN } from "./marks.ts";
import { domainOf, isKubernetesDomain, isLabelValue, isQualifiedName } from "./names.ts";
import { hasWildcard, matchesAny } from "./pattern.ts";
import { below, invalid, misplaced, refused } from "./problems.ts";

const MAX_ENTRIES = 16;
const MAX_SECONDS = 7 * 24 * 3600;
const MAX_ANNOTATIONS = 16 * 1024;

const key = text("a key such as disk or example.com/disk", isQualifiedName);
const labelValue = text(
  "at most 63 letters, digits, dots, dashes and underscores",
  isLabelValue,
);

/** The `node_selector` of a manifest. */
export const nodeSelector: Kind<[string, string][]> = {
  ...mappingOf(key, labelValue, MAX_ENTRIES),
  rule: `a mapping of at most ${MAX_ENTRIES} labels of nodes`,
};

const toleration = mapping({
  key: { kind: key, description: "Key of the taint.", required: true },
  operator: {
    kind: oneOf("Equal", "Exists"),
    description: "Default: `Equal` with a value, else `Exists`.",
  },
  value: { kind: labelValue, description: "Value of the taint." },
  effect: {
    kind: oneOf("NoSchedule", "PreferNoSchedule", "NoExecute"),
    description: "Default: all effects.",
  },
  toleration_seconds: {
    kind: integer(0, MAX_SECONDS, "seconds"),
    description: "Of `NoExecute`: how long the pod stays.",
  },
});

const tolerationList = listOf(toleration, MAX_ENTRIES);

/** The `tolerations` of a manifest. */
export const tolerations: Kind<Toleration[]> = {
  ...tolerationList,
  read(value, place, scope) {
    return tolerationList.read(value, place, scope).map((given, index) => {
      const at = below(place, index);
      const read: PartsOf<NonNullable<typeof toleration.parts>> & typeof given = given;
      const taint = read.key!;
      const { settings, workspace } = scope;
      // Nodes with a role, such as those that run Kubernetes itself, are not what a wildcard means.
      const patterns = taint.startsWith("node-role.kubernetes.io/")
        ? settings.allowedTolerations.filter((pattern) => !hasWildcard(pattern))
        : settings.allowedTolerations;
      if (!matchesAny(patterns, taint, workspace)) {
        throw refused(
          below(at, "key"),
          `the operator of this worker has not allowed ${JSON.stringify(taint)}`,
          "Ask the operator to add it to --allowed-tolerations.",
        );
      }
      const operator = read.operator ?? (read.value === undefined ? "Exists" : "Equal");
      if (operator === "Exists" && read.value !== undefined) {
        throw misplaced(
          below(at, "value"),
          "cannot be there with Exists",
          "Write operator: Equal.",
        );
      }
      if (read.toleration_seconds !== undefined && read.effect !== "NoExecute") {
        throw misplaced(
          below(at, "toleration_seconds"),
          "is only for NoExecute",
          "Write effect: NoExecute.",
        );
      }
      return {
        key: taint,
        operator,
        ...(read.value === undefined ? {} : { value: read.value }),
        ...(read.effect === undefined ? {} : { effect: read.effect }),
        ...(read.toleration_seconds === undefined
          ? {}
          : { tolerationSeconds: read.toleration_seconds }),
      };
    });
  },
};

/** Keys that mean something to Kubernetes or to this worker. */
function isTaken(name: string): boolean {
  const domain = domainOf(name);
  return isKubernetesDomain(domain) || domain === MARK_DOMAIN ||
    domain.endsWith(`.${MARK_DOMAIN}`) || name === "job-name" || name === "controller-uid";
}

const ownKey = text(
  `a key such as team or example.com/team; not of kubernetes.io, k8s.io or ${MARK_DOMAIN}`,
  (name) => isQualifiedName(name) && !isTaken(name),
);

/** The `labels` of a manifest. */
export const labels: Kind<[string, string][]> = {
  ...mappingOf(ownKey, labelValue, MAX_ENTRIES),
  rule: `a mapping of at most ${MAX_ENTRIES} texts; no key of Kubernetes or of this worker`,
};

const annotationMap = mappingOf(
  ownKey,
  text("text", () => true, { maxLength: MAX_ANNOTATIONS, multiline: true }),
  MAX_ENTRIES,
);

/** The `annotations` of a manifest. */
export const annotations: Kind<[string, string][]> = {
  ...annotationMap,
  rule:
    `a mapping of at most ${MAX_ENTRIES} texts, ${MAX_ANNOTATIONS} characters together; no key of Kubernetes or of this worker`,
  read(value, place, scope) {
    const read = annotationMap.read(value, place, scope);
    const length = read.reduce((sum, [name, content]) => sum + name.length + content.length, 0);
    if (length > MAX_ANNOTATIONS) throw invalid(place, annotations.rule);
    return read;
  },
};
