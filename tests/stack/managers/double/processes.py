"""Starting processes without the cost of importing `subprocess`."""

import os
from typing import Dict, List, Optional


def spawn_detached(argv: List[str]) -> int:
    """Starts a child nobody waits for, without this process's output pipes."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
    return os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)


def exit_code(status: int) -> int:
    """A wait status as shells and `run` report it: 128 + n for signal n."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def which(name: str, path: str) -> Optional[str]:
    """Where `execvp` would find a program."""
    if "/" in name:
        return name if os.access(name, os.X_OK) else None
    for folder in path.split(os.pathsep):
        candidate = os.path.join(folder or ".", name)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    return None


def exec_child(argv: List[str], environment: Dict[str, str], cwd: Optional[str]) -> None:
    """Replaces this (forked) process by the program; never returns."""
    try:
        if cwd:
            os.chdir(cwd)
        os.execvpe(argv[0], argv, environment)
    finally:
        os._exit(127)
