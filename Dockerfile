# The worker as a container: one executable, micromamba, and nothing else that runs.
#
#   docker build -t hypha-conda-worker .
#   docker run --rm -e HYPHA_SERVER_URL -e HYPHA_WORKSPACE -e HYPHA_TOKEN -v conda-cache:/cache hypha-conda-worker
#
# Any user id works, and so does a read-only root file system: only /cache and /tmp are written.
ARG DENO_IMAGE=denoland/deno:bin-2.9.6
ARG MICROMAMBA_IMAGE=mambaorg/micromamba:2.6.1
ARG BASE_IMAGE=debian:13-slim

FROM ${DENO_IMAGE} AS deno
FROM ${MICROMAMBA_IMAGE} AS micromamba

FROM ${BASE_IMAGE} AS build
COPY --from=deno /deno /usr/local/bin/deno
WORKDIR /src
COPY deno.json deno.lock main.ts ./
COPY lib ./lib
RUN deno task compile --frozen --output /out/hypha-conda-worker main.ts

FROM ${BASE_IMAGE}
# bash is what micromamba runs programs with, and setsid (util-linux) what cancels them; both are in the base.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -m 1777 /cache
COPY --from=micromamba /bin/micromamba /usr/local/bin/micromamba
COPY --from=build /out/hypha-conda-worker /usr/local/bin/hypha-conda-worker

# The least of the three spellings, so that HYPHA_CACHE_DIR and CONDA_CACHE_DIR of the deployment go before it.
ENV HYPHA_CONDA_CACHE_DIR=/cache \
    HOME=/tmp \
    LANG=C.UTF-8 \
    NO_COLOR=1 \
    DENO_USE_CGROUPS=1 \
    DENO_TLS_CA_STORE=system,mozilla
# A number, so that an orchestrator can see that it is not root.
USER 1000:1000
WORKDIR /tmp
VOLUME /cache
# tini collects processes that lose their parent. Further arguments are the worker's: `run …`, `--verbose`.
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/hypha-conda-worker"]
