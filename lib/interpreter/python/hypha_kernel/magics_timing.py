"""``%time``, ``%timeit`` and ``%prun``, for statements and for cells."""

import ast
import io
import math
import os
import time
import timeit
from typing import Any, Dict, List, Tuple

from . import cells
from .magics_registry import Call, UsageError, cell_magic, line_magic

_TEMPLATE = """
def inner(_it, _timer):
    setup
    _t0 = _timer()
    for _i in _it:
        statement
    _t1 = _timer()
    return _t1 - _t0
"""


def _span(seconds: float, precision: int = 3) -> str:
    """A time as people say it."""
    if seconds >= 60:
        parts = []  # type: List[str]
        left = int(seconds)
        for size, suffix in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
            if left >= size:
                parts.append("%d%s" % (left // size, suffix))
                left %= size
        return " ".join(parts)
    units = ("s", "ms", "µs", "ns")
    order = min(-int(math.floor(math.log10(seconds)) // 3), 3) if seconds > 0 else 3
    return "%.*g %s" % (precision, seconds * 1000.0**order, units[order])


class _Clock:
    """Prints how long something took, also when it fails."""

    def __enter__(self) -> "_Clock":
        self._wall = time.perf_counter()
        self._cpu = _cpu()
        return self

    def __exit__(self, *exc: object) -> None:
        user, system = (now - then for now, then in zip(_cpu(), self._cpu))
        wall = time.perf_counter() - self._wall
        print(
            "CPU times: user %s, sys: %s, total: %s" % (_span(user), _span(system), _span(user + system))
        )
        print("Wall time: %s" % _span(wall))


def _cpu() -> Tuple[float, float]:
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


@line_magic("time", verbatim=True)
def time_statement(call: Call) -> Any:
    """%time STATEMENT: runs a statement once and prints how long it took. The value of an expression is kept."""
    compiled = _compiled(call)
    with _Clock():
        eval(compiled.body, call.globals, call.locals)  # noqa: S307
        value = eval(compiled.last, call.globals, call.locals) if compiled.last else None  # noqa: S307
    return None if compiled.silent_result else value


async def time_line(call: Call) -> Any:
    """``%time`` with an ``await`` in it, outside of functions."""
    compiled = _compiled(call)
    with _Clock():
        _, value = await cells.run(compiled, call.globals)
    return None if compiled.silent_result else value


def _compiled(call: Call) -> "cells.Cell":
    compiler = call.magics.compiler
    return compiler.compile_text("\n" * (call.line - 1) + call.text, call.filename)


@cell_magic("time", verbatim=True)
async def time_cell(call: Call, body: str, before: int) -> Any:
    """%%time: runs the cell and prints how long it took."""
    if call.text:
        # What stands beside the magic is the first line of the cell.
        body, before = call.text + "\n" + body, before - 1
    compiled = call.magics.compiler.compile_text("\n" * before + body, call.filename)
    with _Clock():
        has_result, value = await cells.run(compiled, call.namespace)
    return value if has_result else None


class TimeitResult:
    """What ``%timeit -o`` gives: the times, and their mean and deviation."""

    def __init__(self, loops: int, runs: List[float], precision: int) -> None:
        self.loops = loops
        self.repeat = len(runs)
        #: Seconds of all loops of each run.
        self.all_runs = runs
        #: Seconds of one loop, by run.
        self.timings = [run / loops for run in runs]
        self.best = min(self.timings)
        self.worst = max(self.timings)
        self.average = math.fsum(self.timings) / len(self.timings)
        deviations = ((one - self.average) ** 2 for one in self.timings)
        self.stdev = math.sqrt(math.fsum(deviations) / len(self.timings))
        self._precision = precision

    def __str__(self) -> str:
        return "%s ± %s per loop (mean ± std. dev. of %d run%s, %s loop%s each)" % (
            _span(self.average, self._precision),
            _span(self.stdev, self._precision),
            self.repeat,
            "" if self.repeat == 1 else "s",
            format(self.loops, ","),
            "" if self.loops == 1 else "s",
        )

    def __repr__(self) -> str:
        return "<TimeitResult : %s>" % self


@line_magic("timeit", verbatim=True)
def timeit_statement(call: Call) -> Any:
    """%timeit [-n LOOPS] [-r RUNS] [-p DIGITS] [-q] [-o] STATEMENT: runs a statement often and prints its time."""
    options, statement = _timeit_options(call)
    shift = "\n" * (call.line - 1)
    return _measure(call, options, "", shift + statement)


@cell_magic("timeit", verbatim=True)
def timeit_cell(call: Call, body: str, before: int) -> Any:
    """%%timeit [-n LOOPS] [-r RUNS] [-p DIGITS] [-q] [-o] [SETUP]: runs the cell often and prints its time."""
    options, setup = _timeit_options(call)
    if not body.strip():
        setup, body, before = "", setup, before - 1
    return _measure(call, options, "\n" * (before - 1) + setup, "\n" * before + body)


def _timeit_options(call: Call) -> Tuple[Dict[str, int], str]:
    options = {"n": 0, "r": 7, "p": 3}  # type: Dict[str, int]
    text = call.text.lstrip()
    while text.startswith("-") and len(text) > 1 and text[1].isalpha():
        flag, text = text[1], text[2:].lstrip()
        if flag in "nrp":
            word, _, text = text.partition(" ")
            if not word.isdigit() or not int(word):
                raise UsageError("-%s of %%timeit needs a number, not %r" % (flag, word))
            options[flag] = int(word)
        elif flag in "qotcv":
            options[flag] = 1
        else:
            raise UsageError("%%timeit does not know the flag -%s" % flag)
        text = text.lstrip()
    return options, text


def _measure(call: Call, options: Dict[str, int], setup: str, statement: str) -> Any:
    if not statement.strip():
        return None
    compiler = call.magics.compiler
    template = ast.parse(_TEMPLATE)
    function = template.body[0]  # type: Any
    loop = function.body[2]
    loop.body = compiler.parse(statement, call.filename).body or [ast.Pass()]
    function.body[0:1] = compiler.parse(setup, call.filename).body
    code = compile(ast.fix_missing_locations(template), call.filename, "exec", compiler.flags, True)
    names = call.globals
    if call.locals is not names:
        # Inside of a function its variables are meant too.
        names = dict(names, **call.locals)
    found = {}  # type: Dict[str, Any]
    exec(code, names, found)  # noqa: S102
    timer = timeit.Timer(timer=time.process_time if "c" in options else time.perf_counter)
    timer.inner = found["inner"]  # type: ignore[attr-defined]
    number = options["n"]
    if not number:
        for number in (10**power for power in range(10)):
            if timer.timeit(number) >= 0.2:
                break
    runs = timer.repeat(options["r"], number)
    result = TimeitResult(number, runs, options["p"])
    if "q" not in options:
        print(result)
    return result if "o" in options else None


# Where time goes


@line_magic("prun", verbatim=True)
def prun(call: Call) -> Any:
    """%prun [-q] [-r] [-s KEY] [-l LIMIT] [-T FILE] [-D FILE] STATEMENT: runs it and prints where its time went.

    -s: what to sort by (time, cumulative, calls, name); -l: how many functions, or a part of their names;
    -T: writes the table into a file, -D: the figures themselves; -q: prints nothing; -r: gives the statistics.
    """
    options, statement = _prun_options(call)
    return _profile(call, options, "\n" * (call.line - 1) + statement)


@cell_magic("prun", verbatim=True)
def prun_cell(call: Call, body: str, before: int) -> Any:
    """%%prun: as %prun, for the cell."""
    options, statement = _prun_options(call)
    # What stands beside the magic is the first line of the cell.
    return _profile(call, options, "\n" * (before - 1) + statement + "\n" + body)


def _prun_options(call: Call) -> Tuple[Dict[str, List[str]], str]:
    options = {}  # type: Dict[str, List[str]]
    text = call.text.lstrip()
    while text.startswith("-") and text[1:2].isalpha():
        flag, text = text[1], text[2:].lstrip()
        if flag in "qr":
            options[flag] = []
        elif flag in "slTD":
            word, _, text = text.partition(" ")
            if not word:
                raise UsageError("-%s of %%prun needs a value" % flag)
            options.setdefault(flag, []).append(word)
        else:
            raise UsageError("%%prun does not know the flag -%s" % flag)
        text = text.lstrip()
    return options, text


def _profile(call: Call, options: Dict[str, List[str]], statement: str) -> Any:
    import cProfile
    import pstats

    tree = call.magics.compiler.parse(statement, call.filename)
    profile = cProfile.Profile()
    try:
        code = compile(tree, call.filename, "exec", 0, True)
    except SyntaxError as error:
        if "await" in str(error):
            raise UsageError("%prun cannot run code with await") from None
        raise
    try:
        profile.runctx(code, call.globals, call.locals)  # type: ignore[arg-type]
    finally:
        table = io.StringIO()
        stats = pstats.Stats(profile, stream=table).strip_dirs()
        try:
            stats.sort_stats(*options.get("s", ["time"]))
        except KeyError as error:
            raise UsageError("%%prun cannot sort by %s" % error) from None
        limits = [int(one) if one.isdigit() else one for one in options.get("l", [])]
        stats.print_stats(*limits)
        if "q" not in options:
            print(table.getvalue().strip("\n"))
        for path in options.get("T", []):
            with open(os.path.expanduser(path), "w", encoding="utf-8") as file:
                file.write(table.getvalue())
        for path in options.get("D", []):
            stats.dump_stats(os.path.expanduser(path))
    return stats if "r" in options else None
