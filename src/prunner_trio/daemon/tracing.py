"""Whether jobs are traced, and what of the daemon has to know."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from prunner_trio.daemon.verbose import App
from prunner_trio.execution import Runner
from prunner_trio.execution.seams import Launcher

__all__ = ["Tracing", "open_tracing"]

log = logging.getLogger(__name__)

_ADDRESSES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OURS = "http/protobuf"


class Tracing(Protocol):
    """What stands around launcher, runner and application."""

    def launcher(self, inner: Launcher) -> Launcher:
        """Return a launcher that tells tasks their span."""
        ...

    def watching(self, runner: Runner) -> AbstractContextManager[None]:
        """Make spans as long as the block lasts."""
        ...

    def app(self, inner: App) -> App:
        """Return an application that knows whose trace a request is part of."""
        ...

    async def close(self) -> None:
        """End what is open, and send what has not been sent, within a bound. No job runs any more."""
        ...


class _Off:
    """Changes nothing."""

    def launcher(self, inner: Launcher) -> Launcher:
        return inner

    def watching(self, runner: Runner) -> AbstractContextManager[None]:
        return nullcontext()

    def app(self, inner: App) -> App:
        return inner

    async def close(self) -> None:
        pass


class _On:
    """Makes spans and sends them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        from prunner_trio.tracing import JobSpans, open_exporting

        self._exporting = open_exporting(environ)
        self._spans = JobSpans(self._exporting.tracer)

    def launcher(self, inner: Launcher) -> Launcher:
        from prunner_trio.tracing import TracedLauncher

        return TracedLauncher(inner, self._spans.parent_of)

    def watching(self, runner: Runner) -> AbstractContextManager[None]:
        return self._spans.watching(runner)

    def app(self, inner: App) -> App:
        from prunner_trio.tracing import TracedRequests

        return TracedRequests(inner)

    async def close(self) -> None:
        self._spans.leave()
        await self._exporting.close()


def open_tracing(environ: Mapping[str, str]) -> Tracing:
    """Return what traces jobs, if the standard variables of OpenTelemetry ask for it and its library is there.

    Blocks: the library takes a while to be imported.
    """
    if not _wanted(environ):
        return _Off()
    try:
        tracing = _On(environ)
    except ModuleNotFoundError as exc:
        log.warning("jobs are not traced: %s; see the extra otel of prunner-trio", exc)
        return _Off()
    log.info("jobs are traced")
    return tracing


def _wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = [name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()]
    if not exporters:
        exporters = ["otlp"] if any(environ.get(name) for name in _ADDRESSES) else ["none"]
    if "none" in exporters:
        return False
    if "otlp" not in exporters:
        log.warning("jobs are not traced: otlp is the only exporter", extra={"asked": ",".join(exporters)})
        return False
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), _OURS)
    if protocol != _OURS:
        log.warning("jobs are not traced: http/protobuf is the only protocol", extra={"asked": protocol})
        return False
    return True
