# The agent: LiteRT and TUF, for devices. No TensorFlow, kfp, kubernetes, boto3 or pydantic.
# The files of this folder differ in the extra they install and in what they say of it, and in nothing else.
# BASE: an image with Python 3.11, 3.12 or 3.13. `make images` builds all of this folder; `docker build -f` from the top folder builds one.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# Both stages of building run on the machine that builds, whatever machine the image is for.
FROM --platform=$BUILDPLATFORM ${BASE} AS packages
ARG TARGETARCH
WORKDIR /build
COPY Dockerfiles/base/environment.py pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.crt \
    python3 environment.py tools
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.crt \
    python3 environment.py packages agent

FROM packages AS project
COPY LICENSE README.md ./
COPY components components
COPY pipelines pipelines
RUN python3 environment.py project

# Copies alone: no command of the target machine is run, and a change of EdgePress's own code renews the small second layer only.
# The platform is named because Buildah 1.28 would otherwise take the base of the first stage, of the building machine.
FROM --platform=$TARGETPLATFORM ${BASE}
COPY --from=packages /opt/venv /opt/venv
COPY --from=project /opt/project /opt/venv
# With a read-only root, /tmp is the place to write to. The bytecode is there already.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TF_USE_LEGACY_KERAS=1
WORKDIR /tmp
USER 65532:65532
CMD ["python3"]
ARG SOURCE
ARG VERSION
ARG REVISION
ARG LICENSES
LABEL org.opencontainers.image.title="edgepress/agent" \
      org.opencontainers.image.description="Runs models on devices" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="${LICENSES}"
