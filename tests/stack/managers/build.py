"""Makes the executables of the manager doubles.

    python build.py OUTPUT CACHE

OUTPUT gets one folder per program and `all` with the three together, each with a `bin`; CACHE is
where their compiled Python goes. Run with the interpreter the doubles shall run on.
"""

import os
import shutil
import sys
from pathlib import Path

KINDS = ("mamba", "micromamba", "conda")

LAUNCHER = """#!{python} -IS
# A test double, not the real {kind}: see tests/stack/managers/README.md.
import sys
sys.pycache_prefix = {cache!r}
sys.path.insert(0, {sources!r})
from double import main
main({kind!r})
"""


def build(output: Path, cache: str) -> None:
    """Writes the launchers beside the old ones, then swaps them in."""
    sources = str(Path(__file__).resolve().parent)
    fresh = output.with_name(f"{output.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    for folder, kinds in {**{kind: (kind,) for kind in KINDS}, "all": KINDS}.items():
        (fresh / folder / "bin").mkdir(parents=True)
        for kind in kinds:
            file = fresh / folder / "bin" / kind
            file.write_text(LAUNCHER.format(python=sys.executable, kind=kind, cache=cache, sources=sources))
            file.chmod(0o755)
    shutil.rmtree(output, ignore_errors=True)
    fresh.rename(output)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: build.py OUTPUT CACHE")
    build(Path(sys.argv[1]), sys.argv[2])
