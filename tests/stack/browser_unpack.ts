/**
 * Lays out the browser of the tests from unpacked npm packages:
 * `deno run --allow-all browser_unpack.ts <folder of packages> <target folder>`.
 *
 * The target has `chromium`, `lib/` with the shared libraries a bare machine may lack, `fonts/` and `fonts.conf`.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { join } from "@std/path";

const CHUNK = 1024 * 1024;

async function toFile(source: string, target: string): Promise<void> {
  await pipeline(
    createReadStream(source),
    createBrotliDecompress({ chunkSize: CHUNK }),
    createWriteStream(target, { mode: 0o755 }),
  );
}

async function toFolder(source: string, target: string): Promise<void> {
  await Deno.mkdir(target, { recursive: true });
  const tar = spawn("tar", ["-x", "--no-same-owner", "-C", target], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  const ended = once(tar, "exit");
  await pipeline(
    createReadStream(source),
    createBrotliDecompress({ chunkSize: CHUNK }),
    tar.stdin!,
  );
  const [code] = await ended;
  if (code !== 0) throw new Error(`Cannot unpack ${source}: tar ended with exit code ${code}`);
}

/** Exactly these fonts, so that pages look the same on every machine. */
const FONTS = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>sans-serif</family><prefer><family>Open Sans</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
</fontconfig>
`;
const DEJAVU = [
  "DejaVuSansMono.ttf",
  "DejaVuSansMono-Bold.ttf",
  "DejaVuSansMono-Oblique.ttf",
  "DejaVuSansMono-BoldOblique.ttf",
  "DejaVuSans.ttf",
  "DejaVuSerif.ttf",
];

const [from, to] = Deno.args;
if (from === undefined || to === undefined) {
  console.error("usage: browser_unpack.ts <folder of packages> <target folder>");
  Deno.exit(2);
}
const bin = join(from, "@sparticuz/chromium/package/bin");
await Deno.mkdir(to, { recursive: true });
await Promise.all([
  toFile(join(bin, "chromium.br"), join(to, "chromium")),
  // Beside the executable, where it looks for them.
  toFolder(join(bin, "swiftshader.tar.br"), to),
  toFolder(join(bin, "al2023.tar.br"), to),
  toFolder(join(bin, "fonts.tar.br"), to),
]);
for (const name of DEJAVU) {
  await Deno.copyFile(join(from, "dejavu-fonts-ttf/package/ttf", name), join(to, "fonts", name));
}
await Deno.writeTextFile(join(to, "fonts.conf"), FONTS);
