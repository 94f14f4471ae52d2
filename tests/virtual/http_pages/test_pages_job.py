"""The page of a job: where it stands, why it failed, how it is canceled."""

import trio
import trio.testing

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.execution.seams import Usage
from prunner_trio.testing import Act

CHANGING = {"head", "graph", "tasks", "timeline", "facts"}


def test_it_tells_of_each_task_and_of_the_first_failure(play, task):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p", user="joe", variables={"branch": "main"})
        await job.wait()
        page = await browser.get(f"/jobs/{job.id}")
        assert page.title == "p #1"
        head = page.html.one(id="part-head")
        assert "failed" in head.one(class_="sign").text
        assert "b: exit status 3" in head.text
        rows = {row.all("td")[0].text: row.text for row in page.html.one(id="part-tasks").one("tbody").all("tr")}
        assert "1.5 s" in rows["a"]
        assert "64.0 MiB" in rows["a"]
        assert "canceled" in rows["c"]
        failure = page.html.one(id="part-failures").one("section")
        assert failure.one("pre").text == "no such host"
        log = f"../jobs/{job.id}/log/b"
        assert [link.attributes["href"] for link in failure.all("a")] == [log, f"{log}?at=error"]
        assert page.html.all(id="live") == []
        assert page.html.all("noscript") == []

    play(
        scenario,
        PipelineDef("p", (task("a"), task("b", "a"), task("c", "b"))),
        acts={
            "a": Act(seconds=2, usage=Usage(1.5, 64 << 20)),
            "b": Act(exit_code=3, stdout="fine so far\n", stderr="\x1b[31mno such host\x1b[0m\n"),
        },
    )


def test_what_a_task_said_to_stdout_is_shown_if_it_said_nothing_else(play, one):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await job.wait()
        text = (await browser.get(f"/jobs/{job.id}")).html.one("pre", class_="excerpt").text
        assert text.startswith("line 89 ")
        assert text.endswith("line 100")

    said = "".join(f"line {number}\n" for number in range(1, 101))
    play(scenario, one(), acts={"t": Act(exit_code=1, stdout=said)})


def test_it_follows_the_job_to_its_end_and_then_the_stream_ends(play, one):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        other = await browser.rig.runner.schedule("q")
        page = await browser.get(f"/jobs/{job.id}")
        async with browser.open(browser.resolve(page, page.live)) as live:
            await other.wait()
            names = set()
            while not (message := await live.message()).event:
                names |= set(message.parts)
            assert names == CHANGING
            assert message.event == "over"
            await live.over.wait()
        page = await browser.get(f"/jobs/{job.id}")
        assert "succeeded" in page.html.one(id="part-head").text
        async with browser.open(browser.resolve(page, "?live=old")) as live:
            assert set((await live.message()).parts) == {*CHANGING, "failures", "audit"}
            assert (await live.message()).event == "over"

    play(scenario, one(), one(name="q"), acts={"p/t": Act(seconds=50), "q/t": Act(seconds=5)})


def test_a_button_cancels_and_the_steps_are_shown(play, one):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await trio.testing.wait_all_tasks_blocked()
        page = await browser.get(f"/jobs/{job.id}")
        form = page.html.one(id="part-head").one("form")
        assert form.one("button").text == "Cancel"
        page = await browser.follow(await browser.submit(page, form))
        assert page.address == f"/jobs/{job.id}"
        head = page.html.one(id="part-head")
        assert "stopping" in head.one(class_="sign").text
        steps = head.one("ol").all("li")
        assert [step.text.split()[0] for step in steps] == ["SIGINT", "SIGTERM", "SIGKILL"]
        times = [float(step.attributes["data-from"]) for step in steps]
        assert [time - times[0] for time in times] == [0, 5, 10]
        view = await job.wait()
        assert view.stop.by == "jane"
        page = await browser.get(f"/jobs/{job.id}")
        assert "canceled by jane" in page.html.one(id="part-head").text
        assert [form.one("button").text for form in page.html.one(id="part-head").all("form")] == ["Run again"]

    play(scenario, one(kill_timeout=10.0), acts={"t": Act(seconds=1000, on_sigint=None, on_sigterm=3.0)})


def test_a_job_that_waits_can_be_canceled_and_one_that_is_over_cannot(play, one):
    async def scenario(browser):
        runner = browser.rig.runner
        first, second = await runner.schedule("p"), await runner.schedule("p")
        page = await browser.get(f"/jobs/{second.id}")
        assert "position 1 of 1" in page.html.one(id="part-head").text
        page = await browser.follow(await browser.submit(page, page.html.one(id="part-head").one("form")))
        assert "canceled by jane" in page.text
        await first.wait()
        assert (await browser.post(f"/jobs/{first.id}/cancel")).status == 409
        assert (await browser.post(f"/jobs/{second.id}/cancel")).status == 303

    play(scenario, one(), acts={"t": Act(seconds=10)})


def test_cancel_wants_a_post_from_a_page_of_ours(play, one):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        page = await browser.get(f"/jobs/{job.id}/cancel")
        assert (page.status, page.title) == (405, "That cannot be done here")
        assert (await browser.post(f"/jobs/{job.id}/cancel", sec_fetch_site="cross-site")).status == 401
        assert (await browser.post(f"/jobs/{job.id}/cancel", origin="http://evil", sec_fetch_site="")).status == 401
        assert job.view().stop is None

    play(scenario, one(), acts={"t": Act(seconds=10)})


def test_a_bearer_token_cannot_be_used_by_a_foreign_page_either(play, one, token):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        header = f"Bearer {token(sub='joe')}"
        got = await browser.post(f"/jobs/{job.id}/cancel", authorization=header, sec_fetch_site="cross-site")
        assert got.status == 403
        got = await browser.post(f"/jobs/{job.id}/cancel", authorization=header)
        assert got.status == 303

    play(scenario, one(), acts={"t": Act(seconds=10)}, signed_in=False)


def test_a_variable_that_is_not_given_is_told_once_and_leads_to_the_form(play, task):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await job.wait()
        page = await browser.get(f"/jobs/{job.id}")
        assert page.text.count("map has no entry") == 1
        assert "b: the variable version is not given" in page.html.one(id="part-head").text
        assert "b : the variable version is not given" in page.html.one(id="part-failures").text
        assert "the variable version is not given" in page.html.one(id="part-tasks").text
        head = page.html.one(id="part-head")
        assert [found.text for found in head.all("a", class_="primary")] == ["Run with other variables"]
        assert head.all("button", class_="primary") == []

    tasks = (task("a"), task("b", "a", script=("echo {{ .version }}",)))
    play(scenario, PipelineDef("p", tasks))


def test_columns_without_any_value_are_left_out(play, one):
    async def scenario(browser):
        heads = []
        for name in ("p", "q"):
            job = await browser.rig.runner.schedule(name)
            await job.wait()
            tasks = (await browser.get(f"/jobs/{job.id}")).html.one(id="part-tasks")
            heads.append([cell.text for cell in tasks.all("th")])
            assert len(tasks.one("tbody").one("tr").all("td")) == len(heads[-1])
        assert heads[0] == ["Task", "State", "Why", "Took", "Exit", "CPU", "Cancel"]
        assert heads[1] == ["Task", "State", "Why", "Took", "Exit", "Cancel"]

    play(scenario, one(), one(name="q"), acts={"p/t": Act(usage=Usage(1.5, None))})


def test_without_a_script_it_says_since_when_and_not_for_since(play, one):
    async def scenario(browser):
        jobs = [await browser.rig.runner.schedule("p") for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked()
        heads = [(await browser.get(f"/jobs/{job.id}")).html.one(id="part-head") for job in jobs]
        for head, word in zip(heads, ("running", "waiting"), strict=True):
            assert f"{word} since " in head.text
            assert "for since" not in head.text
            assert head.one(class_="counting").attributes["data-words"] == f"{word} for "

    play(scenario, one(), acts={"t": Act(seconds=1000)})


def test_a_wait_that_is_over_does_not_look_as_if_it_ran(play, one):
    async def scenario(browser):
        jobs = [await browser.rig.runner.schedule("p") for _ in range(2)]
        await jobs[0].wait()
        await trio.testing.wait_all_tasks_blocked()
        drawing = (await browser.get(f"/jobs/{jobs[1].id}")).html.one(id="part-timeline")
        waited = next(row for row in drawing.all("g", class_="row") if "waited" in row.one("title").text)
        assert "wait" in waited.attributes["class"].split()
        assert waited.one("title").text == "waited for a slot: 1 min 40 s"
        assert waited.one("text", class_="icon").text == "◷"

    play(scenario, one(), acts={"t": Act(seconds=100)})


def test_a_refusal_leads_back_to_the_job(play, one):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await job.wait()
        for page in (
            await browser.post(f"/jobs/{job.id}/cancel-task", {"task": "t"}),
            await browser.get(f"/jobs/{job.id}/log/unknown"),
        ):
            assert page.status in (404, 409)
            links = {
                link.text: browser.resolve(page, link.attributes["href"]) for link in page.html.one("main").all("a")
            }
            assert links == {"Back to the job": f"/jobs/{job.id}", "To the overview": "/"}
        page = await browser.get("/jobs/00000000-0000-4000-8000-000000000000")
        assert [link.text for link in page.html.one("main").all("a")] == ["To the overview"]

    play(scenario, one())


def test_stops_are_told_in_words(play, task):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await job.wait()
        tasks = (await browser.get(f"/jobs/{job.id}")).html.one(id="part-tasks").text
        assert "stopped because another task failed" in tasks
        job = await browser.rig.runner.schedule("q")
        await trio.testing.wait_all_tasks_blocked()
        browser.rig.runner.cancel(job.id, by="joe")
        await job.wait()
        page = await browser.get(f"/jobs/{job.id}")
        assert "canceled by joe" in page.html.one(id="part-tasks").text
        assert "canceled by joe" in page.html.one(id="part-facts").text
        assert "stopped: " not in page.text

    acts = {"p/a": Act(seconds=100), "p/b": Act(exit_code=1), "q/a": Act(seconds=100)}
    play(scenario, PipelineDef("p", (task("a"), task("b"))), PipelineDef("q", (task("a"),)), acts=acts)
