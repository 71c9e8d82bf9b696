"""Hypha's own conda worker, as its wheel has it, with one environment that its cache knows already.

``service_reference.py PACKAGES ENVIRONMENT CACHE ARGUMENTS...``: ``PACKAGES`` is the site-packages directory that has
``jupyter_client``, which the server's installation lacks; ``ENVIRONMENT`` has ``ipykernel``; ``ARGUMENTS`` are those of
``python -m hypha.workers.conda``. The environment is entered into the cache by the worker's own class, so that no
package manager is needed.
"""

import os
import sys
import types

DEPENDENCIES = ["ipykernel"]
CHANNELS = ["none"]


def linked(environment, cache):
    """A directory of links: the worker removes environments of its cache, which must not reach the original."""
    copy = os.path.join(cache, "environment")
    os.makedirs(copy)
    for name in os.listdir(environment):
        os.symlink(os.path.join(environment, name), os.path.join(copy, name))
    return copy


def main():
    packages, environment, cache = sys.argv[1:4]
    # Last, so that the versions the server was installed with stay.
    sys.path.append(packages)
    # Asked for at its import, but used for archives of environments only.
    sys.modules.setdefault("conda_pack", types.ModuleType("conda_pack"))
    from pathlib import Path
    from hypha.workers import conda

    known = conda.EnvironmentCache(cache_dir=cache)
    known.add_cached_env(DEPENDENCIES, CHANNELS, Path(linked(environment, cache)))
    sys.argv = ["hypha.workers.conda", "--cache-dir", cache] + sys.argv[4:]
    conda.main()


if __name__ == "__main__":
    main()
