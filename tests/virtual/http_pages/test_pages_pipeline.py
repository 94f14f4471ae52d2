"""The page of a pipeline: its form starts jobs with what was entered, once; its list finds jobs."""

import pytest
import trio

from prunner_trio.definition.pipeline import QueueStrategy
from prunner_trio.testing import Act

ASKS = ("echo {{ .branch }}", "deploy $PRUNNER_VAR_TARGET")


def start_form(page):
    return page.html.one(id="start").one("form")


async def open_job(browser, answer):
    page = await browser.follow(answer)
    job_id = page.address.rpartition("/")[2]
    return page, await browser.rig.runner.find(job_id)


def test_its_form_has_a_field_for_each_variable_and_starts_a_job_with_them(play, one):
    async def scenario(browser):
        page = await browser.get("/pipeline/p")
        form = start_form(page)
        labels = {label.text: label.attributes["for"] for label in form.all("label")}
        assert {"branch", "target"} <= set(labels)
        answer = await browser.submit(page, form, **{"v.branch": "main", "v.target": "päris"})
        page, job = await open_job(browser, answer)
        assert job.variables == {"branch": "main", "target": "päris"}
        assert job.user == "jane"
        assert "päris" in page.html.one("section", aria_labelledby="h-variables").text

    play(scenario, one(task={"script": ASKS}))


def test_an_empty_field_gives_no_variable_and_more_of_them_can_be_given_as_json(play, one):
    async def scenario(browser):
        page = await browser.get("/pipeline/p")
        answer = await browser.submit(page, start_form(page), **{"v.branch": "x", "more": '{"n": 3, "list": [1]}'})
        _, job = await open_job(browser, answer)
        assert job.variables == {"branch": "x", "n": 3, "list": [1]}

    play(scenario, one(task={"script": ASKS}))


def test_it_is_filled_with_what_was_used_last_or_by_another_job_and_keeps_types(play, one):
    async def scenario(browser):
        runner = browser.rig.runner
        first = await runner.schedule("p", variables={"branch": "old", "n": 3})
        await runner.schedule("p", variables={"branch": "new"})
        page = await browser.get("/pipeline/p")
        assert start_form(page).one(name="v.branch").attributes["value"] == "new"
        page = await browser.get(f"/pipeline/p?from={first.id}")
        form = start_form(page)
        assert form.one(name="v.n").attributes["value"] == "3"
        _, job = await open_job(browser, await browser.submit(page, form))
        assert job.variables == {"branch": "old", "n": 3}

    play(scenario, one(task={"script": ASKS}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"more": "{"}, "no JSON"),
        ({"more": "[1]"}, "JSON object"),
        ({"more": '{"a": NaN}'}, "NaN"),
        ({"v.branch": "a\0b"}, "NUL"),
        ({"more": "[" * 2000}, "nested too deeply"),
        ({"more": "1" * 5000}, "digits"),
    ],
)
def test_what_cannot_be_used_is_told_and_the_rest_stays(play, one, fields, said):
    async def scenario(browser):
        page = await browser.get("/pipeline/p")
        given = {"v.target": "kept", **fields}
        page = await browser.submit(page, start_form(page), **given)
        assert page.status == 400
        assert said in page.html.one(role="alert").text
        assert start_form(page).one(name="v.target").attributes["value"] == "kept"
        assert list(browser.rig.runner.live()) == []

    play(scenario, one(task={"script": ASKS}))


def test_a_form_that_is_sent_twice_makes_one_job_and_another_form_another_one(play, one):
    async def scenario(browser):
        page = await browser.get("/pipeline/p")
        first = await browser.submit(page, start_form(page), **{"v.branch": "a"})
        second = await browser.submit(page, start_form(page), **{"v.branch": "a"})
        assert first.headers["location"] == second.headers["location"]
        third = await browser.submit(page, start_form(page), **{"v.branch": "b"})
        page = await browser.get("/pipeline/p")
        fourth = await browser.submit(page, start_form(page), **{"v.branch": "a"})
        assert len({answer.headers["location"] for answer in (first, third, fourth)}) == 3

    play(scenario, one(task={"script": ASKS}, concurrency=9))


def test_a_form_that_is_sent_twice_at_once_makes_one_job(play, one, both_read):
    async def scenario(browser):
        page = await browser.get("/pipeline/p")
        answers = []

        async def send():
            answers.append(await browser.submit(page, start_form(page), **{"v.branch": "a"}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(send)
        assert [answer.status for answer in answers] == [303, 303]
        assert len({answer.headers["location"] for answer in answers}) == 1

    play(scenario, one(task={"script": ASKS}, concurrency=9), journal=both_read)


def test_a_pipeline_without_variables_is_started_by_a_button_of_the_overview(play, one):
    async def scenario(browser):
        page = await browser.get("/")
        buttons = {form.one("button").attributes["aria-label"]: form for form in page.html.one("table").all("form")}
        assert list(buttons) == ["Start p"]
        _, job = await open_job(browser, await browser.submit(page, buttons["Start p"]))
        assert job.pipeline == "p"

    play(scenario, one(), one(name="asks", task={"script": ASKS}))


def test_a_full_wait_list_is_told(play, one):
    async def scenario(browser):
        for _ in range(3):
            page = await browser.get("/pipeline/p")
            answer = await browser.submit(page, start_form(page))
        assert answer.status == 409
        assert "wait list is full" in answer.text
        assert "would be refused" in (await browser.get("/pipeline/p")).text

    play(scenario, one(queue_limit=1), acts={"t": Act(seconds=1000)})


def test_a_partition_can_be_given_where_there_are_partitions(play, one):
    async def scenario(browser):
        page = await browser.get("/pipeline/p")
        _, job = await open_job(browser, await browser.submit(page, start_form(page), partition="blue"))
        assert job.partition == "blue"

    play(scenario, one(queue_strategy=QueueStrategy.PARTITIONED_REPLACE, queue_limit=3, queue_partition_limit=1))


def test_its_jobs_are_shown_and_filtered_by_the_address(play, one):
    async def scenario(browser):
        runner = browser.rig.runner
        for user in ("jane", "joe"):
            await (await runner.schedule("p", user=user, variables={"who": f"var-{user}"})).wait()
        page = await browser.get("/pipeline/p")
        form = page.html.one("form", role="search")
        got = await browser.submit(page, form, user="joe")
        assert [row.all("td")[0].text for row in got.html.one(id="part-list").one("tbody").all("tr")] == ["#2"]
        got = await browser.submit(page, form, text="VAR-JANE")
        assert [row.all("td")[0].text for row in got.html.one(id="part-list").one("tbody").all("tr")] == ["#1"]
        assert got.html.one(name="text").attributes["value"] == "VAR-JANE"
        got = await browser.submit(page, form, state="error")
        assert "No job is like that" in got.text
        got = await browser.submit(page, form, since="2026-13-01")
        assert (got.status, got.title) == (400, "That cannot be used")

    play(scenario, one())


def test_pages_of_jobs_lead_to_all_of_them_in_both_directions(play, one):
    async def scenario(browser):
        runner = browser.rig.runner
        for _ in range(120):
            await (await runner.schedule("p")).wait()

        def numbers(page):
            return [int(link.text[1:]) for link in page.html.one(id="part-list").all("a", class_="number")]

        page, seen, pages = await browser.get("/jobs?pipeline=p&state=done"), [], []
        while True:
            seen += numbers(page)
            pages.append(page)
            links = page.html.all("a", rel="next")
            if not links:
                break
            page = await browser.get(browser.resolve(page, links[0].attributes["href"]))
        assert seen == list(range(120, 0, -1))
        assert len(pages) == 3
        page = await browser.get(browser.resolve(page, page.html.one("a", rel="prev").attributes["href"]))
        assert numbers(page) == numbers(pages[1])
        page = await browser.get(browser.resolve(page, page.html.one("a", rel="prev").attributes["href"]))
        assert numbers(page) == numbers(pages[0])
        assert page.html.all("a", rel="prev") == []

    play(scenario, one())


def test_the_list_follows_but_not_the_form(play, one):
    async def scenario(browser):
        page = await browser.get("/pipeline/p?user=jane")
        assert page.html.all("noscript") == []
        async with browser.open(browser.resolve(page, page.live)) as live:
            await browser.rig.runner.schedule("p", user="joe")
            message = await live.latest()
            assert set(message.parts) == {"now"}
            await browser.rig.runner.schedule("p", user="jane")
            assert "#2" in (await live.latest()).parts["list"].text

    play(scenario, one(), acts={"t": Act(seconds=1000)})


@pytest.mark.parametrize("target", ["/pipeline/nope", "/pipeline/", "/jobs/nope", f"/jobs/{'0' * 32}"])
def test_what_is_not_there_is_a_page_that_says_so(play, one, target):
    async def scenario(browser):
        page = await browser.get(target)
        assert (page.status, page.title) == (404, "Nothing is here")

    play(scenario, one())


def test_it_tells_who_has_paused_and_resumed_it(play, one):
    async def scenario(browser):
        assert (await browser.get("/pipeline/p")).html.one(id="part-audit").text == ""
        browser.rig.runner.pause("p", by="joe")
        browser.rig.runner.resume("p", by="ann")
        told = (await browser.get("/pipeline/p")).html.one(id="part-audit").text
        assert "joe paused" in told
        assert "ann resumed" in told

    play(scenario, one())


def test_a_form_that_is_too_long_is_refused_by_a_page(play, one):
    async def scenario(browser):
        page = await browser.post("/pipeline/p", {"v.a": "x" * (1 << 20)})
        assert (page.status, page.title) == (413, "That is too much")
        assert "Back to the pipeline" in page.text

    play(scenario, one())


@pytest.mark.parametrize("query", ["cursor=zz", "bogus=1"])
def test_a_list_of_jobs_refuses_what_it_does_not_know(play, one, query):
    async def scenario(browser):
        page = await browser.get(f"/jobs?{query}")
        assert page.status == 400
        assert query.partition("=")[0] in page.text
        assert "before, after" in page.text

    play(scenario, one())
