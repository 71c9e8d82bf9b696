"""Starts the fork server under its keeper: ``python -I main.py SOCKET``; the token comes in the environment.

``python -I main.py --sweep ID`` ends what is left of a fork server that died with its keeper.

``-I`` keeps the user's site directory and ``PYTHON*`` variables out, and also this folder: it is put on the
path only while the kernel's own modules are imported.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from hypha_kernel import keeper  # noqa: E402

if __name__ == "__main__" and sys.argv[1] == "--sweep":
    keeper.sweep(sys.argv[2])
    sys.exit(0)

# What follows runs in the keeper's child: the modules of the sessions are not imported into the keeper.
_KEEPER = keeper.split() if __name__ == "__main__" else 0

from hypha_kernel import fork_server  # noqa: E402

del sys.path[0]

if __name__ == "__main__":
    fork_server.main(sys.argv[1], os.environ.pop("HYPHA_KERNEL_TOKEN", ""), _KEEPER)
