"""Runs fragments of documents one after the other in one namespace, as a reader would paste them.

``python run_fragments.py PRELUDE FRAGMENT…``; the prelude defines what the fragments take for granted.
"""

import ast
import asyncio
import inspect
import sys


async def main():
    namespace = {"__name__": "__fragments__"}
    for path in sys.argv[1:]:
        with open(path) as file:
            source = file.read()
        print("#", path.rsplit("/", 1)[-1], flush=True)
        code = compile(source, path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(code, namespace)
        if inspect.isawaitable(value):
            await value


asyncio.run(main())
