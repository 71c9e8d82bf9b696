"""Output streams and marks, over pipes."""

import os
import threading
import time
import unittest

from hypha_kernel import marks, streams

NONCE = "n0nce"


def mark(number, kind="s", owner=""):
    return "\x1e%s:%d:%s:%s\x1e" % (NONCE, number, kind, owner)


class StreamsTest(unittest.TestCase):
    def setUp(self):
        self.reads, self.writes = [], []
        for _ in range(2):
            read, write = os.pipe()
            os.set_blocking(read, False)
            self.reads.append(read)
            self.writes.append(write)
        self.marks = marks.Marks(NONCE, self.writes)
        self.out = streams.OutStream("stdout", self.writes[0], self.marks)
        self.err = streams.OutStream("stderr", self.writes[1], self.marks)

    def tearDown(self):
        # A test that has failed may have left text that somebody has to read.
        self.read_all(self.marks.before_fork)
        for fd in self.reads + self.writes + self.marks._fds:
            try:
                os.close(fd)
            except OSError:
                pass

    def text(self, which=0):
        try:
            return os.read(self.reads[which], 1 << 20).decode()
        except BlockingIOError:
            return ""

    def test_a_mark_goes_into_both_streams_behind_what_was_written(self):
        self.out.write("a")
        number = self.marks.put("c", "7")
        self.assertEqual(self.text(), "a" + mark(number, "c", "7"))
        self.assertEqual(self.text(1), mark(number, "c", "7"))
        self.assertEqual(self.marks.upcoming, number + 1)

    def test_changing_the_stream_puts_a_mark_and_staying_does_not(self):
        self.out.write("a\n")
        self.out.write("b\n")
        self.err.write("c\n")
        self.out.write("d\n")
        self.marks.flush()
        self.assertEqual(self.text(), "a\nb\n" + mark(1) + mark(2) + "d\n")
        self.assertEqual(self.text(1), mark(1) + "c\n" + mark(2))

    def test_a_line_after_a_quiet_time_goes_out_at_once(self):
        self.out.write("line")
        self.out.write("\n")
        self.assertEqual(self.text(), "line\n")

    def test_held_text_goes_out_by_itself(self):
        self.out.write("no line end")
        seen = ""
        for _ in range(1000):
            seen += self.text()
            if seen:
                break
            time.sleep(0.005)
        self.assertEqual(seen, "no line end")

    def test_the_helper_thread_ends_when_the_stream_is_quiet_or_before_a_fork(self):
        before = threading.active_count()
        self.out.write("a")
        self.marks.before_fork()
        self.assertEqual(threading.active_count(), before)
        self.out.write("b")
        for _ in range(1000):
            if threading.active_count() == before:
                break
            time.sleep(0.005)
        self.assertEqual(threading.active_count(), before)
        self.assertEqual(self.text(), "ab")

    def test_text_of_many_threads_is_neither_lost_nor_doubled(self):
        received = []
        done = threading.Event()

        def read():
            while not done.is_set():
                received.append(self.text())
                time.sleep(0.001)
            received.append(self.text())

        def write(n):
            for i in range(2000):
                self.out.write("%d-%d\n" % (n, i))

        reader = threading.Thread(target=read)
        writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in writers + [reader]:
            thread.start()
        for thread in writers:
            thread.join()
        self.marks.flush()
        done.set()
        reader.join()
        lines = "".join(received).split("\n")[:-1]
        self.assertEqual(len(lines), 8000)
        self.assertEqual(len(set(lines)), 8000)

    def test_text_of_another_cell_is_marked_as_its_own(self):
        self.marks.active = "2"
        token = marks.CURRENT_CELL.set("1")
        try:
            self.out.write("late")
        finally:
            marks.CURRENT_CELL.reset(token)
        self.assertEqual(self.text(), mark(1, "s", "1") + "late" + mark(2, "s", "2"))

    def test_a_closed_descriptor_loses_text_and_no_marks(self):
        self.out._last_flush = time.monotonic() + 1000
        self.out.write("lost")
        os.dup2(os.open(os.devnull, os.O_RDONLY), self.writes[0])
        self.marks.put("s", "1")
        self.assertEqual(self.text(), mark(1, "s", "1"))

    def test_a_non_blocking_descriptor_is_waited_for(self):
        os.set_blocking(self.writes[0], False)
        received = []
        reader = threading.Thread(
            target=lambda: [received.append(self.text()) or time.sleep(0.005) for _ in range(100)]
        )
        reader.start()
        self.out.write("x" * 500000)
        self.marks.flush()
        reader.join()
        self.assertEqual(len("".join(received) + self.text()), 500000)

    def test_a_forked_child_writes_whole_lines_and_nothing_of_its_parent(self):
        self.out._last_flush = time.monotonic() + 1000
        self.out.write("parent")
        self.out.after_fork()
        self.out.write("child")
        self.assertEqual(self.text(), "")
        self.out.write("\n")
        self.assertEqual(self.text(), "child\n")

    def test_bytes_keep_their_place(self):
        self.out.write("a")
        self.out.buffer.write(b"b")
        self.out.write("c\n")
        self.marks.flush()
        self.assertEqual(self.text(), "abc\n")

    def test_only_text_is_written(self):
        with self.assertRaises(TypeError):
            self.out.write(b"bytes")
        self.assertEqual(self.out.write(""), 0)

    def print_much(self, count):
        """Prints until the stream has been fast, and then some; returns what was printed."""
        seen = fast = 0
        expected = []
        write = self.out.write
        while seen < count or not fast:
            line = "line %d\n" % seen
            self.assertEqual(write(line), len(line))
            expected.append(line)
            fast += self.out._fast
            seen += 1
        return "".join(expected)

    def read_all(self, action):
        """What arrives on standard output while something is done, and what that returns."""
        received = []
        done = threading.Event()

        def read():
            while not done.is_set():
                received.append(self.text())
                time.sleep(0.001)
            received.append(self.text())

        reader = threading.Thread(target=read)
        reader.start()
        try:
            value = action()
            self.marks.flush()
        finally:
            done.set()
            reader.join()
        return "".join(received), value

    def test_a_cell_that_prints_alone_prints_fast_and_completely(self):
        self.marks.alone = True
        received, expected = self.read_all(lambda: self.print_much(100000))
        self.assertEqual(received, expected)
        self.assertFalse(self.out._fast)
        # And it is slow again when it was quiet.
        self.marks.before_fork()
        self.out._last_flush = 0.0
        self.out.write("at once\n")
        self.assertEqual(self.text(), "at once\n")

    def test_a_cell_that_is_not_alone_never_prints_fast(self):
        self.marks.alone = False

        def act():
            for i in range(20000):
                self.out.write("line\n")
                self.assertFalse(self.out._fast)

        self.read_all(act)

    def test_fast_text_comes_before_what_is_written_to_the_other_stream(self):
        self.marks.alone = True
        received, expected = self.read_all(lambda: self.print_much(1000) + (self.err.write("e") and ""))
        self.assertEqual(received.partition("\x1e")[0], expected)
        self.marks.flush()
        self.assertTrue(self.text(1).endswith("e"))

    def test_fast_text_of_threads_is_neither_lost_nor_doubled(self):
        self.marks.alone = True

        def write(n):
            for i in range(20000):
                self.out.write("%d-%d\n" % (n, i))

        def act():
            threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        received, _ = self.read_all(act)
        lines = received.split("\n")[:-1]
        self.assertEqual(len(lines), 80000)
        for n in range(4):
            own = [line for line in lines if line.startswith("%d-" % n)]
            self.assertEqual(own, ["%d-%d" % (n, i) for i in range(20000)])

    def test_what_is_held_back_is_bounded_when_nobody_reads(self):
        self.marks.alone = True
        for size, count in ((100, 500000), (4096, 10000)):
            written = []

            def act(line="x" * (size - 1) + "\n", count=count, written=written):
                for _ in range(count):
                    self.out.write(line)
                    written.append(None)

            writer = threading.Thread(target=act)
            writer.start()
            while True:
                before = len(written)
                time.sleep(0.3)
                if len(written) == before > 0:
                    break
            # The cell waits, with most of its output still to be written.
            waits = writer.is_alive()
            received, _ = self.read_all(writer.join)
            self.assertTrue(waits)
            self.assertEqual(len(received), size * count)

    def test_closing_and_setting_up_leave_the_stream_usable(self):
        self.out.reconfigure(encoding="latin-1", line_buffering=True)
        self.out.close()
        self.out.write("é\n")
        self.assertEqual(self.text(), "é\n")
        self.assertEqual((self.out.encoding, self.out.name, self.out.closed), ("utf-8", "<stdout>", False))
        with self.assertRaises(OSError):
            self.out.detach()


if __name__ == "__main__":
    unittest.main()
