"""The output of a task in the browser: place, colors, search, following, and logs of any size."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

MOST_ROWS = 1300
SEEN = """() => {
  const box = document.querySelector(".log").getBoundingClientRect();
  return [...document.querySelectorAll(".log .rows .line")]
    .filter((row) => row.getBoundingClientRect().bottom > box.top && row.getBoundingClientRect().top < box.bottom)
    .map((row) => Number(row.dataset.line) + 1);
}"""


def seen(page: Page) -> list[int]:
    """Return the numbers of the lines that can be seen."""
    numbers: list[int] = page.evaluate(SEEN)
    return numbers


def sees(page: Page, line: int) -> None:
    page.wait_for_function(f"line => ({SEEN})().includes(line)", arg=line)


def rows(page: Page) -> int:
    return page.locator(".log .line").count()


def at_end(page: Page) -> bool:
    return bool(
        page.evaluate(
            "(() => { const b = document.querySelector('.log');"
            "return b.scrollHeight - b.scrollTop - b.clientHeight < 4; })()"
        )
    )


@pytest.fixture
def check_log(tab, sights) -> Page:
    """The output of the failed task: line 301 is the error."""
    page: Page = tab.open(f"/jobs/{sights.failed}/log/check?stream=stdout")
    sees(page, 901)
    return page


def test_an_output_opens_at_its_end(check_log) -> None:
    assert seen(check_log)[-1] == 901
    expect(check_log.locator("[data-toggle=follow]")).to_be_hidden()


def test_a_link_to_a_line_opens_there(tab, sights) -> None:
    page = tab.open(f"/jobs/{sights.failed}/log/check?stream=stdout#L301")
    sees(page, 301)
    expect(page.locator(".picked")).to_have_text(re.compile("Error: case 301 failed"))
    page.evaluate("location.hash = '#L700-L702'")
    sees(page, 700)
    expect(page.locator(".picked")).to_have_count(3)


def test_clicks_on_numbers_make_links_to_lines_and_ranges(check_log) -> None:
    check_log.locator(".line[data-line='889'] .no").click()
    assert check_log.url.endswith("#L890")
    check_log.locator(".line[data-line='894'] .no").click(modifiers=["Shift"])
    assert check_log.url.endswith("#L890-L895")
    expect(check_log.locator(".picked")).to_have_count(6)


def test_colors_are_shown_and_content_stays_text(tab, sights) -> None:
    page = tab.open(f"/jobs/{sights.failed}/log/check?stream=stdout#L301")
    red = page.locator(".line[data-line='300'] span.f1.bold")
    expect(red).to_have_text("Error:")
    plain = page.locator(".line[data-line='302'] code").evaluate("each => getComputedStyle(each).color")
    assert red.evaluate("each => getComputedStyle(each).color") != plain
    page = tab.open(f"/jobs/{sights.failed}/log/check?stream=stderr")
    expect(page.locator(".rows .line").last).to_contain_text("<b>not bold</b>")
    expect(page.locator(".rows b")).to_have_count(0)


def test_the_script_paints_like_the_server(open_tab, tmp_path) -> None:
    lines = [
        "plain <b> & \"quoted\" 'text' äöü 字 \U0001f600",
        *(f"\x1b[{code}m{code}\x1b[0m" for code in (1, 2, 3, 4, 7, 9, 21, 31, 42, 95, 103, 999)),
        "\x1b[1;3;4;9;38;5;208;48;5;17mall of it",
        "goes on\x1b[22mless\x1b[39;49mmore\x1b[4:0mplain\x1b[m",
        "\x1b[38;2;10;200;30mtrue\x1b[48:2::100:100:101mground\x1b[38:5:9mcolons\x1b[0m",
        "\x1b[38;5mcut\x1b[38;5;300mtoo much\x1b[58;5;1;31mred\x1b[?25l\x1b[2K\x1b[0m",
        "\x1b]0;title\x07after \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x1b]unended",
        "10%\r20%\x1b[32m\r30%\r",
        "done\x1b[0m\r\x1b[K",
        "\0 \x08 \x7f \x9b \u202eback \u2066 \ttab",
        "",
        "end",
    ]
    file = tmp_path / "lines"
    file.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\xc3(\n")
    tab, plain = open_tab(), open_tab(java_script_enabled=False)
    job = tab.daemon.schedule("colors", file=str(file))
    tab.daemon.ended(job)
    path = f"/jobs/{job}/log/paint"
    page = tab.open(path)
    sees(page, len(lines) + 1)
    painted = page.eval_on_selector_all(".rows code", "all => all.map((each) => each.innerHTML)")
    server = plain.open(path).eval_on_selector_all(".line code", "all => all.map((each) => each.innerHTML)")
    assert len(painted) == len(lines) + 1
    assert painted == server


def test_a_search_counts_and_goes_forth_and_back(check_log) -> None:
    check_log.keyboard.press("/")
    check_log.keyboard.type("CASE 30")
    expect(check_log.locator(".log-found")).to_have_text(re.compile(r"of 11$"))
    expect(check_log.locator(".log-found")).to_have_text("1 of 11")
    expect(check_log.locator(".current")).to_contain_text("case 30 passed")
    for _ in range(3):
        check_log.keyboard.press("Enter")
    expect(check_log.locator(".log-found")).to_have_text("4 of 11")
    check_log.keyboard.press("Shift+Enter")
    expect(check_log.locator(".log-found")).to_have_text("3 of 11")
    check_log.keyboard.press("Escape")
    check_log.locator(".log").focus()
    check_log.keyboard.press("N")
    expect(check_log.locator(".log-found")).to_have_text("2 of 11")
    sees(check_log, 300)
    assert check_log.locator("mark").first.inner_text().lower() == "case 30"


def test_a_search_in_vain_says_so(check_log) -> None:
    check_log.fill("[data-search]", "no such text")
    expect(check_log.locator(".log-found")).to_have_text("no matches")
    check_log.fill("[data-search]", "")
    expect(check_log.locator(".log-found")).to_have_text("")


def test_a_line_can_be_asked_for(check_log) -> None:
    check_log.locator(".log").focus()
    check_log.keyboard.press("l")
    check_log.keyboard.type("123")
    check_log.keyboard.press("Enter")
    sees(check_log, 123)
    assert check_log.url.endswith("#L123")


def test_home_and_end_lead_to_the_ends(check_log) -> None:
    check_log.keyboard.press("Home")
    sees(check_log, 1)
    check_log.keyboard.press("End")
    sees(check_log, 901)


def test_long_lines_are_wrapped_when_asked_and_stay_so(tab) -> None:
    job = tab.daemon.schedule("import", rows=1)
    tab.daemon.ended(job)
    page = tab.open(f"/jobs/{job}/log/load")
    page.set_viewport_size({"width": 400, "height": 800})
    row = page.locator(".rows .line").first
    flat = row.bounding_box()["height"]
    page.keyboard.press("w")
    expect(page.locator("[data-toggle=wrap]")).to_have_attribute("aria-pressed", "true")
    assert row.bounding_box()["height"] > flat
    page.reload()
    expect(page.locator("[data-toggle=wrap]")).to_have_attribute("aria-pressed", "true")


def test_both_outputs_are_shown_one_below_the_other(tab, sights) -> None:
    page = tab.open(f"/jobs/{sights.failed}/log/check?stream=both")
    expect(page.locator("[data-stream=stderr] .rows .line").last).to_contain_text("assertion failed")
    expect(page.locator("[data-stream=stdout] .rows .line").last).to_contain_text("case 900 passed")


def test_the_whole_output_can_be_downloaded(check_log) -> None:
    with check_log.expect_download() as download:
        check_log.get_by_role("link", name="Download").click()
    text = Path(download.value.path()).read_text()
    assert text.startswith("case 1 passed\n")
    assert text.endswith("case 900 passed\n")
    assert download.value.suggested_filename.endswith("check-stdout.log")


def test_what_is_written_is_followed_until_one_scrolls_up(tab, tmp_path) -> None:
    stop = tmp_path / "stop"
    job = tab.daemon.schedule("talk", stop=str(stop))
    page = tab.open(f"/jobs/{job}/log/talk")
    follow = page.locator("[data-toggle=follow]")
    expect(follow).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".rows .line").last).to_contain_text(re.compile("tick ([6-9][0-9]|[0-9]{3,})"), timeout=60_000)
    assert at_end(page)
    page.hover(".log")
    page.mouse.wheel(0, -400)
    expect(follow).to_have_attribute("aria-pressed", "false")
    top = page.evaluate("document.querySelector('.log').scrollTop")
    more = page.locator(".log-more")
    expect(more).to_be_visible()
    count = tab.daemon.ask("GET", f"/v1/jobs/{job}/tasks/talk/logs/stdout/lines")["size"]
    tab.daemon.wait_for(
        lambda: tab.daemon.ask("GET", f"/v1/jobs/{job}/tasks/talk/logs/stdout/lines")["size"] > count + 30, "more"
    )
    assert page.evaluate("document.querySelector('.log').scrollTop") == top
    more.click()
    expect(follow).to_have_attribute("aria-pressed", "true")
    stop.touch()
    expect(page.locator(".rows .line").last).to_contain_text("the end")
    expect(follow).to_be_hidden()
    assert at_end(page)
    expect(page.locator("#part-head .sign")).to_contain_text("succeeded")


def test_an_output_that_does_not_exist_yet_begins_to_show(tab, tmp_path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    running = tab.daemon.schedule("talk", stop=str(first))
    waiting = tab.daemon.schedule("talk", stop=str(second))
    page = tab.open(f"/jobs/{waiting}/log/talk")
    expect(page.locator(".log-frame")).to_be_visible()
    assert rows(page) == 0
    first.touch()
    tab.daemon.ended(running)
    expect(page.locator(".rows .line").first).to_contain_text("tick 1")
    second.touch()
    tab.daemon.ended(waiting)


def test_a_log_of_100_mb_is_read_in_parts_and_only_some_lines_are_in_the_page(tab) -> None:
    job = tab.daemon.schedule("import", rows=1_450_000)
    assert tab.daemon.ended(job) == "done"
    loaded: list[int] = []
    tab.page.on("response", lambda answer: loaded.append(int(answer.headers.get("content-length", "0"))))
    page = tab.open(f"/jobs/{job}/log/load")
    sees(page, 1_450_000)
    assert tab.daemon.ask("GET", f"/v1/jobs/{job}/tasks/load/logs/stdout/lines")["size"] > 100_000_000

    for share in (0.0, 0.5, 0.123, 0.9, 0.5001, 1.0):
        page.evaluate(
            "share => { const box = document.querySelector('.log');"
            " box.scrollTop = share * (box.scrollHeight - box.clientHeight); }",
            share,
        )
        wanted = share * 1_450_000
        page.wait_for_function(
            f"([from, to]) => ({SEEN})().some((line) => line >= from && line <= to)", arg=[wanted - 9000, wanted + 9000]
        )
        assert rows(page) <= MOST_ROWS
    page.evaluate("location.hash = '#L777777'")
    sees(page, 777_777)
    expect(page.locator(".picked")).to_contain_text("row 00777777 was imported")
    page.hover(".log")
    for _ in range(40):
        page.mouse.wheel(0, 1200)
        assert rows(page) <= MOST_ROWS
    page.wait_for_function(f"() => ({SEEN})().some((line) => line > 779000)")
    numbers = page.eval_on_selector_all(".rows .line", "rows => rows.map((row) => Number(row.dataset.line))")
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    page.fill("[data-search]", "row 01234567")
    expect(page.locator(".log-found")).to_have_text("1 of 1", timeout=60_000)
    sees(page, 1_234_567)
    assert sum(loaded) < 20_000_000
