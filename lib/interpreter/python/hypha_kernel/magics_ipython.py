"""Magics about IPython itself: its settings, its extensions, and those that mean nothing here."""

import sys
from typing import Any, Dict

from . import autoreload as reloading
from . import extensions
from .display import FORMATTER
from .magics_registry import CELLS, LINES, Call, UsageError, cell_magic, line_magic

# Settings


def remark(text: str) -> None:
    """Says something about a magic that is no error."""
    print(text, file=sys.stderr)


#: What can be set, and how that is read and written: an object of the session and a name on it.
_OPTIONS = {
    "InlineBackend": {
        "figure_formats": ("figures", "formats", "formats of figures: png, retina, jpeg, svg, pdf"),
        "figure_format": ("figures", "formats", "one format of figures"),
        "close_figures": ("figures", "close", "whether figures are closed at the end of the cell"),
        "print_figure_kwargs": ("figures", "options", "options for matplotlib's print_figure()"),
    },
    "InteractiveShell": {
        "ast_node_interactivity": (
            "shell",
            "ast_node_interactivity",
            "which expressions of a cell are shown: last_expr, last, last_expr_or_assign, all, none",
        ),
    },
}  # type: Dict[str, Dict[str, Any]]
#: Parts of IPython that notebooks configure and that do not exist here.
_ABSENT = (
    "Application IPCompleter Completer HistoryManager IPKernelApp ZMQInteractiveShell TerminalInteractiveShell "
    "PrefilterManager StoreMagics LoggingMagics ScriptMagics DisplayFormatter PlainTextFormatter BaseFormatter"
).split()


@line_magic("config", verbatim=True)
def config(call: Call) -> Any:
    """%config: what can be set; %config NAME: its options; NAME.OPTION: a value; NAME.OPTION = VALUE: sets it."""
    left, assigned, right = call.text.partition("=")
    name, _, option = (part.strip() for part in left.strip().partition("."))
    others = {type(one).__name__: one for one in call.magics.shell.configurables}
    if not name:
        print("Available objects for config:\n    " + "\n    ".join(sorted([*_OPTIONS, *others])))
        return None
    if name in others:
        return _of_extension(call, others[name], option, right if assigned else None)
    if name == "ZMQInteractiveShell" and option in _OPTIONS["InteractiveShell"]:
        name = "InteractiveShell"
    options = _OPTIONS.get(name)
    if options is None:
        if name in _ABSENT:
            remark("%%config %s has no effect here" % call.text)
            return None
        raise UsageError("%%config knows %s, not %s" % (" and ".join(sorted(_OPTIONS)), name))
    if not option:
        print("%s options\n%s" % (name, "-" * (len(name) + 8)))
        for key, (_where, _attribute, about) in options.items():
            print("%s.%s = %r: %s" % (name, key, _get(call, options, key), about))
        return None
    if option not in options:
        raise UsageError("%s has no option %s; it has %s" % (name, option, ", ".join(options)))
    if not assigned:
        return _get(call, options, option)
    try:
        where, attribute, _about = options[option]
        setattr(getattr(call.magics, where), attribute, _value(call, right))
    except (TypeError, ValueError) as error:
        raise UsageError("%%config %s.%s: %s" % (name, option, error)) from None
    return None


def _value(call: Call, text: str) -> Any:
    if not text.strip():
        raise UsageError("%config needs a value behind the =")
    return eval(text.strip(), call.globals, call.locals)  # noqa: S307  the user's own expression


def _get(call: Call, options: Dict[str, Any], option: str) -> Any:
    where, attribute, _about = options[option]
    value = getattr(getattr(call.magics, where), attribute)
    return sorted(value)[0] if option == "figure_format" else value


def _of_extension(call: Call, target: Any, option: str, text: Any) -> Any:
    names = sorted(target.trait_names(config=True))
    if not option:
        print("\n".join("%s.%s = %r" % (type(target).__name__, name, getattr(target, name)) for name in names))
        return None
    if option not in names:
        raise UsageError("%s has no option %s; it has %s" % (type(target).__name__, option, ", ".join(names)))
    if text is None:
        return getattr(target, option)
    setattr(target, option, _value(call, text))
    return None


@line_magic("precision")
def precision(call: Call) -> str:
    """%precision DIGITS or FORMAT: how numbers with a fraction are shown; without an argument as Python does."""
    text = call.text.strip("'\"")
    form = "%r" if not text else "%%.%sf" % text if text.isdigit() else text
    try:
        form % 3.14159
    except (TypeError, ValueError):
        raise UsageError("%%precision needs a number of digits or a format such as %%.3g, not %r" % text) from None
    FORMATTER.formatters["text/plain"].for_type(float, lambda value, printer, _cycle: printer.text(form % value))
    numpy = sys.modules.get("numpy")
    if numpy is not None and (not text or text.isdigit()):
        numpy.set_printoptions(precision=int(text or 8))  # type: ignore[attr-defined]
    return form


# Figures


@line_magic("matplotlib")
def matplotlib(call: Call) -> None:
    """%matplotlib inline: nothing to do, figures are always shown inline. Other backends are not available."""
    words = call.text.split()
    if words[:1] in (["--list"], ["-l"]):
        print("Available matplotlib backends: ['inline']")
    elif words and words[0] not in ("inline", "agg", "auto"):
        remark("%%matplotlib %s is not available here: figures are shown inline" % words[0])


# Extensions


@line_magic("load_ext", "reload_ext")
def load_ext(call: Call) -> None:
    """%load_ext NAME: loads an extension of IPython; most need IPython in the environment."""
    if not call.text:
        raise UsageError("%%%s needs the name of an extension" % call.name)
    if call.text not in ("autoreload", "storemagic"):
        extensions.load(call.magics.shell, call.text, call.name == "reload_ext")


@line_magic("unload_ext")
def unload_ext(call: Call) -> None:
    """%unload_ext NAME: takes an extension out again."""
    if call.text == "autoreload":
        reloading.RELOADER.mode = 0
    else:
        extensions.unload(call.magics.shell, call.text)


_MODES = {"": -1, "now": -1, "0": 0, "off": 0, "1": 1, "explicit": 1, "2": 2, "all": 2, "3": 2, "complete": 2}


@line_magic("autoreload")
def autoreload(call: Call) -> None:
    """%autoreload 2: before each cell reloads modules whose files have changed; 1: those of %aimport; 0: none."""
    words = call.text.lower().split()
    mode = _MODES.get(words[0] if words else "")
    if mode is None:
        raise UsageError("%%autoreload knows 0, 1 and 2, not %s" % call.text)
    if mode < 0:
        reloading.RELOADER.check(True)
    else:
        reloading.RELOADER.start(mode)
        call.magics.shell.events.register("pre_run_cell", reloading.RELOADER.before_cell)


@line_magic("aimport")
def aimport(call: Call) -> None:
    """%aimport NAME, …: imports modules that %autoreload 1 reloads; -NAME: one that is never reloaded."""
    for name in call.text.replace(",", " ").split():
        if name.startswith("-"):
            reloading.RELOADER.excluded.add(name[1:])
        else:
            reloading.RELOADER.wanted.add(name)
            __import__(name)
            call.namespace[name.partition(".")[0]] = sys.modules[name.partition(".")[0]]
    if not call.text:
        print("Modules to reload: %s" % (" ".join(sorted(reloading.RELOADER.wanted)) or "all that change"))
        print("Modules to skip: %s" % " ".join(sorted(reloading.RELOADER.excluded)))


# What has no effect here


@line_magic("xmode", "colors", "automagic", "pprint", "gui", "rehashx", "doctest_mode", "logoff", "logstop")
def without_effect(call: Call) -> None:
    """%xmode, %colors, %automagic, %pprint, %gui, %rehashx, %doctest_mode: accepted without effect."""
    remark("%%%s has no effect here" % call.name)


@line_magic("clear", "cls")
def clear(call: Call) -> None:
    """%clear: clears the output of the cell."""
    call.magics.publisher.clear_output()


# What there is


@line_magic("lsmagic")
def lsmagic(_call: Call) -> None:
    """%lsmagic: lists the magics."""
    print(list_magics())


@line_magic("magic", "quickref")
def magic(_call: Call) -> None:
    """%magic: what each magic does."""
    seen = set()
    for table in (LINES, CELLS):
        for one in table.values():
            about = (one.function.__doc__ or "").strip().partition("\n")[0]
            if about and about not in seen:
                seen.add(about)
                print(about)


def list_magics() -> str:
    """The names of all magics."""
    return "Line magics: %s\nCell magics: %s\n%%NAME? tells more about one." % (
        " ".join(sorted("%" + name for name in LINES)),
        " ".join(sorted("%%" + name for name in CELLS)),
    )


_FILL = "there is no next cell that could be filled in"
_JUPYTER = "this is no Jupyter kernel, and programs cannot connect to it"
_KEPT = "nothing is kept between sessions. Write a file with pickle or json instead, and save it where it stays"
_LOGGED = "use %history, or the session's log"

#: Magics of IPython that cannot be here, and why or what to do instead.
REFUSED = {
    "store": _KEPT,
    "bookmark": _KEPT,
    "alias": "write a function, or use !",
    "alias_magic": "write a function",
    "unalias": "there are no aliases",
    "edit": _FILL,
    "ed": _FILL,
    "recall": _FILL,
    "rep": _FILL,
    "rerun": "send the cell again",
    "macro": "write a function",
    "notebook": "the client has the notebook. %save writes cells into a program",
    "pastebin": "nothing is published from here",
    "pylab": "import what you need: import numpy as np, matplotlib.pyplot as plt",
    "connect_info": _JUPYTER,
    "qtconsole": _JUPYTER,
    "subshell": _JUPYTER,
    "logstart": _LOGGED,
    "logon": _LOGGED,
    "logstate": _LOGGED,
    "sc": "use NAME = !command",
    "cmd": "there is no Windows shell; %%bash is one",
    "pypy": "use %%script pypy3",
    "python2": "use %%script python2",
    "code_wrap": "use a decorator, or a context",
}
