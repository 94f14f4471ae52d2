"""The start page, and how it follows what happens."""

import trio
import trio.testing

from prunner_trio.testing import EPOCH, Act


def test_it_shows_what_is_defined_what_runs_and_what_waits(play, one):
    async def scenario(browser):
        for _ in range(3):
            await browser.rig.runner.schedule("p", user="jane")
        await trio.testing.wait_all_tasks_blocked()
        page = await browser.get("/")
        running, waiting = page.html.one(id="part-running"), page.html.one(id="part-waiting")
        assert "running" in running.one(class_="sign").text
        assert [row.all("td")[2].text for row in waiting.one("tbody").all("tr")] == [
            "position 1 of 2: 1 of 1 slots are taken",
            "position 2 of 2: 1 of 1 slots are taken",
        ]
        assert "1 running, 2 waiting" in page.html.one(id="part-pipelines").text

    play(scenario, one(), acts={"t": Act(seconds=1000)})


def test_it_shows_how_the_latest_job_ended(play, one):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("p")
        await job.wait()
        row = (await browser.get("/")).html.one(id="part-pipelines").one("tbody").one("tr")
        assert "failed" in row.text
        assert row.one("a", class_="plain").attributes["href"] == f"./jobs/{job.id}"
        assert "12 s" in row.text

    play(scenario, one(), acts={"t": Act(seconds=12, exit_code=3)})


def test_its_stream_sends_what_has_changed_and_only_that(play, one):
    async def scenario(browser):
        page = await browser.get("/")
        async with browser.open(browser.resolve(page, page.live)) as live:
            assert live.headers["content-type"] == "text/event-stream"
            await trio.sleep(100)
            job = await browser.rig.runner.schedule("p")
            message = await live.message()
            assert set(message.parts) == {"running", "pipelines"}
            assert job.id in str(message.parts["running"].one("tbody").one("tr").attributes["id"])
            await job.wait()
            while "Nothing runs" not in message.parts.get("running", message.parts["pipelines"]).text:
                message = await live.message()

    play(scenario, one(), acts={"t": Act(seconds=10)})


def test_a_stream_goes_on_where_the_client_stands(play, one):
    async def scenario(browser):
        page = await browser.get("/")
        target = browser.resolve(page, page.live)
        async with browser.open(target) as live:
            job = await browser.rig.runner.schedule("p")
            first = await live.latest()
        async with browser.open(target, last_event_id=first.id) as live:
            with trio.move_on_after(10) as scope:
                await live.message()
            assert scope.cancelled_caught
            await job.wait()
            assert set((await live.message()).parts) == {"running", "pipelines"}
        async with browser.open(target, last_event_id="nonsense") as live:
            assert set((await live.message()).parts) == {"notices", "running", "waiting", "pipelines"}

    play(scenario, one(), acts={"t": Act(seconds=100)})


def test_many_changes_at_once_are_one_message(play, one):
    async def scenario(browser):
        page = await browser.get("/")
        async with browser.open(browser.resolve(page, page.live)) as live:
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(50):
                await browser.rig.runner.schedule("p")
            message = await live.message()
            assert len(message.parts["waiting"].one("tbody").all("tr")) == 49

    play(scenario, one(), acts={"t": Act(seconds=1000)})


def test_a_stream_ends_with_the_server(play, one):
    async def scenario(browser):
        page = await browser.get("/")
        async with browser.open(browser.resolve(page, page.live)) as live:
            await trio.testing.wait_all_tasks_blocked()
            browser.closing.set()
            assert (await live.message()).event == "closing"
            await live.over.wait()

    play(scenario, one())


def test_a_stream_without_a_session_is_refused_and_one_whose_session_ends_says_so(play, one, token):
    async def scenario(browser):
        async with browser.open("/?live=a") as live:
            assert live.status == 401
        await browser.sign_in(exp=int(EPOCH) + 20)
        page = await browser.get("/")
        async with browser.open(browser.resolve(page, page.live)) as live:
            assert (await live.message()).event == "reload"
            await live.over.wait()

    play(scenario, one(), signed_in=False)


def test_without_javascript_the_page_loads_itself_again(play, one):
    async def scenario(browser):
        page = await browser.get("/")
        assert page.html.one("noscript").one("meta").attributes["content"] == "10"

    play(scenario, one())
