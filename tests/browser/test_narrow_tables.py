"""What a long reason does to the table of tasks."""

import pytest
from scripts.lib.showroom import open_daemon

LONG = "a reason that goes on and on " * 12
FILE = """
pipelines:
  deploy:
    tasks:
      publish_the_package: {script: ["echo {{ .version.major }}"]}
      build: {script: [sleep 0.05]}
      on: {script: [sleep 0.05], depends_on: [publish_the_package]}
"""
BROKEN = """cells => cells.filter((cell) => {
    const words = document.createRange();
    words.selectNodeContents(cell);
    const ends = [...words.getClientRects()].map((box) => box.bottom);
    return Math.max(...ends) - Math.min(...ends) > 10;
}).map((cell) => cell.textContent)"""


@pytest.mark.parametrize("width", [800, 1200])
def test_short_cells_stay_on_one_line_beside_it(open_tab, tmp_path, width) -> None:
    (tmp_path / "pipelines.yml").write_text(FILE)
    with open_daemon(tmp_path, tmp_path) as daemon:
        tab = open_tab(at=daemon, viewport={"width": width, "height": 800})
        job = daemon.schedule("deploy", version="1.4")
        daemon.ended(job)
        page = tab.open(f"/jobs/{job}")
        table = page.locator("#part-tasks table")
        table.locator(".why").first.evaluate("(cell, text) => { cell.textContent = text; }", LONG)
        assert table.locator(".name, .sign, td[data-label]").evaluate_all(BROKEN) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.goto("about:blank")
