"""Python's side of the worker: a fork server, and the sessions forked from it.

Standard library only, Python 3.8 or newer. A session behaves like a Jupyter kernel without being one: the wire
is described in ``wire.py``, output in ``streams.py`` and ``marks.py``, cells in ``cells.py``, rich results in ``display.py``.
"""

import os

#: Folder of the kernel's own code; its frames are left out of tracebacks.
FOLDER = os.path.dirname(os.path.abspath(__file__))
