"""How cells with magics become Python, and what the magics' own helpers do."""

import asyncio
import linecache
import sys
import unittest

from hypha_kernel import cells, magics, magics_shell, magics_transform


def lines_of(source):
    """The transformed lines, with the calls under a short name."""
    text, _changed = magics_transform.transform(source, "M")
    return text.split("\n")


def error_of(source):
    try:
        cells.Compiler().compile(source, "<test>")
    except SyntaxError as error:
        return error
    raise AssertionError("nothing was raised")


class TransformTest(unittest.TestCase):
    def test_escapes_become_calls_in_their_own_lines(self):
        self.assertEqual(lines_of("!ls -l\nx = 1"), ["M('system', 'ls -l')", "x = 1"])
        self.assertEqual(lines_of("!!ls"), ["M('output', 'ls')"])
        self.assertEqual(lines_of("%cd  /tmp "), ["M('line', 'cd', '/tmp')"])
        self.assertEqual(lines_of("if x:\n    %pwd"), ["if x:", "    M('line', 'pwd', '')"])

    def test_values_of_escapes_can_be_assigned(self):
        self.assertEqual(lines_of("x = !ls"), ["x = M('output', 'ls')"])
        self.assertEqual(lines_of("a.b, c['='] = %env"), ["a.b, c['='] = M('line', 'env', '')"])

    def test_text_in_strings_brackets_and_continued_lines_is_not_touched(self):
        for source in (
            "x = '''\n%cd\n!ls\n'''",
            'x = """a\\"""\n%cd\n"""',
            "x = (7\n%cd\n)",
            "x = 7 \\\n%cd",
            "x = 'a\\\n%cd'",
            "f(a=[{\n!ls\n}])",
            "x != y",
            "x % y",
            "x = '=!' # = !ls",
        ):
            self.assertEqual(lines_of(source), source.split("\n"), source)

    def test_quotes_in_a_command_do_not_reach_the_next_line(self):
        self.assertEqual(
            lines_of("!echo it's\n!echo \"\"\"(\n%cd"),
            ["M('system', \"echo it's\")", "M('system', 'echo \"\"\"(')", "M('line', 'cd', '')"],
        )

    def test_a_continued_escape_leaves_empty_lines(self):
        self.assertEqual(lines_of("!a \\\n  b \\\nc\nx"), ["M('system', 'a    b  c')", "", "", "x"])
        self.assertEqual(lines_of("x = !a \\\nb\ny"), ["x = M('output', 'a  b')", "", "y"])
        self.assertEqual(lines_of("!a \\"), ["M('system', 'a \\\\')"])

    def test_questions_become_calls(self):
        self.assertEqual(lines_of("a.b?"), ["M('help', 'a.b', 1)"])
        self.assertEqual(lines_of("a.b??"), ["M('help', 'a.b', 2)"])
        self.assertEqual(lines_of("?a"), ["M('help', 'a', 1)"])
        self.assertEqual(lines_of("%cd?"), ["M('help', '%cd', 1)"])
        self.assertEqual(lines_of("!ls?"), ["M('system', 'ls?')"])

    def test_a_cell_magic_takes_all_lines(self):
        self.assertEqual(
            lines_of("\n%%bash -x\n%cd\n'''"), ["", "await M('cell', 'bash', '-x', \"%cd\\n'''\\n\", 2)", "", "", ""]
        )

    def test_code_with_many_escapes_takes_no_more_than_its_share(self):
        source = "!echo\n" * 20000
        self.assertEqual(len(lines_of(source)), 20001)


class CompileTest(unittest.TestCase):
    def test_python_stays_as_it_is(self):
        source = "x = 5\ny = 3\nx \\\n%y"
        parsed = magics_transform.parse(source, "<test>", 0)
        self.assertIs(parsed.source, source)

    def test_the_text_of_a_cell_is_kept_as_it_was_written(self):
        cells.Compiler().compile("!ls\n%cd", "<kept>")
        self.assertEqual(linecache.getlines("<kept>"), ["!ls\n", "%cd\n"])

    def test_a_syntax_error_names_the_place_in_the_cell_as_it_was_written(self):
        error = error_of("!ls\nx = = 2\n%cd")
        self.assertEqual((error.lineno, error.text.strip()), (2, "x = = 2"))
        error = error_of("x = 1\n  !ls")
        self.assertEqual((error.lineno, error.text.strip()), (2, "!ls"))
        self.assertNotIn("_hypha_", str(error.text))

    def test_a_magic_without_its_sign_is_recognised(self):
        self.assertIn("Did you mean '%pip install x'?", error_of("pip install x").msg)
        self.assertNotIn("Did you mean '%", error_of("peep install x").msg)

    def test_positions_lie_within_the_line_as_it_was_written(self):
        tree = magics_transform.parse("x = !ls", "<test>", 0).tree
        self.assertEqual(tree.body[0].value.end_col_offset, len("x = !ls"))


class ExpandTest(unittest.TestCase):
    def expand(self, text, **names):
        return eval("expand(text, sys._getframe())", dict(expand=magics_shell.expand, sys=sys, text=text, **names))

    def test_expressions_and_names_are_filled_in(self):
        self.assertEqual(self.expand("a {x + 1} $x {x!r} {y[1:]}", x=4, y="abc"), "a 5 4 4 bc")

    def test_what_belongs_to_the_shell_stays(self):
        for text in ("${HOME_X}", "$HOME_X", "a{b,c}", "awk '{print $1}'", "find {} ;", "$$ $1", "}{", "echo }"):
            self.assertEqual(self.expand(text), text)

    def test_what_can_be_filled_in_is_beside_what_cannot(self):
        self.assertEqual(self.expand("$HOME_X/{x}", x=1), "$HOME_X/1")

    def test_a_doubled_dollar_and_single_quotes_protect(self):
        self.assertEqual(self.expand("$$x '$x' {{x}}", x=1), "$x '$x' {x}")


class MagicsTest(unittest.TestCase):
    def test_lines_of_a_command_have_the_forms_of_ipython(self):
        lines = magics_shell.SList(["a b", "c d"])
        self.assertEqual((lines.s, lines.n, lines.l), ("a b c d", "a b\nc d", ["a b", "c d"]))
        self.assertEqual((lines.fields(1), lines.grep("C")), (["b", "d"], ["c d"]))

    def test_every_magic_is_documented(self):
        for table in (magics.LINES, magics.CELLS):
            for name, magic in table.items():
                self.assertTrue(magic.function.__doc__, name)

    def test_magics_do_not_need_a_session_to_be_compiled(self):
        compiled = cells.Compiler().compile("x = %nothing\nx", "<test>")
        with self.assertRaises(NameError):
            asyncio.run(cells.run(compiled, {}))


if __name__ == "__main__":
    unittest.main()
