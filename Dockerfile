# The worker as a container: one executable, micromamba, and nothing else that runs. Needs BuildKit, which is Docker's
# default since version 23.
#
#   docker build -t hypha-conda-worker .
#   docker run --rm -e HYPHA_SERVER_URL -e HYPHA_WORKSPACE -e HYPHA_TOKEN -v conda-cache:/cache hypha-conda-worker
#
# Any user id works, with any group, and so does a read-only root file system: only /cache (environments), /work
# (sessions, sockets) and /tmp are written. docs/deploy.md has the rest.
#
# The bases are pinned by tag. Whoever needs the very same bytes again gives digests:
#   docker build --build-arg BASE_IMAGE=debian@sha256:… --build-arg MICROMAMBA_IMAGE=mambaorg/micromamba@sha256:… …
ARG DENO_IMAGE=denoland/deno:bin-2.9.6
ARG MICROMAMBA_IMAGE=mambaorg/micromamba:2.6.1
ARG BASE_IMAGE=debian:13-slim

FROM --platform=$BUILDPLATFORM ${DENO_IMAGE} AS deno
FROM ${MICROMAMBA_IMAGE} AS micromamba

# Runs on the machine that builds, whatever the image is for: an executable for another processor needs no emulation.
FROM --platform=$BUILDPLATFORM ${BASE_IMAGE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates curl unzip \
 && rm -rf /var/lib/apt/lists/*
COPY --from=deno /deno /usr/local/bin/deno
WORKDIR /src
COPY deno.json deno.lock main.ts LICENSE ./
COPY scripts/compile.sh scripts/env.sh ./scripts/
COPY lib ./lib
# amd64 or arm64; BuildKit sets it.
ARG TARGETARCH
# Where Deno's run-time comes from, when not from Deno.
ARG DENORT_URL=
RUN --mount=type=cache,target=/src/.tools \
    scripts/compile.sh --bare --output /out "linux-${TARGETARCH}" \
 && mv /out/hypha-conda-worker-* /out/hypha-conda-worker

FROM ${BASE_IMAGE}
# bash is what micromamba runs programs with, and setsid (util-linux) what cancels them; both are in the base.
# Packages of a Debian release change only for corrections, which are wanted.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -m 1777 /cache /work
COPY --from=micromamba /bin/micromamba /usr/local/bin/micromamba
COPY --from=build /src/LICENSE /usr/share/doc/hypha-conda-worker/LICENSE
# For deployments that start the Python worker by its module.
COPY --chmod=755 deploy/image/python /usr/local/bin/python
COPY --from=build /out/hypha-conda-worker /usr/local/bin/hypha-conda-worker

# The least of the three spellings, so that HYPHA_CACHE_DIR and CONDA_CACHE_DIR of the deployment go before it.
# TMPDIR is not /tmp, because isolated sessions may write there only as long as nothing of the worker lies in it.
ENV HYPHA_CONDA_CACHE_DIR=/cache \
    HYPHA_CONDA_METRICS_PORT=9090 \
    TMPDIR=/work \
    HOME=/work \
    LANG=C.UTF-8 \
    NO_COLOR=1 \
    DENO_USE_CGROUPS=1 \
    DENO_TLS_CA_STORE=system,mozilla
# A number, so that an orchestrator can see that it is not root; group 0, as OpenShift has it for the ids it makes up.
USER 1000:0
WORKDIR /work
VOLUME ["/cache", "/work"]
EXPOSE 9090
# The variables say where to ask: a port that is given as an argument of the worker is not seen.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD ["/usr/local/bin/hypha-conda-worker", "health"]
# tini collects processes that lose their parent. Further arguments are the worker's: `run …`, `--verbose`.
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/hypha-conda-worker"]

ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="hypha-conda-worker" \
      org.opencontainers.image.description="Runs Python in conda environments made on demand, as a worker of a Hypha server" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="https://github.com/amun-ai/hypha-conda-worker" \
      org.opencontainers.image.documentation="https://github.com/amun-ai/hypha-conda-worker/blob/main/docs/deploy.md" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
