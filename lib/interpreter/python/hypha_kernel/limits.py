"""Resource limits of a session, set by the session on itself before any user code runs; children inherit them."""

import resource
from typing import Any, Dict

_LIMITS = {
    "memory": "RLIMIT_AS",
    "cpu_time": "RLIMIT_CPU",
    "processes": "RLIMIT_NPROC",
    "open_files": "RLIMIT_NOFILE",
    "file_size": "RLIMIT_FSIZE",
}


def apply(limits: Dict[str, Any]) -> None:
    """Sets limits (bytes, seconds, counts). A limit the system already has that is lower stays."""
    # A crash must not fill the session's directory with the image of its memory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    for name, wanted in limits.items():
        number = getattr(resource, _LIMITS[name], None)
        if number is None or wanted is None:
            continue
        _soft, hard = resource.getrlimit(number)
        value = int(wanted)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        # Of processor time the soft limit ends the process by a signal of its own; at the hard one it would be SIGKILL.
        top = value + 1 if name == "cpu_time" and (hard == resource.RLIM_INFINITY or value < hard) else value
        resource.setrlimit(number, (value, top))
