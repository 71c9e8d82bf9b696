/**
 * Every block of code of the README, of docs/ and of the examples' READMEs does what it says. `markdown.ts` says how
 * blocks are marked.
 *
 * With `DOCS=guide` only documents with that in their name are run.
 */
import { assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { type HyphaServer, startHypha } from "../stack/hypha.ts";
import { startWorker } from "../e2e/worker_process.ts";
import { stackPaths } from "../stack/stack.ts";
import { exists, markdownFiles } from "./files.ts";
import { checkData } from "./kinds.ts";
import { type Block, inlineCommands, readBlocks } from "./markdown.ts";
import { checkArguments } from "./program_options.ts";
import { managersWithChannels, Sandbox, sharedCache, type Surroundings } from "./sandbox.ts";
import { ownCalls } from "./shell_words.ts";

const { root } = stackPaths;
const documents = [
  "README.md",
  ...await markdownFiles(root, "docs"),
  ...await markdownFiles(root, "examples", true),
];
const texts = new Map(
  await Promise.all(
    documents.map(async (name) => [name, await Deno.readTextFile(join(root, name))] as const),
  ),
);

/** Languages of which there is something to check; `text`, `console` and the like are for people. */
const CHECKED = ["sh", "python", "yaml", "toml", "json"];

/** Runs a check and returns what is wrong, with its place. */
async function problemOf(
  where: string,
  check: () => unknown,
): Promise<string[]> {
  try {
    await check();
    return [];
  } catch (error) {
    return [`${where}: ${(error as Error).message}`];
  }
}

async function problems(test: (block: Block, where: string) => Promise<string[]>) {
  const found: string[] = [];
  for (const [name, text] of texts) {
    for (const block of readBlocks(name, text)) {
      found.push(...await test(block, `${name}:${block.line}`));
    }
  }
  return found;
}

Deno.test("fences have a language, and marks that mean something", async () => {
  const found: string[] = [];
  for (const [name, text] of texts) {
    found.push(
      ...await problemOf(name, () => {
        const bare = readBlocks(name, text).filter((block) => block.language === "");
        if (bare.length > 0) {
          throw new Error(`no language (text for none): lines ${bare.map((one) => one.line)}`);
        }
      }),
    );
  }
  assertEquals(found, []);
});

Deno.test("blocks of YAML, TOML and JSON are good ones of their kind", async () => {
  const found = await problems((block, where) =>
    ["yaml", "toml", "json"].includes(block.language)
      ? problemOf(where, () => checkData(block))
      : Promise.resolve([])
  );
  assertEquals(found, []);
});

Deno.test("commands of the program, in blocks and in backquotes, have options that there are", async () => {
  const found = await problems(async (block, where) => {
    if (block.language !== "sh") return [];
    const wrong: string[] = [];
    for (const args of ownCalls(block.text)) {
      wrong.push(...await problemOf(`${where} (${args.join(" ")})`, () => checkArguments(args)));
    }
    return wrong;
  });
  for (const [name, text] of texts) {
    for (const { line, text: command } of inlineCommands(text)) {
      // "env list|create" and "run [script]" are names of several things.
      if (/[|[<…]/.test(command)) continue;
      for (const args of ownCalls(command)) {
        found.push(...await problemOf(`${name}:${line} (${command})`, () => checkArguments(args)));
      }
    }
  }
  assertEquals(found, []);
});

Deno.test("shell blocks are good shell", async () => {
  const found = await problems(async (block, where) => {
    if (block.language !== "sh") return [];
    const child = new Deno.Command("bash", {
      args: ["-n", "-c", block.text],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    });
    const { success, stderr } = await child.output();
    return success ? [] : [`${where}: ${new TextDecoder().decode(stderr)}`];
  });
  assertEquals(found, []);
});

Deno.test("Python blocks are good Python", async () => {
  const blocks: { code: string; line: number; where: string }[] = [];
  await problems((block, where) => {
    // Magics are no Python; a session has to understand them.
    if (block.language === "python" && !block.session) {
      blocks.push({ code: block.text, line: block.line, where });
    }
    return Promise.resolve([]);
  });
  const child = new Deno.Command(stackPaths.hyphaPython, {
    args: [join(root, "tests", "docs", "syntax.py")],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(blocks)));
  await writer.close();
  const { stdout } = await child.output();
  const answers = JSON.parse(new TextDecoder().decode(stdout)) as (string | null)[];
  assertEquals(answers.length, blocks.length);
  const found = answers.flatMap((answer, at) =>
    answer === null ? [] : [`${blocks[at]!.where}: ${answer}`]
  );
  assertEquals(found, []);
});

/** What headings are called in links, as GitHub makes it. */
function anchorsOf(text: string): Set<string> {
  const outside = text.replace(/^(\s*)(`{3,}|~{3,})[\s\S]*?^\1\2\s*$/gm, "");
  return new Set(
    [...outside.matchAll(/^#{1,6}\s+(.*)$/gm)].map((match) =>
      match[1]!.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(" ", "-")
    ),
  );
}

Deno.test("links lead to documents and headings that there are", async () => {
  const found: string[] = [];
  for (const [name, text] of texts) {
    for (const [, target] of text.matchAll(/\]\((?!\w+:)([^)\s]+)\)/g)) {
      const [path = "", anchor] = target!.split("#", 2);
      const file = path === "" ? name : join(dirname(name), path);
      if (!await exists(join(root, file))) found.push(`${name}: ${target}`);
      else if (anchor !== undefined && file.endsWith(".md")) {
        const other = texts.get(file) ?? await Deno.readTextFile(join(root, file));
        if (!anchorsOf(other).has(anchor)) found.push(`${name}: ${target}`);
      }
    }
  }
  assertEquals(found, []);
});

/** A worker for the blocks, beside those that documents start themselves. */
async function surroundings(
  server: HyphaServer,
  directory: string,
): Promise<{ around: Surroundings; worker: AsyncDisposable }> {
  const user = "user-1";
  const managers = await managersWithChannels(join(directory, "managers"));
  const worker = await startWorker(server, {
    user,
    managers,
    cacheDir: sharedCache,
    args: ["--client-id=docs-client", "--max-environments=100"],
  });
  return {
    worker,
    around: {
      server,
      user,
      token: await server.userToken({ user }),
      workerId: `${server.workspaceOf(user)}/docs-client:conda-worker`,
      managers,
      cacheDir: sharedCache,
    },
  };
}

/** A document that starts a worker gets a workspace of its own: others would come upon its worker. */
async function surroundingsOf(
  blocks: readonly Block[],
  around: Surroundings,
): Promise<Surroundings> {
  if (blocks.every((block) => block.background === undefined)) return around;
  const user = `reader-${crypto.randomUUID().slice(0, 8)}`;
  const token = await around.server.userToken({ user });
  return { ...around, user, token, workerId: undefined };
}

/** Documents run side by side; most of the time they wait for other processes. */
const AT_ONCE = 3;

Deno.test("the blocks of all documents run, in their order", async () => {
  const wanted = Deno.env.get("DOCS") ?? "";
  const chosen = documents.filter((name) => name.includes(wanted)).map((name) => ({
    name,
    blocks: readBlocks(name, texts.get(name)!).filter((block) =>
      block.noRun === undefined &&
      (block.file !== undefined || ["sh", "python"].includes(block.language))
    ),
  })).filter(({ blocks }) => blocks.length > 0);
  const directory = await Deno.makeTempDir({ prefix: "docs-all-" });
  const failed: string[] = [];
  try {
    await using server = await startHypha();
    const { around, worker } = await surroundings(server, directory);
    await using _worker = worker;
    const waiting = [...chosen];
    const runDocuments = async () => {
      for (let next; (next = waiting.shift()) !== undefined;) {
        await using sandbox = await Sandbox.make(await surroundingsOf(next.blocks, around));
        const started = performance.now();
        try {
          for (const block of next.blocks) await sandbox.run(block);
        } catch (error) {
          failed.push((error as Error).message);
        }
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        console.log(`${next.name}: ${next.blocks.length} blocks, ${seconds} s`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, runDocuments));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  if (failed.length > 0) throw new Error(failed.join("\n\n"));
});

Deno.test("hidden blocks are of a language that is run or checked", async () => {
  const found = await problems((block, where) =>
    Promise.resolve(
      block.hidden && !CHECKED.includes(block.language)
        ? [`${where}: a hidden block of ${block.language} does nothing`]
        : [],
    )
  );
  assertEquals(found, []);
});
