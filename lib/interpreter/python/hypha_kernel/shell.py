"""The object that ``get_ipython()`` gives: what libraries ask of IPython's shell, answered by the session.

Its class is not called ``ZMQInteractiveShell``: libraries that look for that name go on to need Jupyter's widgets
and its kernel.
"""

import ast
import builtins
import contextlib
import inspect
import subprocess
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional

from .display import FORMATTER, Publisher
from .formatters import report
from .magics_registry import run_to_end


class Events:
    """Callbacks by event; ``post_execute`` and ``post_run_cell`` are called after every cell."""

    def __init__(self) -> None:
        self.callbacks = {}  # type: Dict[str, List[Callable[..., Any]]]

    def register(self, event: str, function: Callable[..., Any]) -> None:
        """Adds a callback."""
        found = self.callbacks.setdefault(event, [])
        if function not in found:
            found.append(function)

    def unregister(self, event: str, function: Callable[..., Any]) -> None:
        """Removes a callback. Raises ``ValueError`` when it is not there."""
        if function not in self.callbacks.get(event, []):
            raise ValueError("Function %r is not registered as a %s callback" % (function, event))
        self.callbacks[event].remove(function)

    def trigger(self, event: str, *args: Any) -> None:
        """Calls the callbacks of an event; one that fails is reported."""
        for function in list(self.callbacks.get(event, [])):
            try:
                function(*args)
            except Exception as error:
                report(error)


class ExecutionInfo:
    """What callbacks of ``pre_run_cell`` get."""

    def __init__(self) -> None:
        cells = sys.modules["__main__"].__dict__.get("In")
        self.raw_cell = cells[-1] if isinstance(cells, list) and cells else ""
        self.cell_id = None
        self.store_history = True
        self.silent = False


class ExecutionResult:
    """What ``run_cell`` returns."""

    def __init__(self) -> None:
        self.result = None  # type: Any
        self.error_before_exec = None  # type: Optional[BaseException]
        self.error_in_exec = None  # type: Optional[BaseException]

    @property
    def success(self) -> bool:
        """Whether the code ran to its end."""
        return self.error_before_exec is None and self.error_in_exec is None

    def raise_error(self) -> None:
        """Raises the error of the code, if there is one."""
        error = self.error_before_exec or self.error_in_exec
        if error is not None:
            raise error


#: Which expressions of a cell may be shown; the first is what Jupyter does unless told otherwise.
INTERACTIVITIES = ("last_expr", "last", "last_expr_or_assign", "all", "none")


class HyphaShell:
    """The session, in the form of IPython's shell."""

    #: Libraries that look for a Jupyter kernel find the attribute (and choose rich output) but no kernel.
    kernel = None
    colors = "nocolor"

    def __init__(self, publisher: Publisher, namespace: Dict[str, Any]) -> None:
        self._publisher = publisher
        self._config = {}  # type: Dict[str, Any]
        self._interactivity = INTERACTIVITIES[0]
        self._being_extended = False
        self.user_ns = namespace
        self.display_formatter = FORMATTER
        self.events = Events()
        #: Objects of extensions that have settings.
        self.configurables = []  # type: List[Any]

    @property
    def config(self) -> Dict[str, Any]:
        """A place for libraries that keep settings in the shell's."""
        if self._being_extended:
            # Classes of extensions would take the shell for a part of IPython's tree of settings.
            raise AttributeError("config")
        return self._config

    @property
    def ast_node_interactivity(self) -> str:
        """Which expressions of a cell are shown."""
        # Notebooks set it on IPython's class too.
        module = sys.modules.get("IPython.core.interactiveshell")
        chosen = vars(getattr(module, "InteractiveShell", object)).get("ast_node_interactivity")
        return chosen if isinstance(chosen, str) and chosen in INTERACTIVITIES else self._interactivity

    @ast_node_interactivity.setter
    def ast_node_interactivity(self, chosen: str) -> None:
        if chosen not in INTERACTIVITIES:
            raise ValueError("%r is none of %s" % (chosen, ", ".join(INTERACTIVITIES)))
        self._interactivity = chosen

    @property
    def user_global_ns(self) -> Dict[str, Any]:
        """The variables of the session."""
        return self.user_ns

    @property
    def user_module(self) -> Any:
        """The module that cells run in."""
        return sys.modules["__main__"]

    @property
    def execution_count(self) -> int:
        """Number of the cell that runs."""
        cells = self.user_ns.get("In")
        return len(cells) - 1 if isinstance(cells, list) else 0

    @property
    def display_pub(self) -> Any:
        """Where displays are published; may be replaced to capture them."""
        return self._publisher.target

    @display_pub.setter
    def display_pub(self, target: Any) -> None:
        self._publisher.target = target

    # Extensions

    @contextlib.contextmanager
    def being_extended(self) -> Iterator[None]:
        """While an extension is loaded."""
        self._being_extended = True
        try:
            yield
        finally:
            self._being_extended = False

    def register_magics(self, *magic_objects: Any) -> None:
        """Adds the magics of classes made with IPython's ``magics_class``, or of their instances."""
        from . import extensions

        with self.being_extended():
            extensions.register_magics(self, *magic_objects)

    def register_magic_function(
        self, func: Callable[..., Any], magic_kind: str = "line", magic_name: Optional[str] = None
    ) -> None:
        """Adds a magic: ``func(line)``, or ``func(line, cell)`` for cells."""
        from . import extensions

        extensions.register_function(func, magic_kind, magic_name or func.__name__)

    # Code

    def run_cell(self, raw_cell: str, store_history: bool = False, silent: bool = False, **_options: Any) -> Any:
        """Runs code in the session's namespace; errors are printed and kept in the result."""
        from . import magics_transform

        result = ExecutionResult()
        try:
            tree = magics_transform.parse(raw_cell, "<run_cell>", 0).tree
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            body = compile(tree, "<run_cell>", "exec", 0, True)
            value = None if last is None else compile(ast.Expression(last.value), "<run_cell>", "eval", 0, True)
        except Exception as error:
            result.error_before_exec = error
            report(error)
            return result
        try:
            exec(body, self.user_ns)  # noqa: S102  running code is what a shell does
            if value is not None:
                result.result = eval(value, self.user_ns)  # noqa: S307
                if result.result is not None and not silent:
                    self._publisher.display(result.result)
        except Exception as error:
            result.error_in_exec = error
            report(error)
        return result

    def ex(self, cmd: str) -> None:
        """Executes statements in the session's namespace."""
        exec(cmd, self.user_ns)  # noqa: S102

    def ev(self, expr: str) -> Any:
        """Evaluates an expression in the session's namespace."""
        return eval(expr, self.user_ns)  # noqa: S307

    def push(self, variables: Any, interactive: bool = True) -> None:
        """Defines variables: a dictionary, or names of variables of the caller."""
        if isinstance(variables, dict):
            self.user_ns.update(variables)
            return
        names = variables.split() if isinstance(variables, str) else list(variables)
        caller = sys._getframe(1)
        self.user_ns.update({name: eval(name, caller.f_globals, caller.f_locals) for name in names})  # noqa: S307

    # Magics and programs

    def _magics(self, *args: Any) -> Any:
        """Calls the session's magics as a cell does: expressions in the text mean the session's variables."""
        from .magics_transform import CALLABLE

        magics = getattr(builtins, CALLABLE)
        return eval("call(*args)", self.user_ns, {"call": magics, "args": args})  # noqa: S307

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Runs a line magic."""
        return self._magics("line", magic_name.lstrip("%"), line)

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Runs a cell magic to its end; one that has to wait cannot be run this way."""
        name = magic_name.lstrip("%")
        running = self._magics("cell", name, line, cell, 0)
        return run_to_end(running, "%%" + name) if inspect.iscoroutine(running) else running

    def magic(self, arg_s: str) -> Any:
        """Runs a line magic, given as one text."""
        name, _, line = arg_s.strip().partition(" ")
        return self.run_line_magic(name, line)

    def system(self, cmd: str) -> Any:
        """Runs a shell command; its output goes to the output of the cell."""
        return self._magics("system", cmd)

    system_raw = system_piped = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Runs a shell command and returns its output, as a list of lines or as text."""
        if split:
            return self._magics("output", cmd)
        done = subprocess.run(cmd, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S602
        return done.stdout.decode("utf-8", "replace")

    # What has no meaning here, and must not fail

    def enable_gui(self, gui: Any = None) -> None:
        """There is no window to open."""

    def enable_matplotlib(self, gui: Any = None) -> Any:
        """Figures are shown in the output already."""
        return "inline", "module://hypha_inline_figures"

    def set_next_input(self, text: str, replace: bool = False) -> None:
        """There is no next input to fill in."""

    def set_custom_exc(self, exc_tuple: Any, handler: Any) -> None:
        """Errors are always reported the same way."""

    def showtraceback(self, exc_tuple: Any = None, **_options: Any) -> None:
        """Prints the traceback of an error, by default of the one being handled."""
        error = exc_tuple[1] if exc_tuple else sys.exc_info()[1]
        if error is not None:
            report(error)
