/** Which kind of file system a directory is on. */
import { statfs } from "node:fs/promises";

/** Magic numbers of Linux (`statfs(2)`, `linux/magic.h`). */
const NAMES: Readonly<Record<number, string>> = {
  0xef53: "ext4",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x2fc12fc1: "zfs",
  0x01021994: "tmpfs",
  0x794c7630: "overlayfs",
  0x6969: "nfs",
  0xff534d42: "cifs",
  0xfe534d42: "smb",
  0x01021997: "9p",
  0x65735546: "fuse",
  0x00c36400: "ceph",
  0x0bd00bd0: "lustre",
  0x47504653: "gpfs",
  0xf2f52010: "f2fs",
};

/** Kinds that several machines may share. */
const SHARED = new Set(["nfs", "cifs", "smb", "9p", "fuse", "ceph", "lustre", "gpfs"]);

/** A kind of file system. */
export interface FileSystem {
  readonly name: string;
  /** Whether other machines may use it at the same time. */
  readonly shared: boolean;
}

/** The file system of a directory; `undefined` when that is not known. */
export async function fileSystemOf(directory: string): Promise<FileSystem | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  try {
    // The number is 32 bits wide; some systems give it as a negative one.
    const name = NAMES[(await statfs(directory)).type >>> 0];
    return name === undefined ? undefined : { name, shared: SHARED.has(name) };
  } catch {
    return undefined;
  }
}
