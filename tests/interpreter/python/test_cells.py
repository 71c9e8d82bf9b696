"""Compiling and running cells."""

import asyncio
import linecache
import unittest

from hypha_kernel import cells


def run(source, namespace=None, compiler=None):
    compiled = (compiler or cells.Compiler()).compile(source, "<test>")
    return asyncio.run(cells.run(compiled, {} if namespace is None else namespace))


class CellsTest(unittest.TestCase):
    def test_only_the_last_expression_has_a_value(self):
        self.assertEqual(run("1\n2"), (True, 2))
        self.assertEqual(run("2\nx = 1"), (False, None))
        self.assertEqual(run(""), (False, None))
        self.assertEqual(run("None")[0], False)

    def test_a_semicolon_hides_the_value_that_is_still_computed(self):
        self.assertEqual(run("[].append(1); 5;"), (False, 5))

    def test_the_last_token_decides_about_the_semicolon(self):
        for source in ("x;", "x ; # c", "x;\n\n# c\n", "'''a\nb''';"):
            self.assertTrue(cells.ends_with_semicolon(source), source)
        for source in ("x", "x # ;", "';'", "", "x;\ny", "(", "'''"):
            self.assertFalse(cells.ends_with_semicolon(source), source)

    def test_await_makes_the_parts_coroutines(self):
        self.assertEqual(run("import asyncio\nawait asyncio.sleep(0)\nawait asyncio.sleep(0, 7)"), (True, 7))

    def test_future_statements_hold_for_later_cells_of_the_same_compiler(self):
        compiler = cells.Compiler()
        namespace = {}
        run("from __future__ import annotations", namespace, compiler)
        run("def f(a: nothing): pass", namespace, compiler)
        with self.assertRaises(NameError):
            run("def f(a: nothing): pass\nf.__annotations__", {}, cells.Compiler())

    def test_the_source_is_kept_for_tracebacks(self):
        run("a = 1\nb = 2")
        linecache.checkcache()
        self.assertEqual(linecache.getline("<test>", 2), "b = 2\n")


if __name__ == "__main__":
    unittest.main()
