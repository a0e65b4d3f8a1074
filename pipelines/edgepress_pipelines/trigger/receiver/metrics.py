"""The receiver's metrics, by the names of ``edgepress.telemetry``."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

from edgepress import telemetry


class ReceiverMetrics:
    """Counters and gauges of one receiver, of one pipeline."""

    def __init__(self, pipeline: str) -> None:
        disable_created_metrics()  # names that are in no list of ours
        self._pipeline = pipeline
        self._registry = CollectorRegistry()
        self._requests = self._counter(telemetry.RECEIVER_REQUESTS)
        self._checks = self._counter(telemetry.TRIGGER_CHECKS)
        self._last_success = self._gauge(telemetry.TRIGGER_LAST_SUCCESS)
        self._last_start = self._gauge(telemetry.TRIGGER_LAST_START)

    def count_request(self, source: telemetry.SourceValue, outcome: telemetry.RequestOutcome) -> None:
        """A request was answered."""
        self._requests.labels(source, outcome).inc()

    def count_check(self, outcome: telemetry.CheckOutcome) -> None:
        """A check whether a run is due has ended."""
        self._checks.labels(self._pipeline, outcome).inc()
        if outcome != "failed":
            self._last_success.labels(self._pipeline).set(time.time())
        if outcome == "started":
            self._last_start.labels(self._pipeline).set(time.time())

    def expose(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)

    def _counter(self, metric: telemetry.Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self._registry)

    def _gauge(self, metric: telemetry.Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, registry=self._registry)
