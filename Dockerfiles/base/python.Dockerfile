# What `make images` puts under every image, once: the base with a python3, and nothing left in it that installs Python packages.
# BASE: an image with Python 3.11, 3.12 or 3.13, or one of Debian or Ubuntu whose own python3 is one of these.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
FROM ${BASE}
RUN if ! command -v python3 >/dev/null; then \
      command -v apt-get >/dev/null || { echo "the base image has neither python3 nor apt-get; give another BASE" >&2; exit 1; } \
      && apt-get -qq update \
      && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends ca-certificates python3 >/dev/null \
      && apt-get clean \
      && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/cache/ldconfig/* /var/log/*.log /var/log/apt; \
    fi \
    && python3 -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else f"Python {sys.version.split()[0]} is not 3.11, 3.12 or 3.13")' \
    && if python3 -c 'import pip' 2>/dev/null; then python3 -m pip uninstall --quiet --yes --root-user-action ignore pip setuptools wheel; fi
