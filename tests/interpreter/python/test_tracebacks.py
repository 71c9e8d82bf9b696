"""Tracebacks."""

import sys
import unittest

from hypha_kernel import cells, tracebacks


def error_of(call, *args):
    try:
        call(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


class TracebacksTest(unittest.TestCase):
    def test_frames_of_the_kernel_are_left_out_everywhere_in_the_chain(self):
        def chained():
            try:
                cells.Compiler().compile("1 +", "<test>")
            except SyntaxError as error:
                raise ValueError("v") from error

        text = "\n".join(tracebacks.describe(error_of(chained))["traceback"])
        self.assertIn("SyntaxError", text)
        self.assertIn("in chained", text)
        self.assertNotIn("hypha_kernel", text.replace(__file__, ""))

    def test_a_chain_that_bites_its_tail_ends(self):
        a, b = ValueError("a"), ValueError("b")
        a.__context__, b.__context__ = b, a
        self.assertEqual(tracebacks.describe(a)["evalue"], "a")

    def test_errors_without_a_traceback_can_be_shown(self):
        described = tracebacks.describe(KeyError("k"))
        self.assertEqual(described, {"ename": "KeyError", "evalue": "'k'", "traceback": ["KeyError: 'k'"]})

    def test_a_broken_str_is_named(self):
        class Broken(Exception):
            def __str__(self):
                raise SystemExit(1)

        described = tracebacks.describe(Broken())
        self.assertIn("SystemExit", described["evalue"])
        self.assertTrue(described["traceback"])

    def test_what_is_too_long_is_cut(self):
        described = tracebacks.describe(ValueError("x" * 10**6))
        self.assertLess(sum(map(len, described["traceback"])), 10**5)
        many = tracebacks.describe(ValueError("x\n" * 10**5))
        self.assertLessEqual(len(many["traceback"]), tracebacks.MAX_LINES + 1)

    @unittest.skipIf(sys.version_info < (3, 11), "there are no groups")
    def test_members_of_groups_are_cleaned_too(self):
        inner = error_of(cells.Compiler().compile, "1 +", "<test>")
        group = ExceptionGroup("g", [inner])  # noqa: F821
        text = "\n".join(tracebacks.describe(group)["traceback"])
        self.assertIn("SyntaxError", text)
        self.assertNotIn("hypha_kernel", text.replace(__file__, ""))


if __name__ == "__main__":
    unittest.main()
