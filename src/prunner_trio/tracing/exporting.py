"""Sends spans to a collector, by OTLP over HTTP, in a thread of the library; set up by its standard variables."""

from collections.abc import Mapping

import attrs
import trio
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from prunner_trio._version import __version__

__all__ = ["FAREWELL_SECONDS", "Exporting", "open_exporting"]

FAREWELL_SECONDS = 3.0
"""Seconds that what has not been sent has when the daemon ends."""

_NAME = "prunner-trio"


@attrs.frozen
class Exporting:
    """Where spans go. What the collector does not take in time is dropped by the library: it never blocks the loop."""

    tracer: Tracer
    _provider: TracerProvider

    async def close(self) -> None:
        """Send what has not been sent, and give up what is not taken within `FAREWELL_SECONDS`."""
        with trio.move_on_after(FAREWELL_SECONDS):
            await trio.to_thread.run_sync(self._provider.shutdown, abandon_on_cancel=True)


def open_exporting(environ: Mapping[str, str]) -> Exporting:
    """Begin to send spans to where the variables say. Starts a thread; nothing is sent yet.

    Args:
        environ: says whether the service has a name; all else the library reads from the process's own environment.
    """
    named = bool(environ.get("OTEL_SERVICE_NAME")) or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {SERVICE_VERSION: __version__, **({} if named else {SERVICE_NAME: _NAME})}
    # At exit the library would wait for a collector that does not answer; `close` does so with an end.
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Exporting(provider.get_tracer(_NAME, __version__), provider)
