"""Takes the pictures of the web page in docs/images: a daemon with jobs in all states, and Debian's chromium."""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from showroom import ROOT, Daemon, open_daemon

from browser import find

IMAGES = ROOT / "docs" / "images"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
DESKTOP, PHONE = (1180, 760), (390, 780)
MOST_BYTES = 150_000


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
        View("log", f"/jobs/{failed}/log/check?stream=stdout#L301", ".log .picked"),
        View("log-follow", f"/jobs/{talking}/log/talk", ".log .rows .line"),
    ]


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
    save(page, f"sign-in-{kind}")
    page.fill("#token", daemon.token)
    page.click("main button")
    page.wait_for_selector("text=Sign out")
    for view in views:
        page.goto(daemon.address + view.path)
        page.wait_for_selector(view.ready)
        if view.top:
            page.locator(view.top).evaluate("element => element.closest('section').scrollIntoView()")
        save(page, f"{view.name}-{kind}")
    context.close()


def save(page: Page, name: str) -> None:
    """Write what is seen of a page."""
    page.wait_for_load_state("load")
    page.evaluate("document.activeElement && document.activeElement.blur()")
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
    with tempfile.TemporaryDirectory() as folder, open_daemon(Path(folder)) as daemon, sync_playwright() as playwright:
        views = prepare(daemon)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        for theme in ("light", "dark"):
            for phone in (False, True):
                take(browser, daemon, views, theme, phone=phone)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
