"""What the page tells of the definition files."""

from playwright.sync_api import expect
from scripts.lib.showroom import open_daemon

GOOD = "pipelines: {hello: {tasks: {greet: {script: [echo hello]}}}}\n"
BAD = "pipelines:\n  hello:\n    tasks:\n      greet:\n        scritp: [echo hello]\n"


def test_problems_of_a_reload_are_told_with_file_and_line_until_they_are_mended(open_tab, tmp_path) -> None:
    file = tmp_path / "pipelines.yml"
    file.write_text(GOOD)
    with open_daemon(tmp_path, tmp_path) as daemon:
        tab = open_tab(at=daemon)

        def told(text: str) -> None:
            daemon.wait_for(lambda: text in tab.open("/problems").inner_text("main"), f"{text!r} on the page")

        told("There are none")
        file.write_text(BAD)
        daemon.reload()
        told("pipelines.yml:5")
        told("scritp")
        expect(tab.open("/").get_by_role("link", name="Problems 1")).to_be_visible()
        file.write_text(GOOD)
        daemon.reload()
        told("There are none")
        tab.page.goto("about:blank")
