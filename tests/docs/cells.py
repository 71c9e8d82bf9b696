"""Runs the Python blocks of a document, one after the other, with one set of variables and `await` at the top level.

Reads one JSON object a line, {"code", "file", "line"}, and answers each with a line that begins with the mark given as
the argument. What blocks print comes before that line.
"""

import ast
import asyncio
import inspect
import json
import sys
import threading
import traceback

mark = sys.argv[1]
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
threading.Thread(target=loop.run_forever, daemon=True).start()
variables = {"__name__": "__main__"}


async def run(code):
    value = eval(code, variables)
    if inspect.iscoroutine(value):
        await value


for line in sys.stdin:
    request = json.loads(line)
    error = None
    try:
        # Line numbers of tracebacks are those of the document.
        text = "\n" * (request["line"] - 1) + request["code"]
        code = compile(text, request["file"], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        asyncio.run_coroutine_threadsafe(run(code), loop).result()
    except BaseException:
        error = traceback.format_exc()
    sys.stdout.flush()
    print("\n" + mark + json.dumps({"error": error}), flush=True)
