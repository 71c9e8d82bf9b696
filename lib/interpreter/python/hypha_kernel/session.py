"""One session: an event loop in the main thread that runs cells as the worker asks for them."""

import _signal
import _thread
import asyncio
import builtins
import os
import signal
import sys
import time
import types
from typing import Any, Callable, Dict, List, Optional

from . import FOLDER, cells, debugging, introspection, isolation, magics, processes, tracebacks
from .asking import Questions
from .display import FORMATTER, DisplayHandle, Publisher, bundle
from .inline_figures import Figures
from .ipython_shim import IPythonShim
from .marks import CURRENT_CELL, Marks
from .process_state import change_environment, flush_c_streams, leave_child, write_error
from .wire import Channel, Header, encode, encode_header


_EMPTY = ""


class Session:
    """State of one session."""

    def __init__(self, control: Channel, marks: Marks, request: Header) -> None:
        self._control = control
        self._marks = marks
        self._loop = asyncio.new_event_loop()
        self._compiler = cells.Compiler()
        self._count = 0
        self._queue = []  # type: List[Header]
        self._task = None  # type: Optional[asyncio.Task[None]]
        self._in_user_code = False
        self._interrupted = False
        #: The cell that is about to start, and whether an interrupt came before its code could be reached.
        self._starting = None  # type: Optional[str]
        self._interrupt_early = False
        self._pid = os.getpid()
        # What `_`, `__` and `___` were set to last: user code that sets one itself keeps it.
        self._recent = ["", "", ""]  # type: List[Any]
        self.publisher = Publisher(self._publish)
        self.figures = Figures(self.publisher.show_figure, FORMATTER)
        self.questions = Questions(control, self._publish, self._postpone)
        debugging.install(self.questions)
        self.module = self._make_main(request)
        self.shim = IPythonShim(self.publisher, self.figures, self.module.__dict__)
        self.magics = magics.Magics(
            self.module.__dict__, self._compiler, self.publisher, self.figures, self.shim.shell
        )
        self._compiler.interactivity = lambda: self.shim.shell.ast_node_interactivity

    # Setting up

    def _make_main(self, request: Header) -> types.ModuleType:
        module = types.ModuleType("__main__")
        module.__dict__.update(
            {
                "__builtins__": builtins,
                "display": self.publisher.display,
                "clear_output": self.publisher.clear_output,
                "update_display": self.publisher.update_display,
                "DisplayHandle": DisplayHandle,
                "In": [""],
                "Out": {},
                "_": "",
                "__": "",
                "___": "",
            }
        )
        module.__dict__.update(request.get("variables") or {})
        sys.modules["__main__"] = module
        self._given = list(module.__dict__)
        return module

    def soon(self, action: Callable[[], object]) -> None:
        """Has something done as soon as the session has reported that it is ready."""
        self._loop.call_soon(action)

    def run(self, isolated: Dict[str, Any]) -> int:
        """Serves until the control channel ends. Reports how the session is isolated."""
        asyncio.set_event_loop(self._loop)
        self._loop.add_reader(self._control.sock.fileno(), self._readable)
        signal.signal(signal.SIGINT, self._on_interrupt)
        self._control.send({"op": "ready", "pid": self._pid, "isolation": isolated})
        while True:
            try:
                self._loop.run_forever()
                return 0
            except (KeyboardInterrupt, SystemExit) as error:
                # asyncio re-raises these out of a background task; the session goes on.
                self._report_background(error)

    def _report_background(self, error: BaseException) -> None:
        try:
            print("\n".join(tracebacks.describe(error)["traceback"]), file=sys.stderr)
        except BaseException:
            pass

    # Frames

    def _readable(self) -> None:
        if not self._control.feed():
            processes.kill_group(os.getpgrp())
            os._exit(0)
        for header, _blob in self._control.take():
            self._handle(header)

    def _handle(self, header: Header) -> None:
        op = header["op"]
        if op == "execute":
            self._queue.append(header)
            self._next()
        elif op == "interrupt":
            self._interrupt_cell(header["cell"])
        elif op == "ask":
            self._answer(header)
        elif op == "shutdown":
            processes.kill_group(os.getpgrp(), signal.SIGTERM)
            os._exit(0)

    def _postpone(self, headers: List[Header]) -> None:
        """Frames that came while a cell waited for an answer are handled when the loop runs again."""
        for header in headers:
            self._loop.call_soon(self._handle, header)

    def _answer(self, header: Header) -> None:
        """Answers a question about the session; a failure is an answer too."""
        namespace = self.module.__dict__
        try:
            what = header["what"]
            if what == "complete":
                value = introspection.complete(namespace, header["code"], header["cursor"])  # type: Any
            elif what == "inspect":
                value = introspection.describe(
                    namespace, header["code"], header["cursor"], header["detail"]
                )
            else:
                value = introspection.variables(namespace, self._given)
            answer = {"value": value}
        except BaseException as failure:
            answer = {"failure": "%s: %s" % (type(failure).__name__, failure)}
        with self._marks:
            self._control.send({"op": "answer", "id": header["id"], **answer})

    def _next(self) -> None:
        if self._task is None and self._queue:
            request = self._queue.pop(0)
            self._interrupted = self._interrupt_early = False
            self._starting = request["cell"]
            self._task = self._loop.create_task(self._execute(request))
            self._task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            # The end of the cell could not be reported (its descriptors are closed, say): nothing can go on.
            write_error(self._marks.error_fd(), failure)
            os._exit(1)
        self._next()

    def _publish(self, frame: Header) -> None:
        """Sends a frame that has a place in the output of a cell."""
        if os.getpid() != self._pid:
            return
        with self._marks as marks:
            frame["cell"] = CURRENT_CELL.get() or marks.active
            frame["after"] = marks.upcoming
            # Encoded before the mark: a mark whose frame never comes would hold everything up.
            data = encode(frame)
            marks.put("c", marks.active)
            self._control.send_encoded(data)

    # Cells

    async def _execute(self, request: Header) -> None:
        cell = request["cell"]
        code = request["code"]
        silent = bool(request.get("silent"))
        store = not silent and request.get("store_history") is not False
        # The bare function: that of `signal` makes an enum of its answer at each call.
        if _signal.getsignal(signal.SIGINT) != self._on_interrupt:
            # An earlier cell, or a library in it, has put in another: no cell may be out of reach.
            signal.signal(signal.SIGINT, self._on_interrupt)
        CURRENT_CELL.set(cell)
        self._marks.begin(cell, bool(request.get("counted")))
        started = time.perf_counter()
        if store:
            self._count += 1
        count = self._count
        self.questions.cell = cell if request.get("input") else None
        filename = request.get("filename") or "<cell %d>" % count
        namespace = self.module.__dict__
        if store:
            self._remember_source(code, count, namespace)
        restore = change_environment(request.get("env") or {})
        error = None  # type: Optional[Dict[str, Any]]
        failed = None  # type: Optional[BaseException]
        compiled = None  # type: Optional[cells.Cell]
        result = b""
        try:
            self._in_user_code = True
            self._starting = None
            try:
                if self._interrupt_early:
                    raise KeyboardInterrupt
                self.shim.begin_cell()
                compiled = self._compiler.compile(code, filename)
                try:
                    has_result, value = await cells.run(compiled, namespace)
                    if has_result and not silent:
                        result = self._result(value, count, namespace, store)
                    # What nobody keeps goes away here: its last words belong to the cell.
                    value = None
                finally:
                    self.shim.end_cell()
            finally:
                self._in_user_code = False
        except asyncio.CancelledError as cancelled:
            self._in_user_code = False
            # Only an interrupt cancels the task of a cell; anything else comes from the user's own code.
            failed = KeyboardInterrupt() if self._interrupted else cancelled
            failed = failed.with_traceback(cancelled.__traceback__)
        except BaseException as failure:
            self._in_user_code = False
            failed = failure
        if os.getpid() != self._pid:
            leave_child(failed)
        self.questions.cell = None
        change_environment(restore)
        if failed is not None:
            magics.explain(failed)
            isolation.current.explain(failed)
            error = tracebacks.describe(failed)
            if compiled is None and error["traceback"][0].startswith("Traceback"):
                # Nothing has run yet, so there are no frames.
                del error["traceback"][0]
            failed = None
        self._done(cell, count, error, result, time.perf_counter() - started)

    def _result(
        self, value: Any, count: int, namespace: Dict[str, Any], store: bool
    ) -> bytes:
        """Shows the result of a cell, or returns it encoded when nothing else can follow but the end."""
        data, metadata = bundle(value)
        if store:
            self._remember(value, count, namespace)
        if not data:
            return b""
        frame = {"op": "result", "data": data, "metadata": metadata, "execution_count": count}
        if not self.shim.has_more:
            return encode_header(frame)
        flush_c_streams()
        self._publish(frame)
        return b""

    @staticmethod
    def _remember_source(code: str, count: int, namespace: Dict[str, Any]) -> None:
        """``In`` and ``_iN``; ``_i``, ``_ii`` and ``_iii`` are the cells before this one."""
        sources = namespace.get("In")
        if isinstance(sources, list):
            for name, ago in (("_i", 1), ("_ii", 2), ("_iii", 3)):
                namespace[name] = sources[-ago] if ago <= len(sources) else ""
            sources.append(code)
        namespace["_i%d" % count] = code

    def _remember(self, value: Any, count: int, namespace: Dict[str, Any]) -> None:
        """``_``, ``__``, ``___``, ``_N`` and ``Out``; names the user has taken stay the user's."""
        names = ("_", "__", "___")
        now = [namespace.get(name, old) for name, old in zip(names, self._recent)]
        # %reset makes them empty again. No comparison: it would be the values' own.
        owned = [one is old or one is _EMPTY for one, old in zip(now, self._recent)]
        if not hasattr(builtins, "_") and all(owned):
            self._recent = [value] + now[:2]
            namespace.update(zip(names, self._recent))
        namespace["_%d" % count] = value
        outs = namespace.get("Out")
        if isinstance(outs, dict):
            outs[count] = value

    def _done(
        self,
        cell: str,
        count: int,
        error: Optional[Dict[str, Any]],
        result: bytes,
        seconds: float,
    ) -> None:
        """Reports the end of a cell, with its result when nothing else follows that."""
        flush_c_streams()
        self._marks.critical.forget()
        with self._marks as marks:
            quiet = self._is_quiet()
            after = marks.end(quiet)
            self._control.send(
                {
                    "op": "done",
                    "cell": cell,
                    "after": after,
                    "execution_count": count,
                    "error": error,
                    "seconds": seconds,
                    "quiet": quiet,
                },
                result,
            )
        CURRENT_CELL.set("")

    def _is_quiet(self) -> bool:
        """Whether nothing is left that could print before the next cell does: no thread, process, or task."""
        if _thread._count() > self._marks.helpers:  # type: ignore[attr-defined]
            return False
        loop = self._loop  # type: Any
        try:
            if loop._ready or loop._scheduled or len(loop._selector.get_map()) > 2:
                return False
            if len(asyncio.all_tasks(loop)) > 1:
                return False
            # Orphans count too, since this process adopts them.
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        except (AttributeError, OSError):
            # Not known here.
            pass
        return False

    # Interrupts

    def _on_interrupt(self, _signum: int, frame: Optional[types.FrameType]) -> None:
        """SIGINT: raises where user code runs, cancels the cell where it waits, does nothing between cells."""
        if os.getpid() != self._pid:
            raise KeyboardInterrupt
        if self._starting is not None:
            self._interrupt_early = True
        if not self._in_user_code or self._task is None:
            return
        self._interrupted = True
        place = _place(frame)
        if place != "cell":
            self._loop.call_soon_threadsafe(self._cancel)
        if place == "loop" or self._marks.critical.defer():
            return
        raise KeyboardInterrupt

    def _interrupt_cell(self, cell: str) -> None:
        """The worker's word beside the signal, for a cell that the signal came too early for."""
        if self._starting == cell:
            self._interrupt_early = True
        elif self._marks.active == cell and not self._interrupted:
            self._interrupted = True
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None and self._in_user_code:
            self._task.cancel()


def _place(frame: Optional[types.FrameType]) -> str:
    """What an interrupt met: the ``cell`` itself, ``other`` user code (a task, a callback), or the ``loop``."""
    user_code = kernel = False
    while frame is not None:
        if frame.f_code in _CELL_CODE:
            return "cell"
        module = str(frame.f_globals.get("__name__"))
        if module == "asyncio.events":
            # A handle of the loop runs: neither the kernel's own nor the loop's bookkeeping must be torn.
            return "other" if user_code and not kernel else "loop"
        kernel = frame.f_code.co_filename.startswith(FOLDER)
        user_code = user_code or not module.startswith(_MACHINERY)
        frame = frame.f_back
    return "loop"


#: Modules whose code the event loop runs on its own account.
_MACHINERY = ("asyncio.", "concurrent.futures", "selectors", "weakref", "hypha_kernel")


# The cell itself, and what follows it: formatting the result calls user code too.
_CELL_CODE = (cells.run.__code__, Session._execute.__code__)
