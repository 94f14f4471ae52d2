"""What the pages show and do for tokens that are good for less than everything."""

import re

import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.testing import Act

SHOWN, HIDDEN = (PipelineDef(name, (TaskDef("t", ("run",)),), concurrency=1) for name in ("web-shop", "zebrapipe"))


def test_hidden_pipelines_and_their_jobs_are_on_no_page_and_in_no_stream(play):
    async def scenario(browser):
        await browser.sign_in("bob", scope="read", pipelines=["web-*"])
        for name in ("web-shop", "zebrapipe", "zebrapipe"):
            await browser.rig.runner.schedule(name)
        page = await browser.get("/")
        assert "web-shop" in page.text
        assert "zebra" not in page.text
        async with browser.open(browser.resolve(page, page.live)) as live:
            for name in ("zebrapipe", "web-shop"):
                await browser.rig.runner.schedule(name)
            message = await live.message()
            assert "web-shop" in message.parts["waiting"].text
            assert all("zebra" not in part.text for part in message.parts.values())
            with trio.move_on_after(60) as scope:
                await browser.rig.runner.schedule("zebrapipe")
                await live.message()
            assert scope.cancelled_caught

    play(scenario, SHOWN, HIDDEN, acts={"t": Act(1000)})


def test_two_who_see_different_things_get_different_streams_of_one_page(play):
    async def scenario(browser):
        await browser.rig.runner.schedule("zebrapipe")
        await browser.sign_in("bob", pipelines=["web-*"])
        some = await browser.get("/")
        async with browser.open(browser.resolve(some, some.live), last_event_id="x") as live:
            assert "zebra" not in (await live.message()).parts["running"].text
            await browser.sign_in("bob")
            every = await browser.get("/")
            async with browser.open(browser.resolve(every, every.live), last_event_id="x") as other:
                assert "zebra" in (await other.message()).parts["running"].text

    play(scenario, SHOWN, HIDDEN, acts={"t": Act(1000)})


def test_a_token_without_any_role_sees_why_and_can_sign_out(play):
    async def scenario(browser):
        await browser.sign_in("bob", scope="other")
        page = await browser.get("/")
        assert page.status == 403
        assert "needs a token whose `scope` has 'read' or more" in page.text
        assert "web-shop" not in page.text
        gone = await browser.submit(page, page.html.one("form", action="./sign-out"))
        assert gone.status == 303

    play(scenario, SHOWN, acts={"t": Act(1000)})


def test_who_may_only_read_sees_no_buttons_and_can_press_none(play):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("web-shop")
        await browser.sign_in("bob", scope="read")
        for target in ("/", "/pipeline/web-shop", f"/jobs/{job.id}"):
            page = await browser.get(target)
            assert page.status == 200
            forms = [form.attributes.get("action", "") for form in page.html.all("form", method="post")]
            assert [form for form in forms if not form.endswith("sign-out")] == [], target
            assert "other variables" not in page.text
        for target in ("/pipeline/web-shop", f"/jobs/{job.id}/cancel"):
            refused = await browser.post(target)
            assert refused.status == 403
            assert "needs a token whose `scope` has 'run' or more" in refused.text
        assert len(list(browser.rig.runner.live())) == 1
        assert job.view().stop is None

    play(scenario, SHOWN, acts={"t": Act(1000)})


def test_what_is_hidden_is_not_found_by_its_address_either(play):
    async def scenario(browser):
        hidden = await browser.rig.runner.schedule("zebrapipe")
        await browser.sign_in("bob", pipelines=["web-*"])
        for target in ("/pipeline/zebrapipe", f"/jobs/{hidden.id}"):
            assert (await browser.get(target)).status == 404
        for target in ("/pipeline/zebrapipe", f"/jobs/{hidden.id}/cancel"):
            assert (await browser.post(target)).status == 404
        assert "zebra" not in (await browser.get("/jobs?pipeline=zebrapipe")).html.one(id="part-list").text

    play(scenario, SHOWN, HIDDEN, acts={"t": Act(1000)})


UNKNOWN = {"job_id": "00000000-0000-4000-8000-ffffffffffff", "name": "zznopipe", "task": "unknowntask"}


def test_no_page_knows_more_of_what_is_hidden_than_of_what_does_not_exist(play):
    async def scenario(browser):
        hidden = (await browser.rig.runner.schedule("zebrapipe", variables={"zebravar": "x"})).id
        waiting = (await browser.rig.runner.schedule("zebrapipe")).id
        await browser.sign_in("bob", pipelines=["web-*"])
        asked = 0
        for rule in browser.app.url_map.iter_rules():
            if not rule.arguments <= UNKNOWN.keys() or rule.rule == "/sign-out":
                continue
            for job_id in (hidden, waiting):
                known = {"job_id": job_id, "name": "zebrapipe", "task": "t"}
                for question in ("", "?name={name}&pipeline={name}&task={task}"):
                    target = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) + question
                    for method in rule.methods:
                        call = browser.post if method == "POST" else browser.get
                        page, other = await call(target.format(**known)), await call(target.format(**UNKNOWN))
                        text = other.text
                        for name, value in UNKNOWN.items():
                            text = text.replace(value, known[name])
                        keys = r'name="key" value="[^"]+"'
                        shown = [re.sub(keys, "", each) for each in (page.text, text)]
                        assert (page.status, shown[0]) == (other.status, shown[1]), (method, target)
                        assert "zebravar" not in page.text
                        asked += 1
        assert asked > 40
        assert {job.id for job in browser.rig.runner.live() if job.stop is None} == {hidden, waiting}

    play(scenario, SHOWN, HIDDEN, acts={"t": Act(1000)})


def test_a_role_that_is_too_low_starts_and_cancels_nothing_on_the_page_either(play):
    async def scenario(browser):
        job = await browser.rig.runner.schedule("web-shop")
        await browser.sign_in("bob", scope="read")
        for target in ("/pipeline/web-shop", "/pipeline/?name=web-shop", f"/jobs/{job.id}/cancel"):
            page = await browser.post(target)
            assert page.status == 403
            assert "needs a token whose `scope` has 'run' or more; yours has 'read'" in page.text
        assert [each.id for each in browser.rig.runner.live() if each.stop is None] == [job.id]

    play(scenario, SHOWN, acts={"t": Act(1000)})
