"""From figures to the text that Prometheus reads; imported at the first scrape, since that takes a while."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Exposed
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from prunner_trio.metrics.catalog import Family, Kind
from prunner_trio.metrics.histogram import Distribution

__all__ = ["render"]


def render(families: Sequence[Family], accept: str) -> tuple[str, bytes]:
    """Return a content type and a body in it: OpenMetrics if the header `accept` asks for it, else Prometheus' own.

    Figures of this process are added. Blocks for as long as it takes to read them from ``/proc``.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(families))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)


class _Collector(Collector):
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def describe(self) -> Iterable[Exposed]:
        return ()

    def collect(self) -> Iterator[Exposed]:
        for family in self._families:
            yield _exposed(family)


def _exposed(family: Family) -> Exposed:
    metric = family.metric
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in family.samples:
            assert isinstance(value, Distribution)
            histogram.add_metric(labels, _buckets(value), value.sum)
        return histogram
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    simple = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in family.samples:
        assert not isinstance(value, Distribution)
        simple.add_metric(labels, value)
    return simple


def _buckets(value: Distribution) -> list[tuple[str, float]]:
    names = [*(f"{float(bound)}" for bound in value.bounds), "+Inf"]
    total, buckets = 0, []
    for name, count in zip(names, value.counts, strict=True):
        total += count
        buckets.append((name, float(total)))
    return buckets
