"""Takes the pictures of the web page in docs/images: a daemon with jobs in all states, and Debian's chromium."""

import argparse
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from showroom import PIPELINES, ROOT, Daemon, open_daemon

from browser import find

IMAGES = ROOT / "docs" / "images"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
DESKTOP, PHONE = (1180, 760), (390, 780)
MOST_BYTES = 150_000


REPLACE = """
([from, to]) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(from, to);
}
"""


@dataclass(frozen=True)
class View:
    """A page to take pictures of.

    Attributes:
        ready: a selector for what must be there first.
        top: a selector for what is to be scrolled to.
    """

    name: str
    path: str
    ready: str = "h1"
    top: str = ""


def prepare(daemon: Daemon) -> list[View]:
    """Start jobs, so that there is something to see, and return what to look at."""
    for version in ("1.0", "1.1", "1.2", "1.3"):
        daemon.ended(daemon.schedule("release", version=version, branch="main"))
    for status in (0, 0, 3, 0, 1):
        daemon.ended(daemon.schedule("nightly", status=status))
    failed = daemon.schedule("nightly", status=3)
    canceled = daemon.schedule("backup")
    daemon.cancel(canceled)
    for _ in range(3):
        daemon.schedule("backup")
    done = daemon.schedule("release", version="2.0-rc.1", branch="next")
    daemon.ended(done)
    daemon.ended(failed)
    talking = daemon.schedule("talk", stop="/nonexistent")
    return [
        View("overview", "/", "#part-pipelines svg"),
        View("jobs", "/jobs", "#main table"),
        View("pipeline", "/pipeline/release", "svg.graph"),
        View("job", f"/jobs/{done}", "svg.timeline"),
        View("job-timeline", f"/jobs/{done}", "svg.timeline", top="#h-tasks"),
        View("job-failed", f"/jobs/{failed}", ".failure"),
        View("system", "/system"),
        View("log", f"/jobs/{failed}/log/check?stream=stdout#L301", ".log .picked"),
        View("log-follow", f"/jobs/{talking}/log/talk", ".log .rows .line"),
    ]


def take_all(browser: Browser, daemon: Daemon, views: list[View]) -> None:
    """Take all pictures of each view."""
    for theme in ("light", "dark"):
        for phone in (False, True):
            take(browser, daemon, views, theme, phone=phone)


def take(browser: Browser, daemon: Daemon, views: list[View], theme: str, *, phone: bool) -> None:
    """Take one picture of each view."""
    width, height = PHONE if phone else DESKTOP
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        is_mobile=phone,
        has_touch=phone,
        reduced_motion="reduce",
    )
    page = context.new_page()
    kind = f"phone-{theme}" if phone else theme
    page.goto(daemon.address)
    page.wait_for_selector("#token")
    if views[0].name == "overview":
        save(page, f"sign-in-{kind}", str(daemon.directory))
    page.fill("#token", daemon.token)
    page.click("main button")
    page.wait_for_selector("text=Sign out")
    for view in views:
        page.goto(daemon.address + view.path)
        page.wait_for_selector(view.ready)
        if view.top:
            page.locator(view.top).evaluate("element => element.closest('section').scrollIntoView()")
        save(page, f"{view.name}-{kind}", str(daemon.directory))
    context.close()


def save(page: Page, name: str, folder: str) -> None:
    """Write what is seen of a page of the daemon that keeps everything in `folder`."""
    page.wait_for_load_state("load")
    page.evaluate("document.activeElement && document.activeElement.blur()")
    page.evaluate(REPLACE, [platform.release(), "6.12"])  # what is true of one machine only
    page.evaluate(REPLACE, [folder, "/var/lib/prunner-trio"])
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size:,} bytes" + ("  TOO LARGE" if size > MOST_BYTES else ""), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/screenshots",
        description="Starts a daemon with jobs in all states on a free port of 127.0.0.1, and writes pictures of its "
        "page to docs/images: light and dark, of a desktop and of a phone. Needs chromium. Makes .venv and installs "
        "into it first, if that has to be done.",
    )
    parser.parse_args()
    path = find()
    if path is None:
        print("there is no chromium: apt-get install chromium, or name one in CHROMIUM", file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        definitions = Path(folder) / "pipelines.yml"
        shutil.copy(PIPELINES / "pipelines.yml", definitions)
        with open_daemon(Path(folder), Path(folder)) as daemon:
            browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
            take_all(browser, daemon, prepare(daemon))
            definitions.write_text(definitions.read_text(encoding="utf-8").replace("script:", "scritp:", 2))
            daemon.reload()
            daemon.wait_for(lambda: "scritp" in daemon.log.read_text(encoding="utf-8"), "the problems")
            take_all(browser, daemon, [View("problems", "/problems", "#main table")])
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
