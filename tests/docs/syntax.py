"""Reads a JSON list of {"code", "line"} and prints a JSON list of what is wrong with each, null for nothing."""

import ast
import json
import sys

answers = []
for block in json.load(sys.stdin):
    try:
        compile("\n" * (block["line"] - 1) + block["code"], "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        answers.append(None)
    except SyntaxError as error:
        answers.append(f"line {error.lineno}: {error.msg}")
print(json.dumps(answers))
