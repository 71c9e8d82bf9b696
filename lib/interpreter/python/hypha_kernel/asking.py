"""``input()`` and ``getpass()``: the question goes to the client, and the cell waits for its answer."""

import builtins
import getpass
import select
import threading
from typing import Any, Callable, List, Optional

from .wire import Channel, Header


class InputNotAvailable(RuntimeError):
    """``input()`` was called where nobody can answer."""


# Shown by its bare name in tracebacks.
InputNotAvailable.__module__ = "builtins"

_REFUSAL = (
    "input() is not available here: nobody is asked. Put the value into the code, or read it from a file; "
    "a client that wants to be asked gives an input callback."
)


class Questions:
    """Asks the worker, which asks the client of the running cell."""

    def __init__(
        self,
        control: Channel,
        publish: Callable[[Header], None],
        postpone: Callable[[List[Header]], None],
    ) -> None:
        self._control = control
        self._publish = publish
        self._postpone = postpone
        #: The running cell whose client answers questions.
        self.cell = None  # type: Optional[str]

    def install(self) -> None:
        """Replaces the built-in functions."""
        builtins.input = lambda prompt="": self.ask(str(prompt), False)  # type: ignore[assignment]
        getpass.getpass = lambda prompt="Password: ", *_a, **_k: self.ask(  # type: ignore[assignment]
            str(prompt), True
        )

    def ask(self, prompt: str, password: bool) -> str:
        """Waits for the answer; an interrupt ends the wait."""
        if self.cell is None:
            raise InputNotAvailable(_REFUSAL)
        if threading.current_thread() is not threading.main_thread():
            raise InputNotAvailable("input() is available in the main thread only")
        self._publish({"op": "input", "prompt": prompt, "password": password})
        others = []  # type: List[Header]
        try:
            while True:
                for header, _blob in self._control.take():
                    if header["op"] == "input_reply" and header["cell"] == self.cell:
                        return self._value(header)
                    others.append(header)
                select.select([self._control.sock], [], [])
                if not self._control.feed():
                    raise EOFError("the worker is gone")
        finally:
            self._postpone(others)

    @staticmethod
    def _value(reply: Header) -> str:
        value = reply.get("value")  # type: Any
        if value is None:
            raise EOFError(str(reply.get("reason") or "the client gave no answer"))
        return str(value)
