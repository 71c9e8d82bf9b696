/** Reading the pixels of screenshots: PNG with 8 bits per channel, RGB or RGBA, not interlaced. */

/** A picture. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue and alpha (0 to 255) of a place, counted from the top left. */
  pixel(x: number, y: number): number[];
  /** How many pixels are of a colour (red, green, blue), each channel within a tolerance. */
  count(colour: readonly [number, number, number], tolerance?: number): number;
}

/** Decodes a picture. */
export async function decodePng(png: Uint8Array<ArrayBuffer>): Promise<Picture> {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const [depth, type, , , interlace] = png.subarray(24);
  const channels = type === 2 ? 3 : 4;
  if (depth !== 8 || (type !== 2 && type !== 6) || interlace !== 0) {
    throw new Error(
      `Cannot read picture: bit depth ${depth}, type ${type}, interlace ${interlace}`,
    );
  }
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 8; at < png.length;) {
    const length = view.getUint32(at);
    if (String.fromCharCode(...png.subarray(at + 4, at + 8)) === "IDAT") {
      parts.push(png.subarray(at + 8, at + 8 + length));
    }
    at += 12 + length;
  }
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = unfilter(
    new Uint8Array(await new Response(stream).arrayBuffer()),
    width * channels,
    height,
    channels,
  );
  const pixel = (x: number, y: number) => {
    const at = (y * width + x) * channels;
    return [data[at]!, data[at + 1]!, data[at + 2]!, channels === 4 ? data[at + 3]! : 255];
  };
  const count = (colour: readonly [number, number, number], tolerance = 0) => {
    let found = 0;
    for (let at = 0; at < data.length; at += channels) {
      if (colour.every((value, one) => Math.abs(data[at + one]! - value) <= tolerance)) found++;
    }
    return found;
  };
  return { width, height, pixel, count };
}

/** Undoes the filters of the lines: each byte was stored as a difference to its neighbours. */
function unfilter(raw: Uint8Array, stride: number, height: number, step: number): Uint8Array {
  const out = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)]!;
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= step ? out[at - step]! : 0;
      const up = y > 0 ? out[at - stride]! : 0;
      const corner = x >= step && y > 0 ? out[at - stride - step]! : 0;
      out[at] = raw[y * (stride + 1) + 1 + x]! + predicted(filter, left, up, corner);
    }
  }
  return out;
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  if (filter !== 4) return 0;
  const [a, b, c] = [up - corner, left - corner, left + up - 2 * corner].map(Math.abs);
  return a! <= b! && a! <= c! ? left : b! <= c! ? up : corner;
}
