"""The web page costs nothing until somebody asks for it, and comes with the package."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
V1 = "{'cattrs', 'prunner_trio.http.v1.api', 'prunner_trio.http.v1.models', 'prunner_trio.http.v1.encode'}"
HEAVY = "{'quart', 'jinja2', 'werkzeug', 'markupsafe', 'prunner_trio.http.app', 'prunner_trio.http.pages'}"


def test_the_daemon_is_there_without_what_only_the_page_needs() -> None:
    code = f"import sys, prunner_trio.daemon.main; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout == "[]\n"


def test_the_daemon_starts_without_api_v1_and_what_reads_old_jobs() -> None:
    code = f"import sys, prunner_trio.daemon.main; print(sorted({V1} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout == "[]\n"


def test_templates_and_static_files_are_in_the_wheel(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    pages = ROOT / "src" / "prunner_trio" / "http" / "pages"
    expected = {
        file.relative_to(ROOT / "src").as_posix()
        for file in pages.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as content:
        assert expected <= set(content.namelist())
