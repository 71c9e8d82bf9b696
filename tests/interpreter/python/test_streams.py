"""Output streams and marks, over pipes."""

import os
import threading
import time
import unittest

from hypha_kernel import streams

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
        self.marks = streams.Marks(NONCE, self.writes)
        self.out = streams.OutStream("stdout", self.writes[0], self.marks)
        self.err = streams.OutStream("stderr", self.writes[1], self.marks)

    def tearDown(self):
        self.marks.before_fork()
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
        token = streams.CURRENT_CELL.set("1")
        try:
            self.out.write("late")
        finally:
            streams.CURRENT_CELL.reset(token)
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

    def test_an_interrupt_in_a_critical_section_comes_behind_it(self):
        critical = streams.Critical()
        self.assertFalse(critical.defer())
        with self.assertRaises(KeyboardInterrupt):
            with critical:
                with critical:
                    self.assertTrue(critical.defer())
                reached = True
        self.assertTrue(reached)
        with critical:
            critical.defer()
            critical.forget()


if __name__ == "__main__":
    unittest.main()
