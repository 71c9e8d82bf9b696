/**
 * Who uses or builds environments, for people: nothing is decided by it, locks do that.
 *
 * The system knows who holds a lock, but a program without all rights may not read it there. So each process notes
 * what it uses in a file `users/<id>.json`, and holds a lock on that file as long as it lives. A file whose lock is
 * free was left by a process that died: whoever finds it removes it. A file gets its name when it is complete and
 * locked, so that nobody takes a new one for such a left one.
 */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import type { CacheLayout } from "./layout.ts";

/** What a process does with an environment: use it, or build or remove it. */
export type Role = "use" | "build";

/** Processes that hold the lock of an environment. */
export interface Holders {
  /** Process ids that use the environment. */
  readonly users: readonly number[];
  /** The process that builds it. */
  readonly owner: number | undefined;
}

/** Nobody. */
export const NOBODY: Holders = { users: [], owner: undefined };

/** Drafts of processes that died while they wrote are removed when they are older, in milliseconds. */
const DRAFT_MS = 60_000;

interface Note {
  readonly place: string;
  readonly role: Role;
  readonly pid: number;
  /** Process ids mean something on one machine, or in one container, only. */
  readonly host: string;
  /** ISO 8601. */
  readonly since: string;
}

/** Notes of this process that are being written: who begins a use does not wait, who looks does. */
const writing = new Set<Promise<unknown>>();

interface Use {
  count: number;
  readonly note: Promise<NoteFile | undefined>;
}

/** Notes what this process uses. */
export class Users {
  readonly #directory: string;
  readonly #now: () => number;
  readonly #uses = new Map<string, Use>();

  constructor(layout: Pick<CacheLayout, "users">, now: () => number = Date.now) {
    this.#directory = layout.users;
    this.#now = now;
  }

  /**
   * Notes the use of an environment, once however often this process uses it. In a cache that cannot be written to
   * nothing is noted.
   *
   * @returns ends the use; does nothing the second time
   */
  enter(place: string, role: Role = "use"): () => Promise<void> {
    const id = `${role} ${place}`;
    const use = this.#uses.get(id) ?? { count: 0, note: this.#write(place, role) };
    this.#uses.set(id, use);
    use.count++;
    let left = false;
    return async () => {
      if (left) return;
      left = true;
      if (--use.count > 0) return;
      if (this.#uses.get(id) === use) this.#uses.delete(id);
      await (await use.note)?.remove();
    };
  }

  /** Ends all uses. */
  async close(): Promise<void> {
    const uses = [...this.#uses.values()];
    this.#uses.clear();
    await Promise.all(uses.map(async ({ note }) => await (await note)?.remove()));
  }

  #write(place: string, role: Role): Promise<NoteFile | undefined> {
    const since = new Date(this.#now()).toISOString();
    const note: Note = { place, role, pid: Deno.pid, host: hostName(), since };
    const written = NoteFile.write(this.#directory, note).catch(() => undefined)
      .finally(() => writing.delete(written));
    writing.add(written);
    return written;
  }
}

/** A file in which a process notes a use. */
class NoteFile {
  readonly #path: string;
  #file: Deno.FsFile | undefined;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  static async write(directory: string, note: Note): Promise<NoteFile> {
    const path = join(directory, `${crypto.randomUUID()}.json`);
    const draft = `${path}.tmp`;
    await ensureDir(directory);
    const file = await Deno.open(draft, { write: true, createNew: true });
    try {
      if (!await file.tryLock(true)) throw new Error("a new file is locked already");
      await file.write(new TextEncoder().encode(JSON.stringify(note)));
      await Deno.rename(draft, path);
    } catch (error) {
      file.close();
      await Deno.remove(draft).catch(() => {});
      throw error;
    }
    return new NoteFile(path, file);
  }

  async remove(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await Deno.remove(this.#path).catch(() => {});
    file.close();
  }
}

/** The users of this moment. Those of other machines, and of other containers, are not among them. */
export class UserTable {
  readonly #byPlace: ReadonlyMap<string, readonly Note[]>;

  private constructor(byPlace: ReadonlyMap<string, readonly Note[]>) {
    this.#byPlace = byPlace;
  }

  /** Reads the notes, and removes those that killed processes left. */
  static async read(layout: Pick<CacheLayout, "users">): Promise<UserTable> {
    await Promise.all(writing);
    const byPlace = new Map<string, Note[]>();
    const host = hostName();
    for (const name of await list(layout.users)) {
      const path = join(layout.users, name);
      if (name.endsWith(".tmp")) await removeDraft(path);
      if (!name.endsWith(".json")) continue;
      const note = await readNote(path);
      if (note === undefined || note.host !== host) continue;
      const notes = byPlace.get(note.place) ?? [];
      notes.push(note);
      byPlace.set(note.place, notes);
    }
    return new UserTable(byPlace);
  }

  /** Who holds the lock of a place. */
  holders(place: string): Holders {
    const notes = this.#byPlace.get(place);
    if (notes === undefined) return NOBODY;
    const users = notes.filter(({ role }) => role === "use").map(({ pid }) => pid);
    return {
      users: [...new Set(users)].sort((a, b) => a - b),
      owner: notes.find(({ role }) => role === "build")?.pid,
    };
  }
}

async function list(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names;
}

/** A note whose process lives. */
async function readNote(path: string): Promise<Note | undefined> {
  try {
    using file = await Deno.open(path);
    if (await file.tryLock(false)) {
      await Deno.remove(path).catch(() => {});
      return undefined;
    }
    return JSON.parse(await Deno.readTextFile(path)) as Note;
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

async function removeDraft(path: string): Promise<void> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (Date.now() - (info?.mtime?.getTime() ?? Infinity) < DRAFT_MS) return;
  await Deno.remove(path).catch(() => {});
}

function hostName(): string {
  try {
    return Deno.hostname();
  } catch {
    return "";
  }
}
