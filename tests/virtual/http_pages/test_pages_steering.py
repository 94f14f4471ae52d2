"""What the pages do beside starting and canceling: again, one task, another place, a pause; and who did it."""

import pytest
import trio
import trio.testing

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.testing import Act, MemoryJournal


def forms(page, ident):
    """Return the forms of a part by the texts of their buttons."""
    part = page.html.one(id=f"part-{ident}")
    return {
        form.one("button").attributes.get("aria-label") or form.one("button").text: form for form in part.all("form")
    }


def test_a_failed_job_is_done_again_from_where_it_failed(play, task):
    async def scenario(browser):
        runner = browser.rig.runner
        job = await runner.schedule("p", user="joe", variables={"x": "1"})
        await job.wait()
        page = await browser.get(f"/jobs/{job.id}")
        offered = forms(page, "head")
        assert list(offered) == ["Retry from failed", "Run again"]
        answer = await browser.submit(page, offered["Retry from failed"])
        again = await browser.submit(page, offered["Retry from failed"])
        assert answer.headers["location"] == again.headers["location"]
        page = await browser.follow(answer)
        new = await runner.find(page.address.rpartition("/")[2])
        assert (new.retry_of, new.user, new.variables) == (job.id, "jane", {"x": "1"})
        rows = {row.all("td")[0].text: row for row in page.html.one(id="part-tasks").one("tbody").all("tr")}
        assert rows["a"].one("a", class_="name").attributes["href"] == f"../jobs/{job.id}/log/a"
        assert "taken over" in rows["a"].text
        assert "retry of another job" in page.html.one(id="part-head").text
        await trio.sleep(100)
        page = await browser.get(page.address)
        assert "succeeded" in page.html.one(id="part-head").text
        assert list(forms(page, "head")) == ["Run again"]
        page = await browser.get(f"/jobs/{job.id}")
        audit = [entry.text for entry in page.html.one(id="part-audit").all("li")]
        assert audit[0].endswith("joe scheduled")
        assert audit[1].endswith("jane retried as another job")
        third = await browser.submit(page, forms(page, "head")["Retry from failed"])
        assert third.headers["location"] != answer.headers["location"]

    play(
        scenario,
        PipelineDef("p", (task("a"), task("b", "a"))),
        acts={"a": Act(seconds=5), "b": [Act(seconds=1, exit_code=1), Act(seconds=1)]},
    )


def test_a_retry_that_is_sent_twice_at_once_makes_one_job(play, one, both_read):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await job.wait()
        page = await browser.get(f"/jobs/{job.id}")
        answers = []

        async def send():
            answers.append(await browser.submit(page, forms(page, "head")["Run again"]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(send)
        assert [answer.status for answer in answers] == [303, 303]
        assert len({answer.headers["location"] for answer in answers}) == 1

    play(scenario, one(), journal=both_read)


def test_what_cannot_be_done_again_is_told(play, one):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await trio.testing.wait_all_tasks_blocked()
        assert (await browser.post(f"/jobs/{job.id}/retry")).status == 409
        await job.wait()
        refused = await browser.post(f"/jobs/{job.id}/retry", {"tasks": "failed"})
        assert refused.status == 409
        assert "cannot be done again" in refused.text
        assert (await browser.post(f"/jobs/{'0' * 32}/retry")).status == 404

    play(scenario, one(), acts={"t": Act(seconds=5)})


def test_one_task_is_canceled_and_the_job_goes_on(play, task):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await trio.testing.wait_all_tasks_blocked()
        page = await browser.get(f"/jobs/{job.id}")
        offered = forms(page, "tasks")
        assert list(offered) == ["Cancel task a", "Cancel task b"]
        page = await browser.follow(await browser.submit(page, offered["Cancel task a"]))
        await trio.testing.wait_all_tasks_blocked()
        view = job.view()
        assert (view.task("a").state.value, view.task("b").state.value) == ("canceled", "running")
        assert (await browser.post(f"/jobs/{job.id}/cancel-task", {"task": "a"})).status == 409
        assert (await browser.post(f"/jobs/{job.id}/cancel-task", {"task": "<x>"})).status == 404
        await job.wait()
        assert (await browser.post(f"/jobs/{job.id}/cancel-task", {"task": "b"})).status == 409
        page = await browser.get(f"/jobs/{job.id}")
        assert "jane task canceled a" in page.html.one(id="part-audit").text

    play(scenario, PipelineDef("p", (task("a"), task("b"))), acts={"a": Act(seconds=50), "b": Act(seconds=50)})


def test_jobs_that_wait_are_moved_and_dropped(play, one):
    async def scenario(browser):
        runner = browser.rig.runner
        _, second, third = [await runner.schedule("p") for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked()
        page = await browser.get("/")
        offered = forms(page, "waiting")
        assert list(offered) == ["Move job 2 down", "Drop job 2", "Move job 3 up", "Drop job 3"]
        page = await browser.follow(await browser.submit(page, offered["Move job 3 up"]))
        assert page.address == "/"
        order = [link.text for link in page.html.one(id="part-waiting").all("a", class_="number")]
        assert order == ["#3", "#2"]
        page = await browser.follow(await browser.submit(page, forms(page, "waiting")["Drop job 2"]))
        assert second.view().state.value == "canceled"
        assert third.view().state.value == "waiting"
        assert (await browser.post(f"/jobs/{second.id}/move", {"to": "1"})).status == 404

    play(scenario, one(), acts={"t": Act(seconds=50)})


@pytest.mark.parametrize("place", ["", "0", "-1", "x", "1" * 30])
def test_a_place_that_is_none_is_told(play, one, place):
    async def scenario(browser):
        await browser.rig.runner.schedule("p")
        job = await browser.rig.runner.schedule("p")
        assert (await browser.post(f"/jobs/{job.id}/move", {"to": place})).status == 400

    play(scenario, one(), acts={"t": Act(seconds=50)})


def test_a_pipeline_is_paused_and_resumed(play, one):
    async def scenario(browser):
        runner = browser.rig.runner
        page = await browser.get("/pipeline/p")
        page = await browser.follow(await browser.submit(page, forms(page, "now")["Pause"]))
        assert page.title == "p"
        assert "paused by jane" in page.html.one(id="part-now").text
        job = await runner.schedule("p")
        await trio.testing.wait_all_tasks_blocked()
        overview = await browser.get("/")
        assert "paused" in overview.html.one(id="part-pipelines").text
        assert "paused" in overview.html.one(id="part-waiting").text
        page = await browser.get("/pipeline/p")
        await browser.submit(page, forms(page, "now")["Resume"])
        await job.wait()
        assert (await browser.post("/pause", {"pipeline": "nope"})).status == 404

    play(scenario, one())


def test_nobody_waits_for_a_disk_that_does_not_answer(play, one):
    journal = MemoryJournal()

    async def scenario(browser):
        await browser.rig.runner.schedule("p")
        waiting = await browser.rig.runner.schedule("p")
        journal.hold = True
        with trio.fail_after(10):
            assert (await browser.post("/pause", {"pipeline": "p"})).status == 303
            assert (await browser.post(f"/jobs/{waiting.id}/cancel")).status == 303
        journal.hold = False

    play(scenario, one(), acts={"t": Act(seconds=50)}, journal=journal)


@pytest.mark.parametrize(("scope", "status"), [("run", 403), ("read", 403), ("admin", 303)])
def test_wait_lists_and_pauses_are_for_administrators(play, one, scope, status):
    async def scenario(browser):
        runner = browser.rig.runner
        for _ in range(3):
            await runner.schedule("p")
        await trio.testing.wait_all_tasks_blocked()
        last = max(runner.live(), key=lambda job: job.number)
        await browser.sign_in("bob", scope=scope)
        offered = forms(await browser.get("/"), "waiting")
        assert any(text.startswith("Move") for text in offered) == (scope == "admin")
        assert any(text.startswith("Drop") for text in offered) == (scope != "read")
        assert ("Pause" in forms(await browser.get("/pipeline/p"), "now")) == (scope == "admin")
        assert (await browser.post(f"/jobs/{last.id}/move", {"to": "1"})).status == status
        assert (await browser.post("/pause", {"pipeline": "p"})).status == status

    play(scenario, one(), acts={"t": Act(seconds=50)})


def test_what_is_hidden_cannot_be_steered(play, one):
    async def scenario(browser):
        runner = browser.rig.runner
        hidden, waits = [await runner.schedule("zebra") for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked()
        await browser.sign_in("bob", pipelines=["p"])
        for target, fields in (
            (f"/jobs/{hidden.id}/cancel-task", {"task": "t"}),
            (f"/jobs/{hidden.id}/retry", {}),
            (f"/jobs/{waits.id}/move", {"to": "1"}),
            ("/pause", {"pipeline": "zebra"}),
            ("/resume", {"pipeline": "zebra"}),
        ):
            assert (await browser.post(target, fields)).status == 404, target
        assert runner.pipelines()[1].pause is None

    play(scenario, one(), one(name="zebra"), acts={"t": Act(seconds=50)})
