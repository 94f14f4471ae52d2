"""What the daemon under test says of itself, if it does: our /metrics."""

import re

from benchmarks.daemon import Daemon

__all__ = ["containment", "histogram", "scrape"]


def scrape(daemon: Daemon) -> str | None:
    """Return all metrics as text, or None if the daemon has none."""
    answer = daemon.client.request("GET", "/metrics")
    return answer.body.decode() if answer.status == 200 else None


def histogram(text: str, name: str, before: str = "") -> list[tuple[float, float]]:
    """Return the bounds of a histogram without labels and how many values are at most that, since an earlier scrape."""
    earlier = dict(histogram(before, name)) if before else {}
    found = re.findall(rf'^{name}_bucket\{{le="([^"]+)"\}} (\S+)$', text, re.MULTILINE)
    return [(float(bound), float(count) - earlier.get(float(bound), 0)) for bound, count in found]


def containment(text: str | None) -> str:
    """Return by what means the daemon finds the processes of a task; empty if it does not say."""
    found = re.search(r'^prunner_build_info\{.*\bcontainment="(\w+)"', text or "", re.MULTILINE)
    return found[1] if found else ""
