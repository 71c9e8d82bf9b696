"""Critical sections, and the marks at the ends of cells."""

import os
import socket
import sys
import unittest

from hypha_kernel import marks, streams

NONCE = "n0nce"


def mark(number, kind="s", owner=""):
    return "\x1e%s:%d:%s:%s\x1e" % (NONCE, number, kind, owner)


class CriticalTest(unittest.TestCase):
    def test_an_interrupt_in_a_critical_section_comes_behind_it(self):
        critical = marks.Critical()
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


class CellsTest(unittest.TestCase):
    def setUp(self):
        self.reads, self.writes = zip(*(os.pipe() for _ in range(2)))
        for fd in self.reads:
            os.set_blocking(fd, False)
        self.marks = marks.Marks(NONCE, list(self.writes))
        self.out = streams.OutStream("stdout", self.writes[0], self.marks)

    def tearDown(self):
        self.marks.before_fork()
        for fd in list(self.reads) + list(self.writes) + self.marks._fds:
            os.close(fd)

    def text(self):
        try:
            return os.read(self.reads[0], 1 << 20).decode()
        except BlockingIOError:
            return ""

    def test_a_cell_that_the_worker_does_not_count_begins_with_a_mark(self):
        self.marks.begin("1", False)
        self.assertEqual(self.text(), mark(1, "s", "1"))
        self.assertFalse(self.marks.alone)

    def test_a_counted_cell_needs_no_mark_when_nothing_was_printed_since_the_last(self):
        self.marks.begin("1", False)
        self.marks.end(True)
        self.text()
        self.marks.begin("2", True)
        self.assertEqual((self.text(), self.marks.active, self.marks.alone), ("", "2", True))

    @unittest.skipUnless(sys.platform == "linux", "elsewhere every cell ends with a mark")
    def test_a_quiet_cell_ends_without_a_mark_once_everything_has_been_read(self):
        pairs = [socket.socketpair() for _ in range(2)]
        ends = marks.Marks(NONCE, [ours.fileno() for ours, _ in pairs])
        theirs = pairs[0][1]
        try:
            ends.begin("1", False)
            self.assertEqual(ends.end(True), 2)
            for _, other in pairs:
                other.recv(1000)
            ends.begin("2", True)
            self.assertIsNone(ends.end(True))
            ends.begin("3", True)
            # Something is left that may print.
            self.assertEqual(ends.end(False), 3)
            for _, other in pairs:
                other.recv(1000)
            ends.begin("4", True)
            pairs[0][0].send(b"by C code, and not read yet")
            self.assertEqual(ends.end(True), 4)
            self.assertEqual(theirs.recv(1000), b"by C code, and not read yet" + mark(4, "c").encode())
        finally:
            for one in (*pairs[0], *pairs[1]):
                one.close()
            for fd in ends._fds:
                os.close(fd)

    def test_text_from_between_counted_cells_belongs_to_neither(self):
        self.marks.begin("1", False)
        self.marks.end(True)
        self.text()
        self.out._last_flush = float("inf")
        self.out.write("late")
        self.marks.begin("2", True)
        self.assertEqual(self.text(), mark(3) + "late" + mark(4, "s", "2"))
        self.assertFalse(self.marks.alone)

    def test_what_is_printed_while_a_mark_is_written_comes_behind_it(self):
        original = marks.write_all

        def write_all(fd, data):
            original(fd, data)
            if data.startswith(b"\x1e"):
                # As a destructor does that the garbage collector calls here.
                self.out.write("x\n")

        marks.write_all = write_all
        try:
            self.marks.put("s", "1")
        finally:
            marks.write_all = original
        self.assertEqual(self.text(), mark(1, "s", "1"))
        # It is nobody's, and does not get into the output of the next cell.
        self.marks.begin("2", True)
        self.assertEqual(self.text(), mark(2) + "x\nx\n" + mark(3, "s", "2"))


if __name__ == "__main__":
    unittest.main()
