"""The page of an output, as it is without JavaScript."""

import pytest
import trio.testing

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.seams import Stream
from prunner_trio.testing import Act

PIPELINE = PipelineDef("talk", (TaskDef("t", ("talk",)), TaskDef("a/b <c>", ("talk",))), concurrency=9)
LINES = "".join(f"line {number}\n" for number in range(1, 1001))


@pytest.fixture
def told(play):
    """Run a scenario with the address of the page of a task that is over."""

    def told(scenario, stdout="", stderr="", exit_code=0):
        async def outer(browser):
            job = browser.rig.runner.submit("talk")
            await trio.testing.wait_all_tasks_blocked()
            output = browser.rig.output.open(job.id, "t")
            output.write(Stream.STDOUT, stdout.encode())
            output.write(Stream.STDERR, stderr.encode())
            await browser.rig.at(1)
            await scenario(browser, f"/jobs/{job.id}/log/t")

        play(outer, PIPELINE, acts={"t": Act(exit_code=exit_code)})

    return told


def numbers(page):
    return [int(link.text) for link in page.html.all("a", class_="no")]


def shown(page):
    return [line.one("code").text for line in page.html.all(class_="line")]


def test_the_last_lines_are_shown_first_and_links_lead_through_the_others(told):
    async def scenario(browser, log):
        page = await browser.get(log)
        assert numbers(page) == list(range(601, 1001))
        assert shown(page)[-1] == "line 1000"
        assert "Lines 601 to 1000 of 1000" in page.text
        before = await browser.get(f"{log}{page.html.one('a', rel='prev').attributes['href']}")
        assert numbers(before) == list(range(201, 601))
        first = await browser.get(f"{log}{before.html.one('a', rel='prev').attributes['href']}")
        assert numbers(first) == list(range(1, 401))
        assert not first.html.all("a", rel="prev")
        again = await browser.get(f"{log}{first.html.one('a', rel='next').attributes['href']}")
        assert numbers(again)[0] == 401

    told(scenario, LINES)


def test_a_number_is_a_link_to_its_line(told):
    async def scenario(browser, log):
        page = await browser.get(f"{log}?from=500")
        link = next(link for link in page.html.all("a", class_="no") if link.text == "700")
        page = await browser.get(f"{log}{link.attributes['href'].partition('#')[0]}")
        assert link.attributes["href"].endswith("#L700")
        assert page.html.one(id="L700").one("code").text == "line 700"

    told(scenario, LINES)


@pytest.mark.parametrize(("begin", "first"), [("0", 1), ("99999", 1000), ("x", 601), ("-3", 601), ("1" * 30, 601)])
def test_a_place_that_is_not_there_is_the_nearest_one_or_the_end(told, begin, first):
    async def scenario(browser, log):
        assert numbers(await browser.get(f"{log}?from={begin}"))[0] == first

    told(scenario, LINES)


def test_a_last_line_without_an_end_counts(told):
    async def scenario(browser, log):
        assert shown(await browser.get(log)) == ["one", "two", "thr"]

    told(scenario, "one\ntwo\nthr")


def test_long_lines_and_many_bytes_stay_within_limits(told):
    async def scenario(browser, log):
        page = await browser.get(log)
        assert len(page.body) < 700_000
        assert numbers(page)[-1] == 102
        assert shown(page)[-2].endswith("…")
        assert shown(page)[-1] == "end"

    told(scenario, ("x" * 10_000 + "\n") * 101 + "end\n")


def test_colors_become_classes_and_content_stays_text(told):
    async def scenario(browser, log):
        page = await browser.get(log)
        (line,) = page.html.all(class_="line")
        assert line.one("span", class_="f1").text == "red"
        assert line.one("code").text == "red <script>alert(1)</script> & ␀"

    told(scenario, "\x1b[31mred\x1b[0m <script>alert(1)</script> & \0\n")


def test_the_output_that_tells_most_is_shown_unless_another_is_asked_for(told):
    async def failed(browser, log):
        page = await browser.get(log)
        assert shown(page) == ["why"]
        (chosen,) = [link.text for link in page.html.all("a", aria_current="page") if link.text.startswith("std")]
        assert chosen == "stderr 4 B"
        assert shown(await browser.get(f"{log}?stream=stdout")) == ["what"]
        both = await browser.get(f"{log}?stream=both")
        assert shown(both) == ["what", "why"]
        assert [pane.attributes["data-stream"] for pane in both.html.all(class_="log-pane")] == ["stdout", "stderr"]

    async def fine(browser, log):
        assert shown(await browser.get(log)) == ["what"]

    told(failed, "what\n", "why\n", 3)
    told(fine, "what\n", "warning\n")


def test_a_link_to_the_first_error_leads_to_its_line(told):
    async def scenario(browser, log):
        page = await browser.get(f"{log}?at=error")
        assert page.status == 303
        assert page.headers["location"].endswith("/log/t?stream=stdout&from=691#L701")

    text = LINES.replace("line 701\n", "Error: it broke\n").replace("line 900\n", "error again\n")
    told(scenario, text, "0 errors\n")


def test_without_anything_that_looks_like_an_error_it_leads_to_the_end(told):
    async def scenario(browser, log):
        assert (await browser.get(f"{log}?at=error")).headers["location"].endswith("/log/t")

    told(scenario, LINES)


def test_an_error_within_a_long_log_is_found_at_its_line(told):
    async def scenario(browser, log):
        page = await browser.get(f"{log}?at=error")
        assert page.headers["location"].endswith("#L20001")

    told(scenario, "all is well here\n" * 20_000 + "fatal\n" + "x\n" * 9)


def test_who_has_written_nothing_is_told_so(told):
    async def scenario(browser, log):
        assert "It wrote nothing to stdout." in (await browser.get(log)).text

    told(scenario)


def test_what_is_not_there_is_a_404(told):
    async def scenario(browser, log):
        for path in (log[:-1] + "nope", "/jobs/x/log/t", f"/jobs/{'0' * 8}-0000-4000-8000-{'0' * 12}/log/t"):
            assert (await browser.get(path)).status == 404, path
            assert (await browser.get(f"{path}?at=error")).status == 404, path

    told(scenario)


def test_a_task_may_have_any_name(play):
    async def scenario(browser):
        job = browser.rig.runner.submit("talk")
        await browser.rig.at(1)
        page = await browser.get(f"/jobs/{job.id}/log/a%2Fb%20%3Cc%3E")
        assert page.title == "a/b <c>"
        api = page.html.one(id="log").attributes["data-api"]
        assert api == f"../../../v1/jobs/{job.id}/tasks/a%2Fb%20%3Cc%3E/logs/"
        assert (await browser.get(f"/jobs/{job.id}/log/?name=a/b <c>".replace(" ", "%20"))).title == "a/b <c>"

    play(scenario, PIPELINE, acts={})


def test_the_state_of_a_task_that_runs_is_live(play):
    async def scenario(browser):
        job = browser.rig.runner.submit("talk")
        await trio.testing.wait_all_tasks_blocked()
        page = await browser.get(f"/jobs/{job.id}/log/t")
        assert "running" in page.text
        async with browser.open(browser.resolve(page, page.live)) as live:
            message = await live.message()
            while "succeeded" not in message.parts["head"].text:
                message = await live.message()

    play(scenario, PIPELINE, acts={"t": Act(5)})
