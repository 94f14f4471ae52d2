"""Whatever people and programs write into names, variables and logs stays text, and every link to it works."""

import pytest

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.testing import Act

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><hx-partial hx-target='body'>",
    "{{ 7*7 }}{% raw %}",
    "a/b//c",
    "/",
    "..",
    ".",
    "a?b#c&d=e",
    "100%25 %2e",
    "javascript:alert(1)",
    "blank and\ttab\nand line",
    "ünï¢ødé \u202egnp.exe",
    "x" * 3000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_text_and_its_page_is_found(play, task, name):
    async def scenario(browser):
        await browser.sign_in(user=name[:500])
        runner = browser.rig.runner
        job = await runner.schedule(name, user=name, variables={name: name, "n": {name: [name]}})
        await job.wait()
        overview = await browser.get("/")
        (row,) = overview.html.one(id="part-pipelines").one("tbody").all("tr")
        link = row.one("a", class_="name")
        assert link.text == " ".join(name.split())
        page = await browser.get(browser.resolve(overview, link.attributes["href"]))
        assert (page.status, page.title) == (200, " ".join(name.split()))
        form = page.html.one(id="start").one("form")
        assert len(form.all(name=f"v.{name}")) == 1
        answer = await browser.submit(page, form)
        assert answer.status == 303, answer.text
        page = await browser.follow(answer)
        assert page.title == f"{' '.join(name.split())} #2"
        again = next(a for a in page.html.all("a", class_="button") if "other variables" in a.text)
        assert (await browser.get(browser.resolve(page, again.attributes["href"]))).status == 200
        page = await browser.get(f"/jobs/{job.id}")
        spelled_out = " ".join(name.split()).replace("\u202e", "\\u202e")
        assert spelled_out in page.html.one("pre", class_="excerpt").text
        listed = await browser.get("/jobs")
        assert listed.html.one(id="part-list").one("tbody").all("a", class_="name")[0].text == link.text
        for text in (overview, page, listed):
            assert b"<script>alert" not in text.body
            assert b"<img" not in text.body
            assert b"7*7" in text.body or "7*7" not in name

    acts = {f"{name}/{name}": Act(exit_code=1, stderr=f"{name}\n")}
    play(scenario, PipelineDef(name, (task(name),)), acts=acts)


@pytest.mark.parametrize("name", HOSTILE)
def test_in_a_stream_too(play, task, name):
    async def scenario(browser):
        page = await browser.get("/")
        async with browser.open(browser.resolve(page, page.live)) as live:
            await browser.rig.runner.schedule(name, user=name)
            message = await live.latest()
            assert message.event == ""
            row = message.parts["running"].one("tbody")
            assert " ".join(name.split()) in row.text
            assert row.all("script") == row.all("img") == []

    play(scenario, PipelineDef(name, (task(name),)), acts={f"{name}/{name}": Act(seconds=100)})


@pytest.mark.parametrize("target", ["/jobs?user=%3Cscript%3E", "/jobs?text=%22%3E%3Cb%3E", "/jobs?pipeline=%3Cb%3E"])
def test_what_an_address_holds_stays_text(play, one, target):
    async def scenario(browser):
        page = await browser.get(target)
        assert page.status == 200
        assert b"<script>" not in page.body
        assert page.html.one("main").all("b") == []

    play(scenario, one())


@pytest.mark.parametrize(
    "target", ["/jobs?text=%00", "/jobs?state=x", "/jobs?before=x", "/jobs?after=-1", "/jobs?until=1"]
)
def test_what_an_address_cannot_hold_is_told(play, one, target):
    async def scenario(browser):
        assert (await browser.get(target)).status == 400

    play(scenario, one())


def test_jobs_are_looked_for_up_to_the_last_day_of_all(play, one):
    async def scenario(browser):
        job = await browser.rig.schedule("p")
        page = await browser.get("/jobs?since=0001-01-01&until=9999-12-31")
        assert page.status == 200
        assert job.id in page.body.decode()

    play(scenario, one())
