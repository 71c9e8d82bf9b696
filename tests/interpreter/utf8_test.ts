import { assertEquals } from "@std/assert";
import { Utf8Stream } from "../../lib/interpreter/utf8.ts";

Deno.test("text cut anywhere is decoded as the whole is, valid or not", () => {
  const samples = [
    new TextEncoder().encode("aé€𐍈\ufeffz"),
    new Uint8Array([
      0xff,
      0xe2,
      0x82,
      0x41,
      0xf0,
      0x9f,
      0x80,
      0xc3,
      0xc3,
      0xa9,
      0xed,
      0xa0,
      0x80,
      0xe2,
    ]),
    new Uint8Array([0x80, 0x80, 0x80, 0x80, 0xf4, 0x90, 0x80, 0x80, 0xc0, 0xaf, 0xf0, 0x9f]),
  ];
  for (const bytes of samples) {
    const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    for (let a = 0; a <= bytes.length; a++) {
      for (let b = a; b <= bytes.length; b++) {
        const stream = new Utf8Stream();
        const text = stream.push(bytes.subarray(0, a)) + stream.push(bytes.subarray(a, b)) +
          stream.push(bytes.subarray(b)) + stream.end();
        assertEquals(text, whole, `${a} ${b}`);
      }
    }
  }
});

Deno.test("a stream that is finished, or whose rest is taken, begins anew", () => {
  const stream = new Utf8Stream();
  assertEquals(stream.push(new Uint8Array([0xe2, 0x82])), "");
  assertEquals(stream.end(), "\ufffd");
  assertEquals(stream.end(), "");
  stream.push(new Uint8Array([0xe2]));
  assertEquals(stream.take(), new Uint8Array([0xe2]));
  assertEquals(stream.push(new Uint8Array([0x61])), "a");
});
