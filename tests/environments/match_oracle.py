"""Which packages match specs, as rattler understands them.

Reads a JSON list of specs from standard input; writes for each a list of the packages that match, or null when it is
no spec for rattler.
"""
import json
import sys

from rattler import MatchSpec, PackageRecord
from rattler.package import BuildString

VERSIONS = [
    "0.9", "1", "1.0", "1.2", "1.2.0", "1.2.5", "1.2rc1", "1.3", "1.20", "1.26", "1.26.0", "1.26.4", "1.260", "2", "2.0",
    "2.1.3", "3.9", "3.11", "3.11.4", "3.12", "10.0",
]
RECORDS = [
    PackageRecord(name, version, BuildString(build), number, "noarch")
    for name in ("numpy", "python")
    for version in VERSIONS
    for number, build in enumerate(("py_0", "mkl_1"))
]


def matching(text):
    try:
        spec = MatchSpec(text)
    except Exception:
        return None
    return [
        "%s %s" % (record.name.normalized, index)
        for index, record in enumerate(RECORDS)
        if spec.matches(record)
    ]


json.dump([matching(text) for text in json.load(sys.stdin)], sys.stdout)
