"""Starts the fork server under its keeper: ``python -I main.py SOCKET``; the token comes in the environment.

``python -I main.py --sweep ID`` ends what is left of a fork server that died with its keeper.

``-I`` keeps the user's site directory and ``PYTHON*`` variables out, and also this folder: it is put on the
path only while the kernel's own modules are imported.
"""

import os
import sys


def _split():
    # type: () -> tuple[int, int]
    """Forks the fork server off its keeper. Returns in the fork server only.

    Returns the keeper's process id, and a descriptor that ends when the keeper is ready or gone.

    At once, before anything is imported: both import at the same time, and none imports what only the other needs.
    """
    above, keeper = os.getppid(), os.getpid()
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        return keeper, ready
    os.close(ready)
    code = 1
    try:
        from hypha_kernel.keeper import keep

        code = keep(pid, above, tell)
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    if sys.argv[1] == "--sweep":
        from hypha_kernel import keeper

        keeper.sweep(sys.argv[2])
    else:
        _KEEPER, _READY = _split()
        from hypha_kernel import fork_server

        del sys.path[0]
        # Before the keeper is, nothing may exist that it would have to end.
        os.read(_READY, 1)
        os.close(_READY)
        fork_server.main(sys.argv[1], os.environ.pop("HYPHA_KERNEL_TOKEN", ""), _KEEPER)
