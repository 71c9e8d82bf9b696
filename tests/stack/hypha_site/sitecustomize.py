"""Loaded by the Hypha server of the tests at its start.

The server makes a new S3 client for each thing it does with artifacts. For each botocore reads and decodes megabytes of
service descriptions, and aiobotocore the certificates of the machine: most of a second of processor time, which was
most of what the tests made the server do. Neither changes while a test runs, so they are kept; clients of one session
share them in the same way.
"""

import functools
import ssl
from typing import Any, Dict

import aiobotocore.httpsession
import botocore.session

botocore.session.create_loader = functools.lru_cache(maxsize=None)(botocore.session.create_loader)

_Session = aiobotocore.httpsession.AIOHTTPSession
_build = _Session._build_verify_context
_contexts: Dict[Any, ssl.SSLContext] = {}


def _shared_context(session: Any) -> ssl.SSLContext:
    key = session._verify
    if key not in _contexts:
        _contexts[key] = _build(session)
    return _contexts[key]


_Session._build_verify_context = _shared_context
