"""The link that leads to the web page of a running daemon."""

import json
import signal
import urllib.error
import urllib.request
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from tests import waiting

pytestmark = pytest.mark.whole

wait_for = partial(waiting.wait_for, seconds=60)


def browser() -> Any:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    opener.addheaders = [("Accept", "text/html")]
    return opener


def test_open_prints_a_link_that_signs_in_once(remote: Any) -> None:
    url = remote.ok("open").strip()
    assert url.startswith(f"http://127.0.0.1:{remote.port}/sign-in?once=")
    reader = browser()
    assert "Signed in" in reader.open(url).read().decode()
    page = reader.open(f"http://127.0.0.1:{remote.port}/").read().decode()
    assert "site" in page
    with pytest.raises(urllib.error.HTTPError, match="401"):
        browser().open(url)


def test_open_as_json_says_how_long(remote: Any) -> None:
    told = json.loads(remote.ok("open", "--json"))
    assert set(told) == {"url", "expires"}
    assert told["expires"].endswith("Z")


def test_open_gives_the_link_to_the_browser(remote: Any, tmp_path: Path) -> None:
    program = tmp_path / "browser"
    program.write_text('#!/bin/sh\nprintf %s "$1" >"$0.url"\n')
    program.chmod(0o755)
    assert remote.ok("open", "--browser", BROWSER=str(program)) == ""
    assert "Signed in" in browser().open((tmp_path / "browser.url").read_text()).read().decode()


def test_the_package_has_all_that_the_page_needs(remote: Any) -> None:
    reader = browser()
    reader.open(remote.ok("open").strip()).read()
    page = reader.open(f"http://127.0.0.1:{remote.port}/").read().decode()
    for part in page.split('"'):
        if part.startswith("./static/"):
            got = reader.open(f"http://127.0.0.1:{remote.port}/{part[2:]}")
            assert got.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert got.read()


def test_the_system_page_tells_of_this_daemon_and_a_bad_file_is_told_everywhere(remote: Any) -> None:
    reader = browser()
    address = f"http://127.0.0.1:{remote.port}"
    reader.open(remote.ok("open").strip()).read()
    page = reader.open(f"{address}/system").read().decode()
    assert f"127.0.0.1:{remote.port}" in page
    assert str(remote.process.pid) in page
    definitions = remote.folder / "pipelines.yml"
    before = definitions.read_text()
    try:
        definitions.write_text(before + "  worse: {tasks: {t: {scrpt: [x]}}}\n")
        remote.process.send_signal(signal.SIGUSR1)
        line = before.count("\n") + 1
        wait_for(lambda: f"pipelines.yml:{line}:" in reader.open(f"{address}/problems").read().decode(), "the problem")
        assert "Problems 1" in reader.open(f"{address}/jobs").read().decode()
    finally:
        definitions.write_text(before)
        remote.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: "There are none" in reader.open(f"{address}/problems").read().decode(), "the good file")
