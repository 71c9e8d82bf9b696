import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { ErrorCode } from "../../lib/errors.ts";
import { createError, pipError, redactOutput, remedyOf } from "../../lib/managers/errors.ts";
import type { Remedy } from "../../lib/managers/failures.ts";
import type { Execution } from "../../lib/managers/manager.ts";
import { transcript } from "./transcript.ts";

/** Failures, what they are, a part of the reason, and what may help. */
const FAILURES: [name: string, code: ErrorCode, reason: string, remedy?: Remedy][] = [
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
  ["mamba-2.8.1/bad-channel-http", "network", "Couldn't connect to server", "again"],
  ["mamba-2.8.1/disk-full", "disk_full", "while linking package 'numpy'"],
  ["micromamba-1.5.12/disk-full-cache", "disk_full", "No space left on device"],
  ["mamba-2.8.1/corrupted-package", "package_cache", "SHA256 doesn't match expectation", "clean"],
  [
    "micromamba-1.5.12/corrupted-package",
    "package_cache",
    "Found incorrect download: numpy",
    "clean",
  ],
  ["micromamba-1.5.12/two-at-once-a", "package_cache", "numpy", "clean"],
  ["mamba-2.8.1/no-write-prefix", "cache_not_writable", "Permission denied"],
  ["conda-26.7/sigint-early", "environment_failed", "Signal interrupt"],
  ["conda-26.7/sigterm-late", "environment_failed", "Signal interrupt SIGTERM"],
  ["conda-26.7/sigkill-late", "environment_failed", "ended by signal 9", "other"],
  ["conda-26.7/unknown-flag", "manager_failed", "unrecognized arguments", "other"],
  ["mamba-2.8.1/conflict-pair", "package_not_found", "python-dateutil <3"],
  ["mamba-2.8.1/create-explicit-bad-md5", "package_cache", "MD5 doesn't match", "clean"],
  ["mamba-2.8.1/disk-full-cache", "disk_full", "No space left on device"],
  ["mamba-2.8.1/existing-directory", "environment_failed", "Non-conda folder", "restart"],
  ["mamba-2.8.1/lock-timeout", "package_cache", "LockFile can't be set", "again"],
  ["mamba-2.8.1/missing-package", "package_unavailable", "numpy-2.4.6-py_0.tar.bz2", "refresh"],
  ["mamba-2.8.1/readonly-cache-other-user", "cache_not_writable", "any writable cache directory"],
  ["mamba-2.8.1/sigint-download", "network", "Download didn't finish", "again"],
  ["mamba-2.8.1/sigkill-link", "environment_failed", "ended by signal 9", "other"],
  ["mamba-2.8.1/truncated-package", "package_cache", "file size doesn't match", "clean"],
  ["mamba-2.8.1/unknown-flag", "manager_failed", "--no-such-flag", "other"],
  ["micromamba-1.5.12/bad-channel-http", "network", "Couldn't connect to server", "again"],
  ["micromamba-1.5.12/conflict", "package_not_found", "numpy 1.20**"],
  ["micromamba-1.5.12/create-explicit-bad-md5", "package_cache", "sum doesn't match", "clean"],
  ["micromamba-1.5.12/disk-full", "disk_full", "cannot copy: Input/output error"],
  ["micromamba-1.5.12/existing-directory", "environment_failed", "Non-conda folder", "restart"],
  ["micromamba-1.5.12/missing-package", "package_unavailable", "numpy-2.4.6-py_0", "refresh"],
  ["micromamba-1.5.12/no-write-prefix", "cache_not_writable", "Permission denied"],
  ["micromamba-1.5.12/readonly-cache-other-user", "cache_not_writable", "writable cache"],
  ["micromamba-1.5.12/sigint-download", "manager_failed", "terminate called", "other"],
  ["micromamba-1.5.12/sigkill-download", "environment_failed", "ended by signal 9", "other"],
  ["micromamba-1.5.12/truncated-package", "package_cache", "file size doesn't match", "clean"],
  ["micromamba-1.5.12/two-at-once-b", "package_cache", "Found incorrect download", "clean"],
  ["micromamba-1.5.12/unknown-flag", "manager_failed", "--no-such-flag", "other"],
];

for (const [name, code, reason, remedy] of FAILURES) {
  Deno.test(`the failure ${name} is ${code} and says why`, async () => {
    const error = createError("mamba", await transcript(name));
    assertEquals([error.code, remedyOf(error)], [code, remedy]);
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

/** How a program ended that printed this on standard error. */
function ended(code: number, ...stderr: string[]): Execution {
  return { code, cancelled: false, stdout: [], stderr, tail: stderr };
}

Deno.test("a failure without any words names the exit code, or the signal", () => {
  const plain = createError("conda", ended(3));
  assertEquals([plain.code, remedyOf(plain)], ["environment_failed", undefined]);
  assertStringIncludes(plain.message, "it ended with exit code 3");
  const killed = createError("conda", ended(137));
  assertEquals([killed.code, remedyOf(killed)], ["environment_failed", "other"]);
  assertStringIncludes(killed.message, "it was ended by signal 9");
  assertStringIncludes(killed.suggestion, "memory");
  const crashed = createError("conda", ended(139));
  assertEquals([crashed.code, remedyOf(crashed)], ["manager_failed", "other"]);
});

Deno.test("a manager that does not start the program is broken, unless the disk is full", () => {
  const words = "sh: 20: cannot create /calls/1/started: ";
  for (const make of [createError, pipError]) {
    const broken = make("mamba", { ...ended(1, `${words}Bad file descriptor`), started: false });
    assertEquals([broken.code, remedyOf(broken)], ["manager_failed", "other"]);
    const full = make("mamba", { ...ended(2, `${words}No space left on device`), started: false });
    assertEquals([full.code, remedyOf(full)], ["disk_full", undefined]);
  }
});

Deno.test("success with nothing made is a failure that another manager may not have", () => {
  const error = createError("mamba", ended(0, "warning  libmamba something", "CondaError"));
  assertEquals([error.code, remedyOf(error)], ["environment_failed", "other"]);
  assertStringIncludes(error.message, "mamba reported success, but there is no environment");
  // mamba 1 keeps exit code 0 when it fails: then its words count.
  const words = "└─ nosuchpkg does not exist (perhaps a typo or a missing channel).";
  assertEquals(createError("mamba", ended(0, words)).code, "package_not_found");
});

Deno.test("failures that were not recorded are known by the words of the programs' sources", () => {
  const cases: [words: string, code: ErrorCode, remedy?: Remedy][] = [
    [
      "bash: /opt/conda/bin/conda: /gone/python: bad interpreter: Permission denied",
      "manager_failed",
      "other",
    ],
    [
      "mamba: error while loading shared libraries: libx.so: cannot open",
      "manager_failed",
      "other",
    ],
    ["mamba: /lib/libc.so.6: version `GLIBC_2.34' not found", "manager_failed", "other"],
    [
      "An unexpected error has occurred. Conda has prepared the above report.",
      "manager_failed",
      "other",
    ],
    ["LibMambaUnsatisfiableError: Encountered problems while solving:", "solver_conflict"],
    ["PackagesNotFoundError: The following packages are not available", "package_not_found"],
    [
      "CondaHTTPError: HTTP 404 NOT FOUND for url <https://x/noarch/a-1-0.conda>",
      "package_unavailable",
      "refresh",
    ],
    [
      "error    libmamba Failed to download package from https://x/a-1-0.conda (status 404)",
      "package_unavailable",
      "refresh",
    ],
    [
      "CondaHTTPError: HTTP 401 UNAUTHORIZED for url <https://x/noarch/repodata.json>",
      "channel_unavailable",
    ],
    [
      "Transfer finalized, status: 403 [https://x/noarch/repodata.json] 9 bytes",
      "channel_unavailable",
    ],
    [
      "CondaHTTPError: HTTP 503 SERVICE UNAVAILABLE for url <https://x/repodata.json>",
      "network",
      "again",
    ],
    [
      "Transfer finalized, status: 502 [https://x/noarch/repodata.json] 9 bytes",
      "network",
      "again",
    ],
    [
      "CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://x/repodata.json>",
      "network",
      "again",
    ],
    ["Download error (60) SSL peer certificate was not OK [https://x]", "network"],
    ["CondaSSLError: Encountered an SSL error", "network"],
    ["NoWritablePkgsDirError: No writeable pkgs directories configured.", "cache_not_writable"],
    ["OSError: [Errno 30] Read-only file system: '/cache'", "cache_not_writable"],
    ["OSError: [Errno 122] Disk quota exceeded", "disk_full"],
    ['InvalidArchiveError("Error with archive /pkgs/a-1-0.conda.")', "package_cache", "clean"],
    [
      "SafetyError: The package for a located at /pkgs/a-1-0 appears to be corrupted.",
      "package_cache",
      "clean",
    ],
    ["LockError: Failed to acquire lock.", "package_cache", "again"],
    ["ParseError: Could not parse explicit URL: x", "invalid_spec"],
  ];
  for (const [words, code, remedy] of cases) {
    const error = createError("conda", ended(1, words));
    assertEquals([error.code, remedyOf(error)], [code, remedy], words);
  }
});

Deno.test("a warning is the reason only when there is no other", () => {
  const warning = "warning  libmamba Could not check existence for bin/python: Permission denied";
  assertEquals(createError("mamba", ended(1, warning)).code, "cache_not_writable");
  const reason = "critical libmamba Found incorrect downloads. Aborting";
  assertEquals(createError("mamba", ended(1, warning, reason)).code, "package_cache");
});

Deno.test("of conda's report only the error is the reason", () => {
  const report = [
    "# >>>>>>>>>>>>>>>>>>>>>> ERROR REPORT <<<<<<<<<<<<<<<<<<<<<<",
    "",
    "    Traceback (most recent call last):",
    '      File "conda/x.py", line 1, in f',
    "    AttributeError: no attribute 'name'",
    "",
    "`$ /opt/conda/bin/conda create`",
    "",
    "  environment variables:",
    "    SECRET_PLACE=/home/me",
    "An unexpected error has occurred. Conda has prepared the above report.",
  ];
  assertEquals(
    createError("conda", ended(1, ...report)).message,
    "Cannot create the environment with conda: AttributeError: no attribute 'name'",
  );
});

Deno.test("pip failures of the network are told from those of the requirements", () => {
  const cases: [words: string, code: ErrorCode, remedy?: Remedy][] = [
    [
      "WARNING: Retrying (Retry(total=0, connect=None, read=None)) after connection broken",
      "network",
      "again",
    ],
    [
      "WARNING: Retrying (Retry(total=4, connect=None, read=None)) after connection broken",
      "pip_failed",
    ],
    [
      "ERROR: Could not install packages due to an OSError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /y",
      "network",
      "again",
    ],
    ["ERROR: HTTP error 503 while getting https://x/y.whl", "network", "again"],
    ["ERROR: HTTP error 404 while getting https://x/y.whl", "pip_failed"],
    [
      "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] …')): Max retries exceeded with url: /y",
      "network",
    ],
    [
      "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
      "disk_full",
    ],
    ["ERROR: No matching distribution found for x", "pip_failed"],
  ];
  for (const [words, code, remedy] of cases) {
    const error = pipError("conda", ended(1, words));
    assertEquals([error.code, remedyOf(error)], [code, remedy], words);
  }
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
