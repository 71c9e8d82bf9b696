"""Test doubles of mamba 2.8.1, micromamba 1.5.12 and conda 26.7.1 with a real solver and real packages.

They are not the real programs: they take the same command lines, print the same text, exit with the
same codes and leave the same things behind, as far as recorded transcripts tell. See ../README.md.

Only what a command needs is imported: `run` and `--version` must start in milliseconds.
"""

import os
import sys


def main(kind: str) -> None:
    """Runs the command line of this process as the program `kind`, and exits."""
    from . import faults

    argv = sys.argv[1:]
    executable = os.path.abspath(sys.argv[0])
    switches = faults.load(executable)
    command = next((word for word in argv if not word.startswith("-")), "")
    invocation = faults.Invocation(kind, executable, switches, command)
    invocation.log("start", argv=argv, cwd=os.getcwd())
    code = 1
    try:
        from . import program

        code = program.run(invocation, argv)
    except BrokenPipeError:
        code = 1
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 1
    finally:
        invocation.log("end", code=code)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        pass
    # No interpreter teardown: the solver's thread pool makes it slow, and nothing needs it.
    os._exit(code)
