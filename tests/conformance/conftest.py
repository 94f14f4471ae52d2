"""Fixtures of the conformance suite."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import daemon as d  # noqa: E402
from differences import DIFFERENCES  # noqa: E402


def pytest_configure(config):
    for line in (
        "beyond_prunner: promised by this project on top of prunner; the Go daemon is expected to fail these",
        "data_json: reads or writes prunner's data.json on disk, in prunner's own format",
        "quirk: an oddity of the Go daemon that a drop-in may handle differently",
    ):
        config.addinivalue_line("markers", line)


def pytest_sessionstart(session):
    if session.config.option.collectonly:
        return
    try:
        d.command()
    except RuntimeError as problem:
        pytest.exit(str(problem), returncode=4)


def pytest_collection_modifyitems(config, items):
    """Turns the tests on which we differ on purpose into strict xfails, so that a change of mind is noticed."""
    if os.environ.get("CONFORMANCE_DIFFERENCES") == "none":
        return
    here = pathlib.Path(__file__).parent
    for key in DIFFERENCES:
        file, _, name = key.partition("::")
        function = name.partition("[")[0]
        if f"def {function}(" not in (here / file).read_text():
            raise pytest.UsageError(f"differences.py names a test that does not exist: {key}")
    for item in items:
        if item.path.parent == here:
            names = item.name, getattr(item, "originalname", item.name)
            for reason in (DIFFERENCES.get(f"{item.path.name}::{name}") for name in dict.fromkeys(names)):
                if reason is not None:
                    if item.get_closest_marker("quirk") is None:
                        raise pytest.UsageError(f"differences.py names a test that is not marked `quirk`: {item.name}")
                    item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_sessionfinish(session, exitstatus):
    d.kill_marked(d.SESSION_MARK)


@pytest.fixture
def new(tmp_path):
    """Makes daemons; all are ended after the test. Call start() on what it returns, or use it in a with block."""
    made = []

    def make(definitions=None, folder=None, **keys):
        where = tmp_path / f"d{len(made)}" if folder is None else folder
        one = d.Daemon(where, definitions, **keys)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory):
    """One daemon for all tests of a module, with the module's PIPELINES (and SHARED_ARGS, SHARED_FILES, ...)."""
    module = request.module
    one = d.Daemon(
        tmp_path_factory.mktemp("shared"),
        module.PIPELINES,
        args=getattr(module, "SHARED_ARGS", ()),
        env=getattr(module, "SHARED_ENV", None),
        files=getattr(module, "SHARED_FILES", None),
    )
    try:
        one.start()
        yield one
    finally:
        one.close()
