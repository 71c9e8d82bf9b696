"""MIME bundles and the display functions."""

import contextlib
import io
import unittest
from unittest.mock import Mock

from hypha_kernel import display


class Rich:
    def _repr_html_(self):
        return "<b>"

    def _repr_png_(self):
        return b"png", {"width": 1}

    def _repr_latex_(self):
        return None

    def __repr__(self):
        return "Rich"


class DisplayTest(unittest.TestCase):
    def setUp(self):
        self.frames = []
        self.publisher = display.Publisher(self.frames.append)

    def test_all_forms_of_a_value_with_their_metadata(self):
        data, metadata = display.bundle(Rich())
        self.assertEqual(data, {"text/html": "<b>", "image/png": "cG5n", "text/plain": "Rich"})
        self.assertEqual(metadata, {"image/png": {"width": 1}})

    def test_classes_and_objects_that_answer_to_everything_are_text(self):
        self.assertEqual(list(display.bundle(Rich)[0]), ["text/plain"])
        self.assertEqual(list(display.bundle(Mock())[0]), ["text/plain"])

    def test_formatters_that_fail_are_reported_and_skipped(self):
        class Bad:
            def _repr_html_(self):
                raise ValueError("html")

            def __repr__(self):
                raise KeyError("repr")

        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            data, _ = display.bundle(Bad())
        self.assertIn("KeyError", data["text/plain"])
        self.assertIn("ValueError: html", stderr.getvalue())

    def test_text_is_bounded(self):
        self.assertEqual(len(display.bundle("x" * 2 * display.MAX_TEXT)[0]["text/plain"]), display.MAX_TEXT + 1)

    def test_display_ids_update_in_place(self):
        handle = self.publisher.display(1, display_id=True)
        handle.update(2)
        self.publisher.update_display(3, display_id=handle.display_id)
        self.assertEqual([frame["update"] for frame in self.frames], [False, True, True])
        self.assertEqual(len({frame["display_id"] for frame in self.frames}), 1)
        self.assertIsNone(self.publisher.display(4))

    def test_raw_bundles_are_sent_as_they_are(self):
        self.publisher.display({"x/y": 1}, raw=True, metadata={"a": 1})
        self.assertEqual((self.frames[0]["data"], self.frames[0]["metadata"]), ({"x/y": 1}, {"a": 1}))

    def test_clearing(self):
        self.publisher.clear_output(wait=True)
        self.assertEqual(self.frames, [{"op": "clear", "wait": True}])


if __name__ == "__main__":
    unittest.main()
