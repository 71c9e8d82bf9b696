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
import botocore.regions
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

_Provider = botocore.regions.EndpointProvider
_providers: Dict[int, Any] = {}


def _shared_provider(**arguments: Any) -> Any:
    # The loader keeps the rules, so that what is at an address stays what it is.
    key = id(arguments["ruleset_data"])
    if key not in _providers:
        _providers[key] = _Provider(**arguments)
    return _providers[key]


botocore.regions.EndpointProvider = _shared_provider


def warm_up() -> None:
    """Reads all of it now, for servers that are forked off this process."""
    session = botocore.session.get_session()
    names = {"aws_access_key_id": "-", "aws_secret_access_key": "-", "region_name": "us-east-1"}
    session.create_client("s3", endpoint_url="http://127.0.0.1:1", **names)
    _shared_context(_Session(verify=True))
