/** Nothing hostile passes: manifests made up by chance become harmless objects, or a clear error. */
import { assert } from "@std/assert";
import { buildJob } from "../../../lib/kubernetes/jobs/build.ts";
import { WorkerError } from "../../../lib/errors.ts";
import { assertHarmless } from "./harmless.ts";
import { randomManifest, randomNumbers } from "./manifests.ts";
import { request, settings } from "./support.ts";

const COUNT = 3000;

Deno.test(`${COUNT} manifests become harmless objects or are refused in words`, () => {
  const random = randomNumbers(20_260_101);
  const operator = settings({
    allowedSecrets: ["tenant-*"],
    allowedConfigMaps: ["tenant-*"],
    allowedClaims: ["tenant-*"],
    allowedServiceAccounts: ["tenant-*"],
    trustedWorkspaces: ["ws-tenant"],
    maxResources: { cpu: "16", memory: "64Gi", "nvidia.com/gpu": "4" },
  });
  const wide = settings({
    allowedSecrets: ["*"],
    allowedConfigMaps: ["*"],
    allowedClaims: ["*"],
    allowedServiceAccounts: ["*"],
    trustedWorkspaces: ["ws-tenant"],
  });
  const passed = new Map<string, number>();
  let refused = 0;
  for (let i = 0; i < COUNT; i++) {
    const manifest = randomManifest(random);
    const asked = request(manifest);
    const rules = i % 3 === 0 ? wide : operator;
    try {
      const built = buildJob(asked, rules);
      assertHarmless(built, asked, rules);
      passed.set(built.type, (passed.get(built.type) ?? 0) + 1);
    } catch (error) {
      const seen = JSON.stringify(manifest).slice(0, 1000);
      assert(error instanceof WorkerError, `${seen}: ${error}`);
      assert(["invalid_argument", "permission_denied"].includes(error.code), seen);
      assert(error.message.length < 900 && error.suggestion.length > 5, seen);
      refused++;
    }
  }
  // The check would mean nothing if next to nothing passed, or everything.
  for (const type of ["k8s-job", "claude-agent", "conda-worker"]) {
    assert((passed.get(type) ?? 0) > COUNT / 15, `${type}: ${passed.get(type)}`);
  }
  assert(refused > COUNT / 5, `${refused}`);
});

Deno.test("the check of harmlessness sees what an operator allows", () => {
  const allowed = settings({
    allowPrivileged: true,
    allowHostPath: true,
    allowHostNetwork: true,
    allowedSecrets: ["hypha-secrets"],
  });
  for (
    const fields of [
      { privileged: true },
      { host_network: true },
      { volumes: [{ mount_path: "/a", host_path: "/" }] },
      { env: { A: { secret: "hypha-secrets", key: "k" } } },
    ]
  ) {
    const asked = request({ image: "a:1", ...fields });
    const built = buildJob(asked, allowed);
    let harmless = true;
    try {
      assertHarmless(built, asked, allowed);
    } catch {
      harmless = false;
    }
    assert(!harmless, JSON.stringify(fields));
  }
});
