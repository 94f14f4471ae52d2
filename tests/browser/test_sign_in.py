"""Signing in and out."""

import re

from playwright.sync_api import expect


def test_a_token_signs_in_and_leads_to_the_page_that_was_asked_for(open_tab) -> None:
    tab = open_tab(signed_in=False)
    page = tab.open("/jobs?state=error")
    page.fill("#token", tab.daemon.token)
    page.press("#token", "Enter")
    page.wait_for_url(re.compile(r"/jobs\?state=error$"))
    expect(page.get_by_role("button", name="Sign out")).to_contain_text("jane")


def test_the_cookie_cannot_be_read_by_scripts(tab) -> None:
    assert tab.page.evaluate("document.cookie") == ""
    (cookie,) = tab.page.context.cookies()
    assert cookie["httpOnly"] is True
    assert cookie["sameSite"] == "Strict"


def test_a_wrong_token_is_told_and_another_one_can_be_given(open_tab) -> None:
    tab = open_tab(signed_in=False)
    tab.expected.append("401")
    page = tab.open("/")
    page.fill("#token", "not.a.token")
    page.click("main button")
    expect(page.get_by_role("alert")).to_contain_text("cannot be used")
    page.fill("#token", tab.daemon.token)
    page.click("main button")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_who_has_signed_out_sees_nothing_any_more(tab) -> None:
    tab.page.get_by_role("button", name="Sign out").click()
    tab.page.wait_for_selector("#token")
    tab.open("/jobs").wait_for_selector("#token")
