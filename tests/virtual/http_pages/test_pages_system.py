"""The pages about the daemon itself, and what is wrong with its definition files."""

from pathlib import Path

import trio

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.errors import Problem
from prunner_trio.http.about import About, Sizes
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import EPOCH, Act

PROBLEMS = (
    Problem("ci/pipelines.yml", 12, 5, "pipelines.web.tasks", "unknown key <b>scrpt</b>", 'did you mean "script"?'),
    Problem("gone.yml", 0, 0, "", "cannot be read"),
)


async def sizes():
    return Sizes(memory=100 << 20, store=5000, free=None)


def test_it_tells_of_versions_jobs_and_sizes(play, one):
    about = About(EPOCH - 100, (), "cgroup", ("127.0.0.1:9009",), Path("/data"), sizes)

    async def scenario(browser):
        for _ in range(3):
            await browser.rig.runner.schedule("p")
        await trio.testing.wait_all_tasks_blocked()
        page = await browser.get("/system")
        terms = [element.text for element in page.html.all("dt")]
        values = [element.text for element in page.html.one("main").all("dd")]
        told = dict(zip(terms[: len(values)], values, strict=True))
        assert told["Store"] == "4.9 KiB"
        assert (told["Memory"], told["Free on its disk"]) == ("100 MiB", "–")
        assert (told["Running"], told["Waiting"], told["Problems"]) == ("1", "2", "none")
        assert told["Containment"] == "cgroup"
        assert told["Listens on"] == "127.0.0.1:9009"
        assert told["Version"]
        assert told["Python"]

    play(scenario, one(), acts={"t": Act(seconds=1000)}, about=lambda: about)


def test_without_a_daemon_around_it_says_what_there_is(play, one):
    async def scenario(browser):
        page = await browser.get("/system")
        assert page.status == 200
        assert "Memory" in page.text
        assert "Listens on" not in page.text
        assert "There are none" in (await browser.get("/problems")).text

    play(scenario, one())


def test_problems_are_told_with_their_places_and_every_page_leads_to_them(play, one):
    async def scenario(browser):
        page = await browser.get("/pipeline/p")
        link = page.html.one("a", class_="warn")
        assert link.text == "Problems 2"
        page = await browser.get(browser.resolve(page, link.attributes["href"]))
        rows = [row.text for row in page.html.one("tbody").all("tr")]
        assert rows == [
            'ci/pipelines.yml:12:5 unknown key <b>scrpt</b> did you mean "script"? at pipelines.web.tasks',
            "gone.yml cannot be read",
        ]
        assert "2 problems" in (await browser.get("/")).html.one(id="part-notices").text

    play(scenario, one(), about=lambda: About(problems=PROBLEMS))


def test_they_appear_and_go_on_a_page_that_is_open(play, one):
    found = list(PROBLEMS)

    async def scenario(browser):
        page = await browser.get("/problems")
        async with browser.open(browser.resolve(page, page.live)) as live:
            await trio.testing.wait_all_tasks_blocked()
            found.clear()
            assert "There are none" in (await live.message()).parts["list"].text

    play(scenario, one(), about=lambda: About(problems=tuple(found)))


def test_who_sees_some_pipelines_only_is_told_that_there_are_problems_but_not_which(play, one):
    async def scenario(browser):
        await browser.sign_in("bob", pipelines=["p"])
        page = await browser.get("/problems")
        assert "2 problems" in page.text
        assert "scrpt" not in page.text

    play(scenario, one(), about=lambda: About(problems=PROBLEMS))


def test_a_store_that_cannot_be_written_is_told(play, one):
    journal = MemoryJournal()

    async def scenario(browser):
        journal.fail_adds = True
        page = await browser.get("/pipeline/p")
        answer = await browser.submit(page, page.html.one(id="start").one("form"))
        assert answer.status == 503
        assert "New jobs are refused" in (await browser.get("/")).html.one(id="part-notices").text
        assert "New jobs are refused" in (await browser.get("/system")).text

    play(scenario, one(), journal=journal)


def test_the_loss_of_all_definition_files_is_told_with_what_was_looked_for(play):
    async def scenario(browser):
        page = await browser.get("/")
        assert "nothing matches **/pipelines.yml below /ci" in page.html.one(id="part-notices").text
        page = await browser.get(browser.resolve(page, page.html.one("a", class_="warn").attributes["href"]))
        assert "nothing matches **/pipelines.yml below /ci" in page.html.one(id="part-list").text
        assert "There are none" not in page.text

    play(scenario, about=lambda: About(missing="**/pipelines.yml below /ci"))


def test_a_job_may_outlive_its_definition(play, one):
    async def scenario(browser):
        assert "No pipeline is defined yet." in (await browser.get("/")).text
        browser.rig.runner.replace_definitions(Definitions.of(one()))
        await browser.rig.runner.schedule("p")
        browser.rig.runner.replace_definitions(Definitions())
        assert "No pipeline is defined." in (await browser.get("/")).html.one(id="part-pipelines").text

    play(scenario, acts={"t": Act(seconds=100)})
