import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { ErrorCode } from "../../lib/errors.ts";
import { createError, pipError, redactOutput } from "../../lib/managers/errors.ts";
import { transcript } from "./transcript.ts";

const FAILURES: [name: string, code: ErrorCode, reason: string][] = [
  ["mamba-2.8.1/unknown-package", "package_not_found", "└─ nosuchpkg =* * does not exist"],
  ["micromamba-1.5.12/unknown-package", "package_not_found", "└─ nosuchpkg does not exist"],
  ["conda-26.7/unknown-package", "package_not_found", "- no-such-package-xyz"],
  ["conda-26.7/conflict", "package_not_found", "- python=3.12"],
  [
    "micromamba-1.5.12/no-pip-in-channel",
    "package_not_found",
    "│     └─ pip, which does not exist",
  ],
  ["mamba-2.8.1/bad-channel", "channel_unavailable", "no-such-channel/noarch/repodata.json"],
  ["micromamba-1.5.12/bad-channel", "channel_unavailable", "no-such-channel/noarch"],
  ["conda-26.7/bad-channel", "channel_unavailable", "The channel is not accessible or is invalid"],
  ["mamba-2.8.1/bad-channel-http", "network", "Couldn't connect to server"],
  ["mamba-2.8.1/disk-full", "disk_full", "while linking package 'numpy'"],
  ["micromamba-1.5.12/disk-full-cache", "disk_full", "No space left on device"],
  ["mamba-2.8.1/corrupted-package", "package_cache", "SHA256 doesn't match expectation"],
  ["micromamba-1.5.12/corrupted-package", "package_cache", "Found incorrect download: numpy"],
  ["micromamba-1.5.12/two-at-once-a", "package_cache", "numpy"],
  ["mamba-2.8.1/no-write-prefix", "cache_not_writable", "Permission denied"],
  ["conda-26.7/sigint-early", "environment_failed", "Signal interrupt"],
];

for (const [name, code, reason] of FAILURES) {
  Deno.test(`the failure ${name} is ${code} and says why`, async () => {
    const error = createError("mamba", await transcript(name));
    assertEquals(error.code, code);
    assert(error.message.startsWith("Cannot create the environment with mamba: "));
    assertStringIncludes(error.message, reason);
    // What the managers advise is not the reason, and would send people to the wrong place.
    for (const noise of ["github.com", "mamba clean", "anaconda.org", "conda config"]) {
      assert(!error.message.includes(noise), `${noise} in ${error.message}`);
    }
    assert((error.context.tail as string[]).length <= 40);
  });
}

Deno.test("a solver conflict without a missing package is solver_conflict", () => {
  const stderr = [
    "error    libmamba Could not solve for environment specs",
    "    The following packages are incompatible",
    "    ├─ toy-a >=2 * is requested and can be installed;",
    "    └─ toy-conflict =* * is not installable because it requires",
    "       └─ toy-a <2 *, which conflicts with any installable versions previously reported.",
    "critical libmamba Could not solve for environment specs",
  ];
  const error = createError("mamba", {
    code: 1,
    cancelled: false,
    stdout: [],
    stderr,
    tail: stderr,
  });
  assertEquals(error.code, "solver_conflict");
  assertEquals(
    error.message,
    [
      "Cannot create the environment with mamba: Could not solve for environment specs",
      "The following packages are incompatible",
      "├─ toy-a >=2 * is requested and can be installed;",
      "└─ toy-conflict =* * is not installable because it requires",
      "   └─ toy-a <2 *, which conflicts with any installable versions previously reported.",
    ].join("\n"),
  );
});

Deno.test("a failure without any words names the exit code", () => {
  const error = createError("conda", {
    code: 137,
    cancelled: false,
    stdout: [],
    stderr: [],
    tail: [],
  });
  assertEquals(error.code, "environment_failed");
  assertStringIncludes(error.message, "it ended with exit code 137");
});

Deno.test("a pip failure says what pip said", async () => {
  const error = pipError("conda", await transcript("conda-26.7/yaml-pip-fails"));
  assertEquals(error.code, "pip_failed");
  assertStringIncludes(
    error.message,
    "Cannot install the pip requirements: Could not find a version that satisfies the requirement",
  );
});

Deno.test("passwords and tokens in URLs are removed from output", () => {
  assertEquals(
    redactOutput("GET https://user:pass@host/x and http://host/t/ab-12/noarch failed"),
    "GET https://***@host/x and http://host/t/***/noarch failed",
  );
});
