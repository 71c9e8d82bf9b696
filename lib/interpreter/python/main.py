"""Starts the fork server: ``python -I main.py SOCKET``; the token comes in the environment.

``-I`` keeps the user's site directory and ``PYTHON*`` variables out, and also this folder: it is put on the
path only while the kernel's own modules are imported.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from hypha_kernel import fork_server  # noqa: E402

del sys.path[0]

if __name__ == "__main__":
    fork_server.main(sys.argv[1], os.environ.pop("HYPHA_KERNEL_TOKEN", ""))
