/** Who holds the locks of environments, as Linux tells it; elsewhere nobody is known. */

/** Processes that hold a lock. */
export interface Holders {
  /** Process ids that use the environment. */
  readonly users: readonly number[];
  /** The process that builds or removes it. */
  readonly owner: number | undefined;
}

/** Nobody. */
export const NOBODY: Holders = { users: [], owner: undefined };

interface HeldLock {
  readonly exclusive: boolean;
  readonly pid: number;
  readonly device: string;
}

/** The locks of this moment. Locks of other machines, and of other containers, are not among them. */
export class LockTable {
  readonly #byInode: ReadonlyMap<number, readonly HeldLock[]>;

  private constructor(byInode: ReadonlyMap<number, readonly HeldLock[]>) {
    this.#byInode = byInode;
  }

  /** Reads the locks. */
  static async read(path = "/proc/locks"): Promise<LockTable> {
    const byInode = new Map<number, HeldLock[]>();
    const text = await Deno.readTextFile(path).catch(() => "");
    // "1: FLOCK  ADVISORY  READ 26815 fe:00:9977969 0 EOF"; waiting ones have "->" behind the number.
    const pattern = /^\d+:\s+FLOCK\s+\S+\s+(READ|WRITE)\s+(\d+)\s+([0-9a-f]+:[0-9a-f]+):(\d+)\s/gm;
    for (const [, mode, pid, device, inode] of text.matchAll(pattern)) {
      const locks = byInode.get(Number(inode)) ?? [];
      locks.push({ exclusive: mode === "WRITE", pid: Number(pid), device: device! });
      byInode.set(Number(inode), locks);
    }
    return new LockTable(byInode);
  }

  /** Who holds the lock of a file. */
  async holders(path: string): Promise<Holders> {
    const info = await Deno.stat(path).catch(() => undefined);
    const locks = this.#byInode.get(info?.ino ?? -1);
    if (info === undefined || locks === undefined) return NOBODY;
    const device = deviceName(info.dev);
    const exact = locks.filter((lock) => lock.device === device);
    // Some file systems show another device to `stat` than they lock on.
    const held = exact.length > 0 ? exact : locks;
    return {
      users: [...new Set(held.filter((lock) => !lock.exclusive).map((lock) => lock.pid))].sort(
        (a, b) => a - b,
      ),
      owner: held.find((lock) => lock.exclusive)?.pid,
    };
  }
}

/** Major and minor number in hexadecimal digits, as in /proc/locks. */
function deviceName(dev: number): string {
  const number = BigInt(dev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  const hex = (part: bigint) => part.toString(16).padStart(2, "0");
  return `${hex(major)}:${hex(minor)}`;
}
