"""What the daemon measures itself by, and the answer to somebody who asks for it."""

import platform
from collections.abc import Sequence

import trio

from prunner_trio._version import __version__
from prunner_trio.http.port import Scrape
from prunner_trio.metrics import Family, Metrics

__all__ = ["build_info", "scraping"]


def build_info(containment: str) -> dict[str, str]:
    """Return the labels of ``prunner_build_info``."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "trio": trio.__version__,
        "containment": containment,
    }


def scraping(metrics: Metrics) -> Scrape:
    """Return what answers a scrape.

    The figures are taken on the loop thread, as those of one moment. The text is made in another one, and there the
    library for it is imported, so that the loop goes on turning. One at a time.
    """
    one = trio.CapacityLimiter(1)

    async def scrape(accept: str) -> tuple[str, bytes]:
        async with one:
            families = metrics.families()
            return await trio.to_thread.run_sync(_render, families, accept, abandon_on_cancel=True)

    return scrape


def _render(families: Sequence[Family], accept: str) -> tuple[str, bytes]:
    from prunner_trio.metrics.exposition import render

    return render(families, accept)
