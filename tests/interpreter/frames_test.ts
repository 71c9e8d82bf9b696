import { assertEquals, assertThrows } from "@std/assert";
import { encodeFrame, FrameDecoder, FrameWriter } from "../../lib/interpreter/frames.ts";

Deno.test("frames come out as they went in, however the bytes are cut", () => {
  const frames = Array.from({ length: 20 }, (_, n) => ({
    header: { n, text: "é".repeat(n * 400) },
    blob: new Uint8Array(n * 31).fill(n),
  }));
  const bytes: number[] = [];
  for (const { header, blob } of frames) bytes.push(...encodeFrame(header, blob));
  for (const size of [1, 7, 100, 4096, bytes.length]) {
    const decoder = new FrameDecoder();
    const seen: unknown[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      decoder.push(new Uint8Array(bytes.slice(at, at + size)));
      for (let frame = decoder.next(); frame; frame = decoder.next()) seen.push(frame);
    }
    assertEquals<unknown>(seen, frames, `pieces of ${size}`);
    assertEquals(decoder.rest().length, 0);
  }
});

Deno.test("bytes behind the last frame are the rest", () => {
  const decoder = new FrameDecoder();
  decoder.push(new Uint8Array([...encodeFrame({ a: 1 }), 1, 2, 3]));
  assertEquals(decoder.next()?.header, { a: 1 });
  assertEquals(decoder.next(), undefined);
  assertEquals(decoder.rest(), new Uint8Array([1, 2, 3]));
  assertEquals(decoder.rest(), new Uint8Array(0));
});

Deno.test("an impossible length is refused before memory is taken", () => {
  const decoder = new FrameDecoder();
  decoder.push(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  assertThrows(() => decoder.next(), RangeError, "Cannot read frame");
});

Deno.test("frames sent at once arrive one after the other", async () => {
  const directory = await Deno.makeTempDir();
  const listener = Deno.listen({ transport: "unix", path: `${directory}/s` });
  const sender = await Deno.connect({ transport: "unix", path: `${directory}/s` });
  const receiver = await listener.accept();
  const writer = new FrameWriter(sender);
  const sent = Array.from({ length: 50 }, (_, n) => writer.send({ n, pad: "x".repeat(20_000) }));
  const all = Promise.all(sent).then(() => sender.close());
  const decoder = new FrameDecoder();
  const seen: unknown[] = [];
  const buffer = new Uint8Array(10_000);
  for (let count = await receiver.read(buffer); count; count = await receiver.read(buffer)) {
    decoder.push(buffer.subarray(0, count));
    for (let frame = decoder.next(); frame; frame = decoder.next()) seen.push(frame.header.n);
  }
  await all;
  assertEquals(seen, sent.map((_, n) => n));
  receiver.close();
  listener.close();
  await Deno.remove(directory, { recursive: true });
});
