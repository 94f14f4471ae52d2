"""A daemon with jobs in all states, and a browser that reports everything that goes wrong in a page."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urljoin, urlsplit

import attrs
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from scripts.lib.showroom import Daemon, open_daemon

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 15_000
"""Milliseconds for which is waited for what a page must show; a slow machine needs them, a fast one does not."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "there is no chromium; scripts/test --browser installs it or says what to do"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with open_daemon(tmp_path_factory.mktemp("daemon")) as server:
        yield server


@attrs.frozen
class Sights:
    """Jobs by how they are.

    Attributes:
        running: runs until the end of the tests; `waiting` waits for its slot.
    """

    done: str
    failed: str
    canceled: str
    running: str
    waiting: str


@pytest.fixture(scope="session")
def sights(daemon: Daemon) -> Sights:
    """Jobs to look at, which no test changes."""
    done, failed = daemon.schedule("release", version="1.4"), daemon.schedule("nightly")
    canceled = daemon.schedule("backup")
    daemon.cancel(canceled)
    running, waiting = daemon.schedule("backup"), daemon.schedule("backup")
    assert (daemon.ended(done), daemon.ended(failed)) == ("done", "error")
    return Sights(done, failed, canceled, running, waiting)


@attrs.define(eq=False)
class Tab:
    """A page in the browser, and what it has complained of.

    Attributes:
        problems: errors and warnings on the console, which is also where violations of the policy are told, exceptions,
            and answers with a status of 400 or more.
        expected: what of these is meant, as patterns.
    """

    page: Page
    daemon: Daemon
    problems: list[str] = attrs.field(factory=list)
    expected: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda m: self._note(m.type in ("error", "warning"), f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda error: self._note(True, f"exception: {error}"))
        self.page.on("response", lambda answer: self._note(answer.status >= 400, f"{answer.status} {answer.url}"))

    def _note(self, holds: bool, text: str) -> None:
        if holds:
            self.problems.append(f"{text} at {self.page.url}")

    def open(self, path: str) -> Page:
        self.page.goto(urljoin(self.daemon.address, path))
        return self.page

    def check(self) -> None:
        """Fail if something has gone wrong that is not meant to."""
        unmeant = [text for text in self.problems if not any(re.search(pattern, text) for pattern in self.expected)]
        assert unmeant == []


LINKS = "links => links.map(link => new URL(link.getAttribute('href'), document.baseURI).href)"
OpenTab = Callable[..., Tab]


@pytest.fixture
def open_tab(chromium: Browser, daemon: Daemon) -> Iterator[OpenTab]:
    """Open a tab in a fresh profile; `at` is another daemon than that of all tests, the rest options of the profile."""
    contexts: list[BrowserContext] = []
    tabs: list[Tab] = []

    def open_tab(*, signed_in: bool = True, at: Daemon = daemon, **options: object) -> Tab:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        contexts.append(context)
        tab = Tab(context.new_page(), at)
        tabs.append(tab)
        if signed_in:
            sign_in(tab)
        return tab

    yield open_tab
    for tab in tabs:
        tab.check()
    for context in contexts:
        context.close()


@pytest.fixture
def tab(open_tab: OpenTab) -> Tab:
    """A tab of somebody who is signed in."""
    return open_tab()


def sign_in(tab: Tab) -> None:
    page = tab.open("/")
    page.fill("#token", tab.daemon.token)
    page.click("main button")
    page.wait_for_selector("text=Sign out")


@pytest.fixture(scope="session")
def every_page(chromium: Browser, daemon: Daemon, sights: Sights) -> tuple[str, ...]:
    """The paths of pages that links lead to, one of each kind; of jobs and outputs one of each state."""
    context = chromium.new_context(java_script_enabled=False)
    tab = Tab(context.new_page(), daemon)
    tab.page.goto(daemon.address)
    tab.page.fill("#token", daemon.token)
    tab.page.click("main button")
    found: dict[str, str] = {}
    todo = ["/", *(f"/jobs/{job}" for job in attrs.astuple(sights)), f"/jobs/{sights.failed}/log/check?stream=both"]
    while todo:
        path = todo.pop(0)
        kind = path if path.rpartition("/")[2] in attrs.astuple(sights) else _kind(path)
        if kind in found:
            continue
        found[kind] = path
        tab.open(path)
        links = tab.page.eval_on_selector_all("a[href]:not([download])", LINKS)
        todo += [_path(link) for link in links if link.startswith(daemon.address) and not _is_api(link)]
    context.close()
    assert len(found) < 60, found
    return tuple(found.values())


def _path(link: str) -> str:
    parts = urlsplit(link)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _is_api(link: str) -> bool:
    return urlsplit(link).path.startswith(("/v1/", "/static/"))


def _kind(path: str) -> str:
    path, _, query = path.partition("?")
    path = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", path)
    path = re.sub(r"(/log|/pipeline)/.+", r"\1/NAME", path)
    return path + "?" + ",".join(sorted({pair.partition("=")[0] for pair in query.split("&")}))
