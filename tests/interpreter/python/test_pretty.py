"""Plain text of values, and the formatters that make bundles."""

import collections
import contextlib
import dataclasses
import io
import re
import types
import unittest

from hypha_kernel import pretty
from hypha_kernel.display import FORMATTER, bundle
from hypha_kernel.formatters import DisplayFormatter


def text(value):
    return FORMATTER.formatters["text/plain"](value)


class PlainTextTest(unittest.TestCase):
    def test_containers_stay_on_a_line_that_is_wide_enough(self):
        self.assertEqual(text({"b": [1, (2,)], "a": {3, 1, 2}}), "{'b': [1, (2,)], 'a': {1, 2, 3}}")
        self.assertEqual(text([set(), frozenset(), frozenset({1}), {}]), "[set(), frozenset(), frozenset({1}), {}]")

    def test_containers_that_are_too_wide_have_a_line_for_each_element(self):
        value = {"key": ["x" * 30] * 3}
        line = "'" + "x" * 30 + "'"
        self.assertEqual(text(value), "{'key': [%s,\n  %s,\n  %s]}" % (line, line, line))

    def test_long_containers_end_after_a_thousand_elements(self):
        lines = text(list(range(5000))).split("\n")
        self.assertEqual((len(lines), lines[-1]), (1001, " ...]"))

    def test_text_is_bounded_however_large_the_value(self):
        for value in (["x" * 10000] * 1000, "y" * (3 * pretty.MAX_TEXT), [["z" * 100] * 1000] * 1000):
            shown = text(value)
            self.assertEqual((len(shown), shown[-1]), (pretty.MAX_TEXT + 1, "…"))

    def test_cycles_end(self):
        loop = [1]
        loop.append(loop)
        self.assertEqual(text(loop), "[1, [...]]")
        self.assertEqual(text({"a": loop}), "{'a': [1, [...]]}")

    def test_nesting_without_end_is_no_traceback(self):
        value = []
        for _ in range(100000):
            value = [value]
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            self.assertIn("nested too deeply", text(value))
        self.assertEqual(stderr.getvalue(), "")
        while value:
            value = value[0]

    def test_types_have_the_forms_that_ipython_gives_them(self):
        point = collections.namedtuple("point", "x y")

        @dataclasses.dataclass
        class Data:
            a: int

        self.assertEqual(text([point(1, 2)]), "[point(x=1, y=2)]")
        self.assertIn("Data(a=1)", text(Data(1)))
        self.assertEqual(text(collections.OrderedDict(a=1)), "OrderedDict([('a', 1)])")
        self.assertEqual(text(collections.Counter("aab")), "Counter({'a': 2, 'b': 1})")
        self.assertEqual(text(collections.defaultdict(list, a=[])), "defaultdict(list, {'a': []})")
        self.assertEqual(text(collections.deque([1], maxlen=2)), "deque([1], maxlen=2)")
        self.assertEqual(text(types.SimpleNamespace(a=1)), "namespace(a=1)")
        self.assertEqual(text(ValueError("x", 1)), "ValueError('x', 1)")
        self.assertEqual(text([int, len]), "[int, <function len(obj, /)>]")
        self.assertEqual(text(re.compile(r"\d")), r"re.compile(r'\d', re.UNICODE)")
        self.assertRegex(text([object()]), r"\[<object at 0x[0-9a-f]+>\]")

    def test_lines_of_a_repr_keep_their_places(self):
        class Matrix:
            def __repr__(self):
                return "[1\n 2]"

        self.assertEqual(text([Matrix(), 3]), "[[1\n  2],\n 3]")

    def test_values_may_lay_themselves_out(self):
        class Own:
            def _repr_pretty_(self, printer, cycle):
                with printer.group(4, "Own(", ")"):
                    printer.text("a,")
                    printer.breakable()
                    printer.pretty([1])

        self.assertEqual(text({"k": Own()}), "{'k': Own(a, [1])}")


class Everything:
    def _repr_html_(self):
        return "html"

    def _repr_png_(self):
        return b"png"

    def _repr_json_(self):
        return [1]

    def _repr_pdf_(self):
        return b"pdf"


class FormatterTest(unittest.TestCase):
    def test_forms_come_in_the_order_of_ipython(self):
        order = ["text/plain", "text/html", "image/png", "application/pdf", "application/json"]
        self.assertEqual(list(bundle(Everything())[0]), order)

    def test_forms_can_be_chosen_and_left_out(self):
        self.assertEqual(list(bundle(Everything(), include=["text/html"])[0]), ["text/html"])
        rest = bundle(Everything(), include=["text/html", "image/png"], exclude={"image/png"})[0]
        self.assertEqual(list(rest), ["text/html"])

    def test_a_bundle_of_its_own_is_filtered_too_and_may_be_none(self):
        class Own:
            answer = {"a/b": 1, "c/d": b"x"}, {"a/b": {"m": 1}}

            def _repr_mimebundle_(self, include=None, exclude=None):
                return self.answer

        self.assertEqual(bundle(Own(), exclude=["text/plain"]), ({"a/b": 1, "c/d": "eA=="}, {"a/b": {"m": 1}}))
        self.assertEqual(bundle(Own(), include=["c/d"]), ({"c/d": "eA=="}, {}))
        Own.answer = None
        self.assertEqual(list(bundle(Own())[0]), ["text/plain"])

    def test_a_class_method_of_a_class_is_asked(self):
        class Meta:
            @classmethod
            def _repr_html_(cls):
                return "class"

        self.assertEqual(bundle(Meta)[0]["text/html"], "class")
        self.assertEqual(list(bundle(Everything)[0]), ["text/plain"])

    def test_functions_can_be_registered_for_types(self):
        formatter = DisplayFormatter()
        html = formatter.formatters["text/html"]
        self.assertIsNone(html.for_type(complex, lambda value: "<c>"))
        html.for_type("decimal.Decimal", lambda value: "<d>")
        self.assertEqual(formatter.format(1j)[0]["text/html"], "<c>")
        from decimal import Decimal

        self.assertEqual(formatter.format(Decimal(1))[0]["text/html"], "<d>")
        html.pop(complex)
        self.assertNotIn("text/html", formatter.format(1j)[0])
        self.assertRaises(KeyError, html.pop, complex)
        formatter.formatters["text/plain"].for_type(bool, lambda value, printer, cycle: printer.text("yes"))
        self.assertEqual(formatter.format([True])[0]["text/plain"], "[yes]")

    def test_a_formatter_that_fails_shows_only_the_frames_of_its_own_code(self):
        class Bad:
            def _repr_html_(self):
                raise ValueError("broken")

            def _repr_latex_(self):
                raise NotImplementedError

            def _repr_svg_(self):
                return 5

        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            self.assertEqual(list(bundle(Bad())[0]), ["text/plain"])
        message = stderr.getvalue()
        self.assertIn("ValueError: broken", message)
        self.assertIn("_repr_svg_ of Bad returned int, not str", message)
        self.assertNotIn("NotImplementedError", message)
        self.assertEqual(message.count("File "), 1)


if __name__ == "__main__":
    unittest.main()
