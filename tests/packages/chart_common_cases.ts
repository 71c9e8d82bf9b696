/** Values that both charts are rendered with, and what must come of them. */
import { assertEquals } from "@std/assert";
import { type Values, workload } from "./chart.ts";
import { pod } from "./chart_checks.ts";
import type { Manifest } from "./schema.ts";

/** Values that work. */
export interface Case {
  readonly name: string;
  readonly values: Values;
  readonly check?: (manifests: readonly Manifest[]) => void;
}

/** What is made, in order. */
export const kinds = (manifests: readonly Manifest[]): string[] =>
  manifests.map((one) => one.kind).sort();

/** A volume of the pod. */
export const volume = (manifests: readonly Manifest[], name: string) =>
  pod(manifests).spec.volumes.find((one: { name: string }) => one.name === name);

/** An image that is named by its digest. */
export const DIGEST_IMAGE = `registry.example.org:5000/a/b@sha256:${"0a".repeat(32)}`;

/** Values that work with both charts. */
export const COMMON_CASES: readonly Case[] = [
  {
    name: "ids of the platform's choice",
    values: { podSecurityContext: { runAsUser: null, fsGroup: null } },
    check: (manifests) => {
      const context = pod(manifests).spec.securityContext;
      assertEquals(["runAsUser" in context, "fsGroup" in context, context.runAsNonRoot], [
        false,
        false,
        true,
      ]);
    },
  },
  {
    name: "an image by its digest",
    values: {
      image: { repository: "registry.example.org:5000/a/b", digest: `sha256:${"0a".repeat(32)}` },
      imagePullSecrets: [{ name: "registry" }],
    },
    check: (manifests) => {
      const { spec, container } = pod(manifests);
      assertEquals([container.image, spec.imagePullSecrets], [DIGEST_IMAGE, [{
        name: "registry",
      }]]);
    },
  },
  {
    name: "long names",
    values: { nameOverride: "n".repeat(80), fullnameOverride: `${"f".repeat(51)}-x` },
    check: (manifests) => assertEquals(workload(manifests).metadata.name, "f".repeat(51)),
  },
  {
    name: "no probes and no limits",
    values: { startupProbe: null, livenessProbe: null, readinessProbe: null, resources: null },
    check: (manifests) => {
      const { container } = pod(manifests);
      for (const name of ["startupProbe", "livenessProbe", "readinessProbe", "resources"]) {
        assertEquals(container[name], undefined, name);
      }
    },
  },
];
