/** What a program has left behind: processes and files. */
import { join } from "@std/path";

/** A running process. */
export interface LeftProcess {
  readonly pid: number;
  readonly command: string;
}

/** How long processes that have been killed may take to be gone, in milliseconds. */
const GRACE_MS = 2000;
const POLL_MS = 50;

/**
 * Running processes, but for this one, that have one of the marks in their command line, their environment or their
 * working directory. A mark is a text nobody else has, such as the path of a fresh temporary directory.
 */
export async function markedProcesses(marks: readonly string[]): Promise<LeftProcess[]> {
  return Deno.build.os === "linux" ? await fromProc(marks) : await fromPs(marks);
}

/** The same, but processes that are about to end get the time to do so. */
export async function leftProcesses(marks: readonly string[]): Promise<LeftProcess[]> {
  const deadline = performance.now() + GRACE_MS;
  for (;;) {
    const found = await markedProcesses(marks);
    if (found.length === 0 || performance.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function fromProc(marks: readonly string[]): Promise<LeftProcess[]> {
  const found: LeftProcess[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    const read = (file: string) => Deno.readTextFile(`/proc/${name}/${file}`).catch(() => "");
    const command = await read("cmdline");
    const place = await Deno.readLink(`/proc/${name}/cwd`).catch(() => "");
    const text = [command, await read("environ"), place].join("\0");
    if (marks.some((mark) => text.includes(mark))) {
      found.push({ pid: Number(name), command: command.replaceAll("\0", " ").trim() });
    }
  }
  return found;
}

async function fromPs(marks: readonly string[]): Promise<LeftProcess[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-axEww", "-o", "pid=,command="] })
    .output();
  return new TextDecoder().decode(stdout).split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(.*)$/.exec(line);
    if (match === null || Number(match[1]) === Deno.pid) return [];
    if (!marks.some((mark) => line.includes(mark))) return [];
    return [{ pid: Number(match[1]), command: match[2]! }];
  });
}

/** Names of everything below a directory, relative to it; none when it does not exist. */
export async function filesBelow(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) {
      names.push(entry.name);
      if (!entry.isDirectory) continue;
      const below = await filesBelow(join(directory, entry.name));
      names.push(...below.map((name) => join(entry.name, name)));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names;
}
