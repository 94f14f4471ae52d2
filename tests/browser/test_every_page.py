"""What holds for each page: no complaint in the browser, no serious problem for anybody, readable on a phone."""

import hashlib
from pathlib import Path

import pytest

VENDOR = Path(__file__).parent / "vendor"
AXE = (VENDOR / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """
async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
    .filter((found) => ["serious", "critical"].includes(found.impact))
    .map((found) => `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map((node) => node.html).join(" | ")}`)
"""


def test_the_checker_is_the_file_that_its_readme_names() -> None:
    digest = hashlib.sha256((VENDOR / "axe.min.js").read_bytes()).hexdigest()
    assert digest in (VENDOR / "README.md").read_text(encoding="utf-8")


def test_links_lead_to_all_kinds_of_pages(every_page) -> None:
    starts = {path.partition("?")[0].strip("/").partition("/")[0] for path in every_page}
    assert starts >= {"", "jobs", "pipeline"}
    assert any("/log/" in path for path in every_page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_problem(open_tab, every_page, theme) -> None:
    tab = open_tab(color_scheme=theme, reduced_motion="reduce")
    found = {}
    for path in every_page:
        page = tab.open(path)
        page.wait_for_selector("h1", state="attached")
        page.evaluate(AXE)
        if problems := page.evaluate(RUN_AXE):
            found[path] = problems
    assert found == {}


def test_axe_finds_no_serious_problem_before_signing_in(open_tab) -> None:
    page = open_tab(signed_in=False).open("/")
    page.wait_for_selector("#token")
    page.evaluate(AXE)
    assert page.evaluate(RUN_AXE) == []


def test_on_a_phone_nothing_has_to_be_scrolled_sideways(open_tab, every_page) -> None:
    tab = open_tab(viewport={"width": 375, "height": 720}, is_mobile=True, has_touch=True)
    wide = {}
    for path in every_page:
        page = tab.open(path)
        page.wait_for_selector("h1", state="attached")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 375:
            wide[path] = width
    assert wide == {}


def test_pages_ask_nobody_but_the_daemon(open_tab, every_page) -> None:
    tab = open_tab()
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    for path in every_page:
        tab.open(path).wait_for_selector("h1", state="attached")
    assert [url for url in asked if not url.startswith(tab.daemon.address)] == []
