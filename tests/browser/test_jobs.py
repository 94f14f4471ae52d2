"""Starting, watching and canceling jobs; pages follow what happens and are not loaded again."""

import re

from playwright.sync_api import Page, expect

JOB = re.compile(r"/jobs/([0-9a-f-]{36})$")


def mark(page: Page) -> None:
    """Leave something in the page that is gone once it has been loaded again."""
    page.evaluate("window.marked = true")


def is_same(page: Page) -> bool:
    return bool(page.evaluate("window.marked === true"))


def start(page: Page) -> str:
    page.locator("#start button.primary").click()
    page.wait_for_url(JOB)
    found = JOB.search(page.url)
    assert found is not None
    return found[1]


def test_a_job_is_started_with_a_form_and_watched_until_its_end(tab) -> None:
    page = tab.open("/")
    page.get_by_role("link", name="release", exact=True).first.click()
    page.locator("#start").get_by_label("version").fill('2.0 "<beta>"')
    job = start(page)
    mark(page)
    expect(page.locator("#part-head .sign")).to_contain_text("succeeded", timeout=60_000)
    expect(page.locator("#part-tasks tbody tr")).to_have_count(6)
    expect(page.locator("svg.graph")).to_contain_text("package")
    expect(page.locator("svg.timeline .row")).not_to_have_count(0)
    assert is_same(page)
    assert tab.daemon.ask("GET", f"/v1/jobs/{job}")["variables"]["version"] == '2.0 "<beta>"'


def test_the_overview_shows_what_others_start_and_what_ends(tab) -> None:
    page = tab.open("/")
    expect(page.locator("#link")).to_have_text("live")
    mark(page)
    job = tab.daemon.schedule("talk", stop="/nonexistent")
    row = (
        page.locator("#part-running").get_by_role("link", name=re.compile("^#")).and_(page.locator(f'a[href$="{job}"]'))
    )
    expect(row).to_have_count(1)
    tab.daemon.cancel(job)
    expect(row).to_have_count(0)
    assert is_same(page)


def test_a_job_is_canceled_from_its_page(tab) -> None:
    job = tab.daemon.schedule("talk", stop="/nonexistent")
    page = tab.open(f"/jobs/{job}")
    expect(page.locator("#part-head .sign")).to_contain_text("running")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("#part-head .sign")).to_contain_text("canceled")
    assert tab.daemon.ask("GET", f"/v1/jobs/{job}")["stop"]["by"] == "jane"


def test_why_a_job_waits_is_told(tab, sights) -> None:
    page = tab.open(f"/jobs/{sights.waiting}")
    expect(page.locator("main")).to_contain_text("position 1 of 1")


def test_the_page_of_a_failed_job_shows_why_and_leads_to_the_line(tab, sights) -> None:
    page = tab.open(f"/jobs/{sights.failed}")
    failure = page.locator(".failure")
    expect(failure).to_contain_text("exit status 3")
    expect(failure).to_contain_text("assertion failed in case 301 <b>not bold</b>")
    failure.get_by_role("link").first.click()
    expect(page.locator(".log .rows .line").last).to_contain_text("assertion failed")
    page.go_back()
    failure.get_by_role("link", name="first line").click()
    expect(page.locator(".log .picked")).to_contain_text("assertion failed in case 301")


def test_jobs_are_found_by_state(tab, sights) -> None:
    page = tab.open("/jobs?state=error")
    expect(page.locator(f'main a[href$="{sights.failed}"]').first).to_be_visible()
    expect(page.locator(f'main a[href$="{sights.done}"]')).to_have_count(0)


def test_keys_lead_through_the_pages(tab, sights) -> None:
    page = tab.open("/")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url(re.compile("/jobs$"))
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.closest('[data-row]') !== null")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url(re.compile("[0-9]/$"))


def test_the_theme_that_was_chosen_stays(tab) -> None:
    page = tab.open("/")
    page.click("#theme")
    page.click("#theme")
    tab.open("/jobs")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_page_goes_on_after_the_daemon_was_gone(tab) -> None:
    page = tab.open("/")
    expect(page.locator("#link")).to_have_text("live")
    mark(page)
    page.context.set_offline(True)
    page.context.set_offline(False)
    job = tab.daemon.schedule("talk", stop="/nonexistent")
    expect(page.locator(f'#part-running a[href$="{job}"]')).not_to_have_count(0)
    tab.daemon.cancel(job)
    expect(page.locator(f'#part-running a[href$="{job}"]')).to_have_count(0)
    tab.expected.append("ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED|Failed to fetch|network error")


def test_reading_starting_and_canceling_need_no_javascript(open_tab) -> None:
    tab = open_tab(java_script_enabled=False)
    page = tab.open("/pipeline/talk")
    page.locator("#start").get_by_label("stop").fill("/nonexistent")
    job = start(page)
    tab.daemon.wait_for(lambda: tab.daemon.ask("GET", f"/v1/jobs/{job}")["state"] == "running", "the job to run")
    page.reload()
    page.get_by_role("button", name="Cancel", exact=True).click()
    assert tab.daemon.ended(job) == "canceled"
    page.goto(f"{tab.daemon.address}/jobs/{job}/log/talk")
    expect(page.locator(".line").first).to_contain_text("tick 1")
