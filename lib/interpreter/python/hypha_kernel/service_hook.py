"""Tells the worker when user code has registered a Hypha service.

A start is over when the app's service is there, and many scripts serve for ever after that: without this word the
worker could only wait for a time that is always too long or too short. The client library is not needed for it, and
a client whose inside looks different is left alone.
"""

import functools
from types import ModuleType
from typing import Any, Callable

from .import_hooks import ImportHooks

#: Services the client registers for itself.
_OWN = frozenset(["built-in"])


def watch(hooks: ImportHooks, announce: Callable[[str], None]) -> None:
    """Has ``announce`` called with the full id of each service registered from now on. Any thread may call it."""

    def patch(module: ModuleType) -> None:
        rpc = getattr(module, "RPC", None)
        original = getattr(rpc, "register_service", None)
        if not callable(original):
            return

        @functools.wraps(original)
        async def register_service(self: Any, *args: Any, **kwargs: Any) -> Any:
            info = await original(self, *args, **kwargs)
            # The client registers services again after a reconnection, and its own before it is connected.
            name = str(info.get("id", "")) if isinstance(info, dict) else ""
            if name and name.rpartition(":")[2] not in _OWN:
                announce(name)
            return info

        rpc.register_service = register_service  # type: ignore[union-attr]

    hooks.after("hypha_rpc.rpc", patch)
