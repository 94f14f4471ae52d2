"""From a failure to what comes after it: its log, a retry, other variables; and the wait list."""

import re

from playwright.sync_api import Locator, Page, expect

JOB = re.compile(r"/jobs/([0-9a-f-]{36})$")


def row(page: Page, part: str, task: str) -> Locator:
    return page.locator(f"#part-{part} tbody tr").filter(has=page.get_by_role("link", name=task, exact=True))


def test_from_a_failed_task_to_its_log_and_to_a_retry_that_keeps_what_was_done(tab, sights) -> None:
    page = tab.open(f"/jobs/{sights.failed}")
    page.locator("#part-failures").get_by_role("link", name=re.compile("looks like an error")).click()
    expect(page.locator("h1")).to_contain_text("check")
    page.go_back()
    page.get_by_role("button", name="Retry from failed").click()
    page.wait_for_url(JOB)
    assert sights.failed not in page.url
    expect(page.locator("#part-head .sign")).to_contain_text("failed", timeout=60_000)
    expect(row(page, "tasks", "fetch")).to_contain_text("taken over")
    expect(page.locator("#part-audit")).to_contain_text("jane scheduled as a retry of another job")


def test_a_failed_job_is_run_with_other_variables(tab, sights) -> None:
    page = tab.open(f"/jobs/{sights.failed}")
    page.get_by_role("link", name="Run with other variables").click()
    page.locator("#start").get_by_label("status").fill("0")
    page.locator("#start button.primary").click()
    page.wait_for_url(JOB)
    expect(page.locator("#part-head .sign")).to_contain_text("succeeded", timeout=60_000)


def test_the_keyboard_leads_to_the_search_and_to_the_system_page(tab) -> None:
    page = tab.open("/jobs")
    page.wait_for_function("document.documentElement.classList.contains('scripted')")
    page.keyboard.press("/")
    expect(page.locator("#f-text")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.locator("h1")).to_have_text("System")


def test_without_scripts_a_job_is_started_retried_and_canceled(open_tab, sights) -> None:
    tab = open_tab(java_script_enabled=False)
    page = tab.open("/pipeline/talk")
    page.locator("#start").get_by_label("stop").fill("/nonexistent")
    page.locator("#start button.primary").click()
    expect(page.locator("#part-head .sign")).to_contain_text(re.compile("running|waiting"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    assert JOB.search(page.url)
    tab.daemon.ended(JOB.search(page.url)[1])
    page.reload()
    expect(page.locator("#part-head .sign")).to_contain_text("canceled")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("main")).to_contain_text("retry of another job")
    page.get_by_role("button", name="Cancel", exact=True).click()
