"""Figures about a runner and its surroundings, gathered as plain numbers; see ``docs/metrics.md``.

Gathering costs an addition or two per event. What the world reads is made when somebody asks, in `exposition`, which is
the only module here that needs the Prometheus library, and which nobody imports before.
"""

from prunner_trio.metrics.catalog import CATALOG, Family, Kind, Metric
from prunner_trio.metrics.launching import TimedLauncher
from prunner_trio.metrics.metrics import Metrics, Watched

__all__ = ["CATALOG", "Family", "Kind", "Metric", "Metrics", "TimedLauncher", "Watched"]
