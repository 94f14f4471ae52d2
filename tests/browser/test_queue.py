"""What can be done with jobs and pipelines besides starting and canceling: again, in another order, not now."""

import re

from playwright.sync_api import expect

OTHER_JOB = re.compile(r"/jobs/([0-9a-f-]{36})$")


def test_a_job_that_is_done_is_run_again_as_a_whole(tab, sights) -> None:
    page = tab.open(f"/jobs/{sights.done}")
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: OTHER_JOB.search(url) is not None and not url.endswith(sights.done))
    expect(page.locator("#part-head .sign").first).to_contain_text("succeeded", timeout=60_000)


def test_what_waits_is_moved_and_dropped_on_the_overview(tab, sights) -> None:
    first, second = tab.daemon.schedule("backup"), tab.daemon.schedule("backup")
    numbers = [tab.daemon.ask("GET", f"/v1/jobs/{job}")["number"] for job in (first, second)]
    page = tab.open("/")
    waiting = page.locator("#part-waiting")
    expect(waiting.locator(f'a[href$="{second}"]')).to_have_count(1)
    page.get_by_role("button", name=f"Move job {numbers[1]} up").click()
    tab.daemon.wait_for(
        lambda: place(tab.daemon, second) < place(tab.daemon, first), "the second to stand before the first"
    )
    for number, job in zip(numbers, (first, second), strict=True):
        page.get_by_role("button", name=f"Drop job {number}").click()
        expect(waiting.locator(f'a[href$="{job}"]')).to_have_count(0)
        assert tab.daemon.ended(job) == "canceled"


def place(daemon, job: str) -> int:
    position: int = daemon.ask("GET", f"/v1/jobs/{job}")["waiting"]["position"]
    return position


def test_a_pipeline_is_paused_and_goes_on(tab) -> None:
    page = tab.open("/pipeline/colors")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    job = tab.daemon.schedule("colors", file="/dev/null")
    expect(tab.open(f"/jobs/{job}").locator("#part-head")).to_contain_text("paused")
    tab.open("/pipeline/colors").get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert tab.daemon.ended(job) == "done"
