import { assert, assertEquals } from "@std/assert";
import type { LiveOutput } from "../../lib/interpreter/outputs.ts";
import { alive, type SessionTest, suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

const MIB = 1024 * 1024;

/** A receiver that has enough after some output and wants nothing more until it is opened. */
class Receiver {
  readonly #enough: number;
  readonly outputs: LiveOutput[] = [];
  readonly #gate = Promise.withResolvers<void>();
  size = 0;

  /** @param enough Characters; by default the first output is enough. */
  constructor(enough = 0) {
    this.#enough = enough;
  }

  readonly onOutput = (output: LiveOutput): Promise<void> | undefined => {
    this.outputs.push(output);
    this.size += output.type === "stream" ? output.text.length : 1000;
    return this.size < this.#enough ? undefined : this.#gate.promise;
  };

  /** Resolves when something has come and then nothing more comes. */
  async stalled(): Promise<void> {
    await until(() => this.size > 0);
    for (let before = -1; before !== this.size;) {
      before = this.size;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  open(): void {
    this.#gate.resolve();
  }
}

/** What puts out 40 MiB, in several ways. */
const WRITERS: Record<string, string> = {
  prints: "for i in range(400 << 10): print('x' * 102)",
  "large writes": "for i in range(40): _ = os.write(1, b'y' * (1 << 20))",
  "a child process": "subprocess.run(['head', '-c', str(40 << 20), '/dev/zero']);",
  "both streams":
    "for i in range(205):\n    print('o' * 102400)\n    print('e' * 102400, file=sys.stderr)",
};

const blocked: Record<string, SessionTest> = {};
for (const [name, code] of Object.entries(WRITERS)) {
  blocked[`a receiver that has enough holds up ${name}, and gets everything afterwards`] = async (
    session,
  ) => {
    await session.execute("import os, subprocess, sys");
    const receiver = new Receiver();
    const running = session.execute(code, {
      onOutput: receiver.onOutput,
      outputLimit: 100 * MIB,
    });
    await receiver.stalled();
    assert(receiver.size < 8 * MIB, `${receiver.size}`);
    assertEquals(session.busy, true);
    receiver.open();
    const result = await running;
    assertEquals([result.status, result.truncated], ["ok", undefined]);
    for (const stream of ["stdout", "stderr"]) {
      assert(textOf({ outputs: receiver.outputs }, stream) === textOf(result, stream));
    }
    assert(receiver.size >= 40 * MIB);
  };
}

await suite("pressure", {
  ...blocked,
  "a flood of displays waits too": async (session) => {
    const receiver = new Receiver();
    const code = "for i in range(3000): display({'text/plain': 'd' * 10000}, raw=True)";
    const running = session.execute(code, {
      onOutput: receiver.onOutput,
      outputLimit: 100 * MIB,
    });
    await receiver.stalled();
    assert(receiver.outputs.length < 1500, `${receiver.outputs.length}`);
    receiver.open();
    assertEquals((await running).outputs.length, 3000);
  },
  "a cell that waits for its receiver can be interrupted, and keeps its state": async (session) => {
    await session.execute("import os, subprocess, sys\nx = 1");
    for (const [name, code] of Object.entries(WRITERS)) {
      const receiver = new Receiver();
      const running = session.execute(
        `x += 1\nwhile True:\n    ${code.replaceAll("\n", "\n    ")}`,
        {
          onOutput: receiver.onOutput,
        },
      );
      await receiver.stalled();
      await session.interrupt();
      const result = await running;
      assertEquals(
        [result.error?.ename, result.state_lost],
        ["KeyboardInterrupt", undefined],
        name,
      );
    }
    assertEquals(await valueOf(session, "x"), String(1 + Object.keys(WRITERS).length));
  },
  "the timeout of a cell that waits for its receiver holds": async (session) => {
    const receiver = new Receiver();
    const result = await session.execute("while True: print('x' * 1000)", {
      onOutput: receiver.onOutput,
      timeout: 500,
    });
    assertEquals([result.error?.ename, result.state_lost], ["TimeoutError", undefined]);
    assertEquals(await valueOf(session, "1"), "1");
  },
  "a session can be killed while its cell waits for the receiver": async (session) => {
    const receiver = new Receiver();
    const running = session.execute("while True: print('x' * 1000)", {
      onOutput: receiver.onOutput,
    });
    await receiver.stalled();
    await session.kill();
    assertEquals((await running).state_lost, true);
    assertEquals(await alive(session.pid), false);
  },
  "a process that dies while its receiver has enough is reported": async (session) => {
    const receiver = new Receiver();
    const code = "import os, signal, threading, time\n" +
      "threading.Thread(target=lambda: (time.sleep(0.3), os.kill(os.getpid(), 9))).start()\n" +
      "while True: print('x' * 1000)";
    const result = await session.execute(code, { onOutput: receiver.onOutput });
    assertEquals([result.error?.ename, result.state_lost], ["DeadKernelError", true]);
  },
  "beyond the output limit nobody waits for the receiver": async (session) => {
    // It has enough just when it gets no more.
    const receiver = new Receiver(100_000);
    const code = "import os\nfor i in range(20): os.write(1, b'x' * 1_000_000)\nprint('end')";
    const running = session.execute(code, { onOutput: receiver.onOutput, outputLimit: 100_000 });
    const result = await running;
    assertEquals([result.status, result.truncated], ["ok", true]);
    assert(textOf(result, "stdout").endsWith("xend\n"));
  },
  "what one cell's receiver does is no matter to the next": async (session) => {
    const receiver = new Receiver();
    const stuck = session.execute("print('x')\nwhile True: pass", { onOutput: receiver.onOutput });
    await receiver.stalled();
    await session.interrupt();
    assertEquals((await stuck).error?.ename, "KeyboardInterrupt");
    const result = await session.execute("for i in range(100000): print('y' * 99)");
    assertEquals(textOf(result, "stdout").length, 10_000_000);
  },
});
