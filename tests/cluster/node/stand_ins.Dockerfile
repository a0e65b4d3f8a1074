# What the node runs beside EdgePress' own images, from Debian's packages, because no registry of images is asked.
# BASE: the Debian under the project's images.
ARG BASE
FROM ${BASE} AS sandbox
CMD ["sleep", "infinity"]

# Cluster DNS, Prometheus' Pushgateway, SeaweedFS (the one that pip installs, copied into the build's context), and a relay.
FROM ${BASE} AS servers
RUN apt-get -qq update \
    && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends dnsmasq-base prometheus-pushgateway socat >/dev/null \
    && apt-get clean
COPY weed /usr/bin/weed
ENTRYPOINT ["/usr/bin/prometheus-pushgateway"]
