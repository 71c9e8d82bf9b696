/**
 * The part of `@std/path` this project uses, with its types.
 *
 * The sources come from the npm carrier `deno-std`, which ships JavaScript without declarations: imported
 * plainly every call would be `any`. Moving to JSR means deleting this file and changing the import map.
 */
import * as path from "deno-std/path/mod.js";

/** Joins path segments and normalises the result. */
export const join: (...segments: string[]) => string = path.join;
/** Resolves segments against the current directory into an absolute path. */
export const resolve: (...segments: string[]) => string = path.resolve;
/** The directory part of a path. */
export const dirname: (path: string) => string = path.dirname;
/** The last part of a path, optionally without a suffix. */
export const basename: (path: string, suffix?: string) => string = path.basename;
/** The extension of a path, with its dot; empty when there is none. */
export const extname: (path: string) => string = path.extname;
/** Whether a path is absolute. */
export const isAbsolute: (path: string) => boolean = path.isAbsolute;
/** The way from one path to another. */
export const relative: (from: string, to: string) => string = path.relative;
/** The file system path of a `file:` URL. */
export const fromFileUrl: (url: string | URL) => string = path.fromFileUrl;
/** The `file:` URL of an absolute path. */
export const toFileUrl: (path: string) => URL = path.toFileUrl;
