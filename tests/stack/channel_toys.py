"""The tiny packages of the test channel, each made for one kind of test (README.md lists them)."""

from typing import Any, Dict, Iterator, List, Optional, Tuple


def module(
    name: str,
    version: str,
    depends: Tuple[str, ...] = (),
    extra: Optional[Dict[str, Tuple[str, Any, int]]] = None,
    **more: Any,
) -> Dict[str, Any]:
    """A pure Python package with one importable module that knows its version."""
    source = f'__version__ = "{version}"\n'.encode()
    path = f"site-packages/{name.replace('-', '_')}.py"
    return {
        "name": name,
        "version": version,
        "build": "py_0",
        "subdir": "noarch",
        "noarch": "python",
        "depends": ["python >=3.8", *depends],
        "files": {path: ("file", source, 0o644), **(extra or {})},
        **more,
    }


def generic(name: str, files: Dict[str, bytes], **more: Any) -> Dict[str, Any]:
    """A package without Python."""
    return {
        "name": name,
        "version": "1.0",
        "build": "0",
        "subdir": "noarch",
        "noarch": "generic",
        "depends": [],
        "files": {path: ("file", data, 0o644) for path, data in files.items()},
        **more,
    }


def toys() -> List[Dict[str, Any]]:
    """All of them, as arguments of `channel.Package`."""
    return list(_toys())


def _toys() -> Iterator[Dict[str, Any]]:
    yield module("toy-a", "1.0")
    yield module("toy-a", "2.0")
    yield module("toy-b", "1.0", ("toy-a <2",))
    yield module("toy-conflict", "1.0", ("toy-a >=2",))
    yield module("toy-orphan", "1.0", ("toy-does-not-exist >=1",))
    yield module("toy-broken", "1.0", wrong_checksum=True)
    yield module(
        "toy-slow",
        "1.0",
        extra={
            f"share/toy-slow/{number:03}.txt": ("file", f"{number}\n".encode() * 20, 0o644)
            for number in range(300)
        },
    )
    yield module("toy-script", "1.0", entry_points=("toy-script = toy_script:main",), extra={
        "site-packages/toy_script.py": (
            "file",
            b'import sys\n\n__version__ = "1.0"\n\n\ndef main():\n    print("toy-script", *sys.argv[1:])\n',
            0o644,
        ),
    })
    yield generic(
        "toy-activate",
        {"etc/conda/activate.d/toy.sh": b'export TOY_ACTIVATED="$CONDA_PREFIX"\n'},
    )
    yield generic("toy-data", {"share/toy-data/hello.txt": b"hello\n"})
