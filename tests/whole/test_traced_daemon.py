"""A daemon that is asked for spans, and a collector that takes them, or does not."""

import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import jwt
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.waiting import wait_for

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
SECRET = "a-secret-of-the-tests-0123456789-0123456789"
TOKEN = jwt.encode({"sub": "jane"}, SECRET, algorithm="HS256")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PATIENCE = 25.0
DEFINITIONS = """
pipelines:
  site:
    concurrency: 20
    tasks:
      build: {script: ['echo "$TRACEPARENT" > parent']}
      check: {script: [exit 3], depends_on: [build]}
"""


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self, *, silent: bool = False) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.asked = threading.Event()
        self.released = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                collector.asked.set()
                if silent:
                    collector.released.wait()
                    return
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def spans(self) -> dict[str, Any]:
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def resource(self) -> dict[str, str]:
        (resource, *_) = self.requests[0].resource_spans
        return {each.key: each.value.string_value for each in resource.resource.attributes}


@pytest.fixture
def collect() -> Iterator[Callable[..., Collector]]:
    made: list[Collector] = []

    def make(**more: bool) -> Collector:
        made.append(Collector(**more))
        return made[-1]

    yield make
    for collector in made:
        collector.close()


@attrs.define(eq=False)
class Daemon:
    folder: Path
    process: "subprocess.Popen[bytes]"
    port: int = 0

    @property
    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def ask(self, method: str, target: str, body: object = None, **headers: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
        try:
            connection.request(method, target, json.dumps(body) if body is not None else None, given)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def run(self, **headers: str) -> str:
        """Run a job to its end, and return its id."""
        job = str(self.ask("POST", "/v1/jobs", {"pipeline": "site"}, **headers)["id"])
        wait_for(lambda: self.ask("GET", f"/v1/jobs/{job}")["ended"], "the end of the job")
        return job

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    started: list[Daemon] = []

    def make(**variables: str) -> Daemon:
        (tmp_path / "pipelines.yml").write_text(DEFINITIONS)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PRUNNER_", "OTEL_"))}
        with open(tmp_path / "stderr", "wb") as log:
            process = subprocess.Popen(
                [PROGRAM, "--address", "127.0.0.1:0"],
                cwd=tmp_path,
                env=kept | {"PRUNNER_JWT_SECRET": SECRET} | variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        daemon = Daemon(tmp_path, process)
        started.append(daemon)
        line = wait_for(lambda: next((x for x in daemon.log.splitlines() if "message=ready" in x), ""), "the daemon")
        daemon.port = int(line.split("address=")[1].split()[0].rpartition(":")[2])
        return daemon

    yield make
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_collector_gets_the_spans_and_a_task_knows_its_own(
    start: Callable[..., Daemon], collect: Callable[..., Collector]
) -> None:
    collector = collect()
    daemon = start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
    job = daemon.run(traceparent=f"00-{TRACE}-{PARENT}-01")
    assert daemon.stop() == 0
    spans = collector.spans()
    run, build, check = (spans[name] for name in ("RUN site", "build", "check"))
    assert {span.trace_id.hex() for span in (run, build, check)} == {TRACE}
    assert (run.parent_span_id.hex(), build.parent_span_id, check.parent_span_id) == (PARENT, run.span_id, run.span_id)
    assert (daemon.folder / "parent").read_text() == f"00-{TRACE}-{build.span_id.hex()}-01\n"
    assert attributes(run)["cicd.pipeline.run.id"] == job
    assert (attributes(run)["prunner.user"], attributes(check)["process.exit.code"]) == ("jane", 3)
    assert collector.resource()["service.name"] == "prunner-trio"


def test_the_service_can_have_another_name(start: Callable[..., Daemon], collect: Callable[..., Collector]) -> None:
    collector = collect()
    daemon = start(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.address}/v1/traces", OTEL_SERVICE_NAME="builds")
    daemon.run()
    assert daemon.stop() == 0
    assert collector.resource()["service.name"] == "builds"


def test_a_collector_that_does_not_answer_holds_up_neither_jobs_nor_the_end(
    start: Callable[..., Daemon], collect: Callable[..., Collector]
) -> None:
    collector = collect(silent=True)
    # The library itself would wait for longer than we do.
    patience = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
    daemon = start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, **patience)
    daemon.run()
    assert collector.asked.wait(PATIENCE)
    daemon.run()
    assert daemon.stop() == 0


def test_a_collector_that_is_not_there_holds_up_nothing_either(start: Callable[..., Daemon]) -> None:
    daemon = start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY="50")
    daemon.run()
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def test_without_the_variables_nothing_of_the_library_is_imported(start: Callable[..., Daemon]) -> None:
    daemon = start(PYTHONVERBOSE="1")
    daemon.run()
    assert daemon.stop() == 0
    assert "prunner_trio.daemon.tracing" in daemon.log
    assert "opentelemetry" not in daemon.log
    assert (daemon.folder / "parent").read_text() == "\n"
