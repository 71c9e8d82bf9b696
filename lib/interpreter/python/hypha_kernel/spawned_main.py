"""Stands for the main program in processes that ``multiprocessing`` spawns from a session.

Such a process starts empty and looks its functions up in the main program. Those of cells are in no file, so
what can be given is a reason.
"""


def __getattr__(name):  # type: ignore[no-untyped-def]
    if name.startswith("__"):
        raise AttributeError(name)
    # Not an AttributeError, which unpickling would replace by a message of its own.
    raise RuntimeError(
        "a process that is spawned does not know %r, which a cell has defined. Use processes that are forked "
        "(multiprocessing.get_context('fork'), or mp_context= of ProcessPoolExecutor), or write it into a file "
        "with %%%%writefile and import it" % name
    )
