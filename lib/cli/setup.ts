/** `setup`: fetches micromamba into a directory of the user's, after it has said so and was told to. */
import { dirname, join } from "@std/path";
import { messageOf, WorkerError } from "../errors.ts";
import { redact } from "../log.ts";
import { sha256Of } from "../sha256.ts";
import { PROGRAM } from "../version.ts";
import { type CommandContext, interruptible } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { absolutePath } from "./home_path.ts";
import {
  knownSha256,
  MICROMAMBA_RELEASE,
  micromambaPlatform,
  programUrl,
  RELEASES_URL,
} from "./micromamba_release.ts";
import { type ParsedOptions, readOptions, usage } from "./option.ts";
import { fetchProgram, fetchSha256, isSha256 } from "./setup_download.ts";
import { SETUP_OPTIONS } from "./setup_options.ts";
import {
  defaultPrefix,
  isOnPath,
  MICROMAMBA,
  micromambaOnPath,
  pathLine,
  shellFile,
} from "./setup_place.ts";
import { size } from "./tables.ts";
import { ProgressLine } from "./terminal.ts";

/** What is to be fetched, and where it goes. */
interface Plan {
  readonly release: string;
  readonly platform: string;
  readonly url: URL;
  /** Absolute path. */
  readonly target: string;
  /** The hash, when nobody has to be asked for it. */
  readonly sha256: string | undefined;
  readonly force: boolean;
}

/** Runs the command. Returns the exit code: 1 when it was told not to, 130 or 143 when it was interrupted. */
export async function setup(args: readonly string[], context: CommandContext): Promise<number> {
  const options = readOptions(SETUP_OPTIONS, args, context.environment);
  const [unexpected] = [...options.rest, ...options.passed];
  if (unexpected !== undefined) throw usage(`Unexpected argument ${unexpected}`);
  const plan = readPlan(options, context);
  const yes = options.values.yes === true;
  return await interruptible(context, (signal) => carryOut(plan, yes, context, signal));
}

function readPlan({ values }: ParsedOptions, { environment }: CommandContext): Plan {
  const text = (name: string) => values[name] as string | undefined;
  const platform = micromambaPlatform(Deno.build.os, Deno.build.arch);
  if (platform === undefined) {
    throw new WorkerError(
      "setup_failed",
      `Cannot fetch micromamba: there is none for ${Deno.build.target}`,
      { suggestion: "Install micromamba, mamba or conda another way, and put it on PATH." },
    );
  }
  const release = text("release") ?? MICROMAMBA_RELEASE;
  if (!/^\d[\w.+-]*$/.test(release)) {
    throw usage(`--release must be a version such as ${MICROMAMBA_RELEASE}, received ${release}`);
  }
  const given = text("sha256");
  if (given !== undefined && !isSha256(given)) {
    throw usage("--sha256 must be 64 hexadecimal digits");
  }
  const base = text("url") ?? RELEASES_URL;
  if (!/^https?:\/\//.test(base) || !URL.canParse(base)) {
    throw usage(`--url must be an http or https address, received ${base}`);
  }
  const prefix = text("prefix");
  return {
    release,
    platform,
    url: programUrl(base, release, platform),
    target: join(
      prefix === undefined ? defaultPrefix(environment) : absolutePath(prefix, environment),
      MICROMAMBA,
    ),
    sha256: given?.toLowerCase() ?? knownSha256(release, platform),
    force: values.force === true,
  };
}

async function carryOut(
  plan: Plan,
  yes: boolean,
  context: CommandContext,
  signal: AbortSignal,
): Promise<number> {
  const { release, target, url } = plan;
  const print = (text: string) => context.print(redact(text));
  const there = await existing(target);
  if (there !== undefined && there === plan.sha256) {
    print(`micromamba ${release} is there already: ${target}`);
    print(await advice(target, context));
    return EXIT.ok;
  }
  // Whether it is another one is known only when the hash is.
  if (there !== undefined && (plan.force || plan.sha256 !== undefined)) {
    await checkReplaceable(plan, there);
  }
  print(describe(plan, there));
  if (!yes && !await agreed(context, signal)) {
    print("Nothing was fetched.");
    return EXIT.failure;
  }
  const hashUrl = new URL(url);
  hashUrl.pathname += ".sha256";
  const sha256 = plan.sha256 ?? await fetchSha256(hashUrl, signal);
  if (there === sha256) {
    print(`micromamba ${release} is there already: ${target}`);
    print(await advice(target, context));
    return EXIT.ok;
  }
  if (there !== undefined) await checkReplaceable(plan, there);
  const line = new ProgressLine(context);
  let bytes: number;
  try {
    bytes = await fetchProgram({
      url,
      target,
      sha256,
      signal,
      onProgress: (progress) => line.show(progress),
    });
  } finally {
    line.clear();
  }
  print(`Installed micromamba ${release}: ${target} (${size(bytes)}, SHA-256 ${sha256})`);
  print(await advice(target, context));
  return EXIT.ok;
}

/** SHA-256 of what is at the path; `undefined` when nothing is there. */
async function existing(target: string): Promise<string | undefined> {
  try {
    return await sha256Of(target);
  } catch (error) {
    // A part of the path that is no directory is told of when it is to be made.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw new WorkerError("setup_failed", `Cannot use ${target}: ${messageOf(error)}`, {
      suggestion: "Remove it, or choose another directory with --prefix.",
    });
  }
}

/** Throws when what is there must stay: nobody asked to replace it, or this program may not. */
async function checkReplaceable({ target, force }: Plan, there: string): Promise<void> {
  if (!force) {
    throw new WorkerError(
      "setup_failed",
      `Cannot put micromamba into ${dirname(target)}: another one is there, with SHA-256 ${there}`,
      { suggestion: "Replace it with --force, or choose another directory with --prefix." },
    );
  }
  const { state } = await Deno.permissions.query({ name: "write", path: target });
  if (state !== "granted") {
    throw new WorkerError(
      "setup_failed",
      `Cannot replace ${target}: what this program may start it may not change`,
      { suggestion: `Remove it first: rm ${target}` },
    );
  }
}

function describe(plan: Plan, there: string | undefined): string {
  const { release, platform, url, target, sha256, force } = plan;
  const instead = force ? "and replaces what is there" : "unless it is there already";
  const known = sha256 === undefined
    ? `asked of ${url.host} (${
      url.pathname.split("/").at(-1)
    }.sha256), which guards against damage only`
    : sha256 === knownSha256(release, platform)
    ? `${sha256}, known to this program`
    : `${sha256}, as given`;
  return `This fetches micromamba ${release} for ${platform}
  from     ${url.href}
  to       ${target}${there === undefined ? "" : ` (${instead})`}
  SHA-256  ${known}`;
}

/** Whether somebody agrees. Throws `usage` when there is nobody to ask. */
async function agreed({ ask }: CommandContext, signal: AbortSignal): Promise<boolean> {
  if (ask === undefined) {
    throw usage(
      "setup fetches nothing unasked, and there is nobody to ask here: give --yes to go on",
    );
  }
  return /^\s*y(es)?\s*$/i.test(await ask("Go on? [y/N]", signal) ?? "");
}

/** How workers come to find the program. */
async function advice(target: string, { environment }: CommandContext): Promise<string> {
  const directory = dirname(target);
  if (!await isOnPath(directory, environment)) {
    return `Workers look for it on PATH, where ${directory} is not. Put it there, in ${
      shellFile(environment)
    } to keep it:
  ${pathLine(directory, environment)}
Then \`${PROGRAM} doctor\` should find it.`;
  }
  const first = await micromambaOnPath(environment);
  return first !== undefined && first !== target
    ? `Another one comes first on PATH, and is the one that workers use: ${first}`
    : `Its directory is on PATH: workers find it, and \`${PROGRAM} doctor\` checks it.`;
}
