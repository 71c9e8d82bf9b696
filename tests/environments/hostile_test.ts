/**
 * Specs made to do harm: thousands of manifests put together from what has broken other programs, each with a
 * field or two of its own. Whatever comes out must be harmless, and whatever is refused must be refused as such.
 */
import { assert, assertEquals } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { environmentKey } from "../../lib/environments/key.ts";
import { checkSpec, NOTHING_LOCAL } from "../../lib/environments/policy.ts";
import { type EnvironmentSpec, packageNames, parseSpec } from "../../lib/environments/spec.ts";
import { specFiles } from "../../lib/environments/spec_files.ts";

const ROUNDS = 6000;

/** Pieces that entries are made of. */
const PIECES = [
  ..."numpy|python|pip|torch|conda-forge|six|https://example.org/a|git+https://example.org/a/b"
    .split("|"),
  ..."=1.2|>=1,<2|==1.*|[extra]|[version='>1']|::|;| ; os_name == 'x'| @ |#sha256:|@EXPLICIT".split(
    "|",
  ),
  ..."-r|-e|--target|--prefix=|-c|--index-url|--pre|-|--|-p /etc|--file=".split("|"),
  ..."/etc/passwd|../..|~/|./x|file:///etc|file://|C:\\|.conda|.tar.bz2|.whl".split("|"),
  ..."$(id)|`id`|${HOME}|$HOME|&& id|; rm -rf /|> /x|'|\"|\\".split("|"),
  "||",
  ..."user:secret@|https://u:p@example.org|/t/token-1/".split("|"),
  ..."__proto__|constructor|toString|hasOwnProperty".split("|"),
  ..."*|?|{a,b}|[[|]]|{{|}}|%00|%2e%2e%2f|%s|!!js|&a|*a|<<".split("|"),
  "\n",
  "\r",
  "\0",
  "\t",
  " ",
  "  ",
  "\u202e",
  "\u200b",
  "\ufeff",
  "\u2028",
  "\ud800",
  "é",
  "İ",
  "ſ",
  "𝟏",
  "x".repeat(1200),
];

const FIELDS = [
  ..."channels|dependencies|dependency|conda|environment|environment_yml|environment_file".split(
    "|",
  ),
  ..."lock|explicit|variables|channel_priority|__proto__|constructor|name|prefix|pip".split("|"),
];

/** Numbers that are the same for the same seed (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

class Generator {
  readonly #random: (below: number) => number;

  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random(list.length)]!;
  }

  text(): string {
    return Array.from({ length: 1 + this.#random(4) }, () => this.#pick(PIECES)).join(
      this.#pick(["", "", " "]),
    );
  }

  value(depth: number): unknown {
    const kind = this.#random(depth > 3 ? 4 : 10);
    if (kind < 3) return this.text();
    if (kind === 3) return this.#pick([null, true, 3.1, -1, NaN, "", undefined, 10n ** 20n]);
    if (kind < 8) return Array.from({ length: this.#random(4) }, () => this.value(depth + 1));
    return this.object(depth + 1);
  }

  object(depth: number): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    for (let count = 1 + this.#random(3); count > 0; count--) {
      const name = this.#random(4) === 0 ? this.text() : this.#pick(FIELDS);
      // As JSON.parse does it: an assignment to __proto__ would not make a field.
      Object.defineProperty(result, name, {
        value: this.value(depth),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return result;
  }
}

/** Fails when a spec could do harm as arguments, lines of a file, paths or URLs. */
function assertHarmless(spec: EnvironmentSpec): void {
  const argumentsOf = [...spec.channels, ...spec.packages, ...spec.explicit ?? [], ...spec.pip];
  for (const text of argumentsOf) {
    assert(!/^\s*-/.test(text), `an option: ${text}`);
    assert(!/\s-/.test(text), `an option inside: ${text}`);
    assert(!/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u.test(text), `invisible: ${text}`);
    assert(!/[`$\\{}]/.test(text), `for a shell: ${text}`);
    assert(!/\/\/[^/]*:[^/]*@/.test(text), `a password: ${text}`);
    assert(!/^(?:\.|~|\/)/.test(text), `a path: ${text}`);
    assert(!/(?:^|[\s@+'=])file:/i.test(text), `a file in spite of the policy: ${text}`);
    assert(text.length <= 1100, "longer than what was given");
  }
  for (const text of spec.pip) assert(!/(?:^|\s)[.~/]/.test(text), `a path: ${text}`);
  const options = spec.pipOptions ?? [];
  const values = [
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--only-binary",
    "--no-binary",
  ];
  const flags = ["--pre", "--no-deps", "--prefer-binary", "--no-index"];
  for (let index = 0; index < options.length; index++) {
    if (flags.includes(options[index]!)) continue;
    assert(values.includes(options[index]!), `an option: ${options[index]}`);
    assert(/^(?:https?:\/\/|:|[a-z0-9])/.test(options[++index] ?? ""), options.join(" "));
  }
  for (const name of Object.keys(spec.variables ?? {})) assert(/^[A-Za-z_]\w*$/.test(name), name);
  assertEquals(spec.existing, undefined);
  for (const name of packageNames(spec)) assert(/^[a-z0-9_][a-z0-9_.-]*$/.test(name), name);
}

Deno.test("no hostile manifest crashes the reader, and none that is read can do harm", async () => {
  const seed = Number(
    Deno.env.get("HOSTILE_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0],
  );
  const generator = new Generator(seed);
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // Every third has one entry only, so that many are near to being good.
    const manifest = round % 3 === 0
      ? { dependencies: [generator.text(), { pip: [generator.text()] }] }
      : round % 3 === 1
      ? { channels: [generator.text()], dependencies: [generator.text()] }
      : generator.object(0);
    try {
      const spec = parseSpec(manifest);
      for (const path of Object.values(specFiles(manifest) ?? {})) {
        assert(!/^[-/~]|\.\.(?:\/|$)|[\\\0]/.test(path), `a path outside: ${path}`);
      }
      checkSpec(spec, NOTHING_LOCAL);
      assertHarmless(spec);
      await environmentKey(spec, { family: "libmamba", root: "/cache/envs" });
      accepted++;
    } catch (error) {
      const code = error instanceof WorkerError ? error.code : undefined;
      const label = `HOSTILE_SEED=${seed}, round ${round}: ${error}`;
      assert(code === "invalid_spec" || code === "permission_denied", label);
      const { message } = error as WorkerError;
      assert(message.length < 2500, label);
      assert(!/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u.test(message), label);
      assert(!/u:p@|user:secret/.test(message), label);
    }
  }
  // A reader that refuses everything would pass all of the above.
  assert(
    accepted > ROUNDS / 100,
    `HOSTILE_SEED=${seed}: only ${accepted} of ${ROUNDS} were accepted`,
  );
  assertEquals(({} as Record<string, unknown>).channels, undefined);
});

Deno.test("hostile texts of files are refused as such", () => {
  const seed = Number(
    Deno.env.get("HOSTILE_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0],
  );
  const generator = new Generator(seed);
  for (let round = 0; round < 1500; round++) {
    const text = Array.from({ length: 5 }, () => generator.text()).join("\n");
    const files = { environment: { path: "e.yml", text }, lock: { path: "l.txt", text } };
    for (const manifest of [{ environment_file: "e.yml" }, { lock: "l.txt" }]) {
      try {
        const { environment, lock } = files;
        const given = "lock" in manifest ? { lock } : { environment };
        checkSpec(parseSpec(manifest, { files: given }), NOTHING_LOCAL);
      } catch (error) {
        const label = `HOSTILE_SEED=${seed}, round ${round}: ${error}`;
        assert(error instanceof WorkerError, label);
        assert(error.code === "invalid_spec" || error.code === "permission_denied", label);
      }
    }
  }
});
