/** Methods for the files in a session's working directory, and their way into an artifact. */
import { WorkerError } from "../errors.ts";
import { parseSaveEntries } from "../staging/save_entries.ts";
import { uploadFiles } from "../staging/upload.ts";
import { sessionOf } from "./common_methods.ts";
import type { Method, Parameter } from "./method.ts";
import type { MethodContext } from "./method_support.ts";
import { PROGRESS, progressOf, SESSION_ID } from "./parameters.ts";
import { writerOf } from "./save_files.ts";
import { MAX_LISTED } from "./session_files.ts";
import { checkArtifactId } from "./start_config.ts";

/** Most bytes of a file in one call. */
export const MAX_CONTENT = 8 * 1024 * 1024;

const ENCODINGS = ["utf-8", "base64", "bytes"] as const;

function path(description: string, required = true): Parameter {
  return {
    name: "path",
    required,
    schema: { type: "string", description, examples: ["results/table.csv"] },
  };
}

/** List, read, write and remove files; upload them. */
export function fileMethods(context: MethodContext): Method[] {
  return [
    listFiles(context),
    readFile(context),
    writeFile(context),
    removeFile(context),
    uploadOutputs(context),
  ];
}

function listFiles(context: MethodContext): Method {
  return {
    name: "list_files",
    description:
      "Lists files in a session's working directory, also while a cell runs. Returns {path, items, offset, " +
      'next_offset}; items are {path, name, type: "file", "directory", "link" or "other", size, modified, target}, ' +
      "with paths relative to the working directory, in order; next_offset is null at the end. Links are told, not " +
      "followed.",
    parameters: [
      SESSION_ID,
      {
        name: "path",
        schema: {
          type: "string",
          default: "",
          description: "The folder. Default: the working directory.",
          examples: ["results"],
        },
      },
      {
        name: "recursive",
        schema: { type: "boolean", default: false, description: "Also what is below its folders." },
      },
      {
        name: "offset",
        schema: { type: "integer", minimum: 0, default: 0, description: "First entry." },
      },
      {
        name: "limit",
        schema: {
          type: "integer",
          minimum: 1,
          maximum: MAX_LISTED,
          default: 1000,
          description: "Most entries to return.",
        },
      },
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "list the files of");
      const offset = (args.offset as number | undefined) ?? 0;
      const wanted = (args.path as string | undefined) ?? "";
      const { folder, items, more } = await session.files.list(wanted, {
        recursive: args.recursive === true,
        offset,
        limit: (args.limit as number | undefined) ?? 1000,
      });
      const prefix = folder === "" ? "" : `${folder}/`;
      return {
        path: folder,
        items: items.map((item) => ({
          ...item,
          path: prefix + item.path,
          name: item.path.slice(item.path.lastIndexOf("/") + 1),
          modified: new Date(item.modified * 1000).toISOString(),
        })),
        offset,
        next_offset: more ? offset + items.length : null,
      };
    },
  };
}

function readFile(context: MethodContext): Method {
  return {
    name: "read_file",
    description:
      "Reads a file of a session's working directory, also while a cell runs. Returns {path, content, encoding, size, " +
      "offset, length, next_offset, eof}; a large file is read in several calls, from next_offset on until eof.",
    parameters: [
      SESSION_ID,
      path("The file, relative to the working directory."),
      {
        name: "offset",
        schema: { type: "integer", minimum: 0, default: 0, description: "First byte." },
      },
      {
        name: "length",
        schema: {
          type: "integer",
          minimum: 0,
          maximum: MAX_CONTENT,
          default: MAX_CONTENT,
          description: "Most bytes to return.",
        },
      },
      {
        name: "encoding",
        schema: {
          type: "string",
          enum: ENCODINGS,
          default: "utf-8",
          description:
            "Form of content: text, text in base64, or bytes. Text ends at a whole character.",
        },
      },
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "read files of");
      const name = args.path as string;
      const offset = (args.offset as number | undefined) ?? 0;
      const length = (args.length as number | undefined) ?? MAX_CONTENT;
      const encoding = (args.encoding as typeof ENCODINGS[number] | undefined) ?? "utf-8";
      const { bytes, size } = await session.files.read(name, offset, length);
      let part = bytes;
      let content: unknown = bytes;
      if (encoding === "base64") content = bytes.toBase64();
      if (encoding === "utf-8") {
        part = wholeCharacters(bytes, offset + bytes.byteLength >= size);
        content = decode(part, name, offset);
      }
      const next = offset + part.byteLength;
      const eof = next >= size || bytes.byteLength === 0 && length > 0;
      return {
        path: name,
        content,
        encoding,
        size,
        offset,
        length: part.byteLength,
        next_offset: eof ? null : next,
        eof,
      };
    },
  };
}

/** The bytes without a character at their end that is cut off; all of them at the end of the file. */
function wholeCharacters(
  bytes: Uint8Array<ArrayBuffer>,
  last: boolean,
): Uint8Array<ArrayBuffer> {
  const { length } = bytes;
  for (let back = 1; back <= Math.min(3, length) && !last; back++) {
    const byte = bytes[length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    // One that is the whole part is left, to be refused, or nothing would ever be read.
    return needed > back && length > back ? bytes.subarray(0, length - back) : bytes;
  }
  return bytes;
}

function decode(bytes: Uint8Array, name: string, offset: number): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WorkerError(
      "invalid_argument",
      `Cannot read ${JSON.stringify(name)} as text: from byte ${offset} on it is not UTF-8`,
      {
        context: { argument: "encoding" },
        suggestion:
          'Read it with encoding "base64" or "bytes"; an offset must be where a character begins.',
      },
    );
  }
}

function writeFile(context: MethodContext): Method {
  return {
    name: "write_file",
    description:
      "Writes a file in a session's working directory, also while a cell runs; missing folders are made. The file is " +
      "replaced as a whole, or extended with append. Returns {path, written, size} in bytes.",
    parameters: [
      SESSION_ID,
      path("The file, relative to the working directory."),
      {
        name: "content",
        required: true,
        schema: {
          anyOf: [
            { type: "string", description: "Text, or bytes in base64." },
            { description: "Bytes, from clients that can pass them." },
          ],
          description:
            `Text or bytes, at most ${MAX_CONTENT} bytes per call; more is appended by further calls.`,
          examples: ["x,y\n1,2\n"],
        },
      },
      {
        name: "append",
        schema: { type: "boolean", default: false, description: "Extends the file." },
      },
      {
        name: "encoding",
        schema: {
          type: "string",
          enum: ["utf-8", "base64"],
          default: "utf-8",
          description: "What a text is; bytes are written as they are.",
        },
      },
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "write files of");
      const bytes = contentOf(args.content, args.encoding === "base64");
      const size = await session.files.write(args.path as string, bytes, args.append === true);
      return { path: args.path, written: bytes.byteLength, size };
    },
  };
}

function contentOf(content: unknown, base64: boolean): Uint8Array {
  const refuse = (reason: string) =>
    new WorkerError("invalid_argument", `Cannot write file: content ${reason}`, {
      context: { argument: "content" },
    });
  let bytes: Uint8Array;
  if (typeof content === "string") {
    // No text becomes shorter in bytes, and none is encoded only to be refused.
    if (content.length > MAX_CONTENT * (base64 ? 2 : 1)) throw tooLarge(refuse);
    try {
      bytes = base64 ? Uint8Array.fromBase64(content) : new TextEncoder().encode(content);
    } catch {
      throw refuse("is not base64");
    }
  } else if (ArrayBuffer.isView(content)) {
    bytes = new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  } else if (content instanceof ArrayBuffer) {
    bytes = new Uint8Array(content);
  } else {
    throw refuse("must be text or bytes");
  }
  if (bytes.byteLength > MAX_CONTENT) throw tooLarge(refuse);
  return bytes;
}

function tooLarge(refuse: (reason: string) => WorkerError): WorkerError {
  return refuse(`has more than ${MAX_CONTENT} bytes; write the rest with append`);
}

function removeFile(context: MethodContext): Method {
  return {
    name: "remove_file",
    description:
      "Removes a file, a link or an empty folder of a session's working directory; with recursive a folder with " +
      "everything in it. Returns nothing.",
    parameters: [
      SESSION_ID,
      path("What to remove, relative to the working directory."),
      {
        name: "recursive",
        schema: { type: "boolean", default: false, description: "Also what is in a folder." },
      },
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "remove files of");
      await session.files.remove(args.path as string, args.recursive === true);
      return null;
    },
  };
}

function uploadOutputs(context: MethodContext): Method {
  return {
    name: "upload_outputs",
    description:
      "Uploads files of a session's working directory into an artifact, all or none: they become visible at once. " +
      "Returns {artifact_id, files: [{path, source, size}], skipped: [{path, reason}], bytes, committed}. An artifact " +
      "with uncommitted changes of somebody else takes the files, but shows them only when those are committed " +
      "(committed is false then).",
    parameters: [
      SESSION_ID,
      {
        name: "files",
        required: true,
        schema: {
          type: "array",
          items: { type: "string", description: "A file, a folder or a pattern." },
          description:
            'What to upload: "a.csv", "results/", "a.csv:new.csv", "results/:run-1/", or patterns such as ' +
            '"results/*.csv" and "**/*.png".',
          examples: [["model.pt", "results/*.csv:tables/"]],
        },
      },
      {
        name: "artifact_id",
        schema: {
          type: "string",
          description: "The artifact, workspace/alias or an alias. Default: the app's own.",
          examples: ["my-workspace/results"],
        },
      },
      PROGRESS,
    ],
    handler: async (args, call) => {
      const session = sessionOf(context, args, call, "upload files of");
      const entries = parseSaveEntries(args.files, "files");
      const id = args.artifact_id as string | undefined;
      const writer = writerOf(session, id === undefined ? undefined : checkArtifactId(id));
      return await uploadFiles(entries, session.files, writer, {
        signal: call.signal,
        onProgress: progressOf(args),
      });
    },
  };
}
