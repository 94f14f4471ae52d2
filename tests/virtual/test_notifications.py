"""Who is told of what, how often it is tried, and that no job ever waits for it."""

import json
import logging
import math

import attrs
import pytest
import trio

from prunner_trio.definition.pipeline import Definitions, Hook, Notify
from prunner_trio.errors import StoreError
from prunner_trio.hooks import HookFailed, Notifications
from prunner_trio.hooks.notifications import PAUSES
from prunner_trio.hooks.payload import SIGNATURE, sign
from prunner_trio.model import State
from prunner_trio.testing import Act, MemoryJournal, simulate
from prunner_trio.testing.simulation import EPOCH

HOOK = "https://example.org/secret-path"


@attrs.define(eq=False)
class World:
    """Everybody who can be told. `answers` are given in turn, the last one for ever: a status, or an error."""

    answers: list[object] = attrs.field(factory=lambda: [200])
    command_seconds: float = 0.0
    post_seconds: float = 0.0
    secrets: dict[str, str] = attrs.field(factory=dict)
    commands: list[tuple[float, str, str]] = attrs.field(factory=list)
    posts: list[tuple[float, str, dict[str, str], bytes]] = attrs.field(factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def run(self, text, env, seconds):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            async with trio.open_nursery() as nursery:  # so that a cancel comes as a group, as it does in earnest
                nursery.start_soon(trio.sleep, self.command_seconds)
        finally:
            self.at_once -= 1
        self.commands.append((trio.current_time(), text, env["PRUNNER_EVENT"]))
        if text == "fails":
            raise HookFailed("exit status 3")
        if text == "broken":
            raise RuntimeError("a defect")
        return "said this"

    async def post(self, address, headers, body, seconds):
        self.posts.append((trio.current_time(), address, dict(headers), body))
        await trio.sleep(self.post_seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def events(self):
        return [event for _, _, event in self.commands]


def told(world, scenario):
    """Return a scenario with the service beside it, which has told everything when it ends."""

    async def with_service(rig):
        service = Notifications(
            rig.runner,
            run=world.run,
            post=world.post,
            secrets=world.secrets,
            now=lambda: EPOCH + trio.current_time(),
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await scenario(rig)
            await service.settled()
            nursery.cancel_scope.cancel()

    return with_service


def commands(*moments):
    return Notify(**{moment: (Hook(command=f"tell {moment}"),) for moment in moments})


def jobs(count, name="p"):
    async def scenario(rig):
        for _ in range(count):
            await (await rig.schedule(name)).wait()

    return scenario


ALL = commands("failure", "recovery", "success")


def test_failure_recovery_and_success_are_told_each_at_its_time(one):
    world = World()
    acts = {"t": [Act(1), Act(1, exit_code=1), Act(1, exit_code=1), Act(1), Act(1)]}
    simulate(one(notify=ALL), told(world, jobs(5)), acts)
    assert [e for e in world.events() if e != "success"] == ["failure", "failure", "recovery"]
    assert world.events().count("success") == 3
    assert [at for at, text, _ in world.commands if text == "tell recovery"] == [4]


def test_a_canceled_job_is_not_told_and_does_not_hide_the_failure_before_it(one):
    world = World()

    async def scenario(rig):
        await (await rig.schedule("p")).wait()
        job = await rig.schedule("p")
        await trio.sleep(1)
        rig.runner.cancel(job.id)
        await job.wait()
        await (await rig.schedule("p")).wait()

    acts = {"t": [Act(1, exit_code=1), Act(math.inf), Act(1)]}
    simulate(one(notify=commands("failure", "recovery")), told(world, scenario), acts)
    assert world.events() == ["failure", "recovery"]


def test_a_recovery_is_seen_over_a_restart(one):
    world, journal = World(), MemoryJournal()
    pipeline = one(notify=commands("recovery"))
    simulate(pipeline, jobs(1), {"t": Act(1, exit_code=1)}, journal=journal)
    simulate(pipeline, told(world, jobs(2)), {"t": Act(1)}, journal=journal)
    assert world.events() == ["recovery"]


def test_a_store_that_cannot_be_read_costs_no_more_than_the_recovery(one, caplog):
    world = World()

    class Broken(MemoryJournal):
        async def jobs(self, **_):
            raise StoreError("gone")

    simulate(one(notify=commands("recovery", "success")), told(world, jobs(1)), journal=Broken())
    assert world.events() == ["success"]
    assert "it is not known whether this is a recovery" in caplog.text


def test_hooks_are_those_of_the_current_definitions(one):
    world = World()

    async def scenario(rig):
        job = await rig.schedule("p")
        rig.runner.replace_definitions(Definitions.of(one(notify=commands("success"))))
        await job.wait()
        last = await rig.schedule("p")
        await trio.sleep(1)
        rig.runner.replace_definitions(Definitions.of(one(name="other")))
        await last.wait()

    simulate(one(), told(world, scenario), {"t": Act(5)})
    assert world.events() == ["success"]


@pytest.mark.parametrize("hook", [Hook(command="fails"), Hook(command="broken"), Hook(webhook=HOOK)])
def test_a_hook_that_fails_changes_nothing_for_the_job_nor_for_the_other_hooks(one, hook, caplog):
    world, ended = World(answers=[HookFailed("no answer")]), []

    async def scenario(rig):
        ended.append((await (await rig.schedule("p")).wait()).state)

    simulate(one(notify=Notify(success=(hook, Hook(command="fine")))), told(world, scenario))
    assert ended == [State.DONE]
    assert "fine" in [text for _, text, _ in world.commands]
    assert [r.levelname for r in caplog.records if "given up" in r.message or "internal error" in r.message] == [
        "ERROR"
    ]


def test_a_slow_hook_delays_no_job(one):
    world = World(command_seconds=1000)
    times = []

    async def scenario(rig):
        for _ in range(3):
            await (await rig.schedule("p")).wait()
            times.append(trio.current_time())

    simulate(one(notify=commands("success")), told(world, scenario), {"t": Act(1)})
    assert times == [1, 2, 3]
    assert [at for at, _, _ in world.commands] == [1001, 1002, 1003]


def test_no_more_than_eight_hooks_run_at_a_time(one):
    world = World(command_seconds=10)
    hooks = tuple(Hook(command=f"{n}") for n in range(20))
    simulate(one(notify=Notify(success=hooks)), told(world, jobs(1)))
    assert world.most_at_once == 8
    assert [at for at, _, _ in world.commands] == [10] * 8 + [20] * 8 + [30] * 4


def test_beyond_so_many_ends_that_wait_to_be_told_more_are_dropped_with_a_line_in_the_log(one, caplog, monkeypatch):
    monkeypatch.setattr("prunner_trio.hooks.notifications.MOST", 20)
    world = World(command_seconds=1_000_000)
    simulate(one(notify=commands("success")), told(world, jobs(22)), time_limit=1e9)
    assert len(world.commands) == 20
    assert [r.message for r in caplog.records].count("too much to tell, a notification was dropped") == 2


def test_a_webhook_is_tried_again_after_longer_and_longer_pauses_each_time_with_the_time_signed_anew(one):
    world = World(answers=[503, HookFailed("no answer"), 429, 204], secrets={"PRUNNER_NOTIFY_SECRET": "key"})
    hook = Hook(webhook=HOOK, secret_env="PRUNNER_NOTIFY_SECRET")
    simulate(one(notify=Notify(success=(hook,))), told(world, jobs(1)))
    assert [at for at, *_ in world.posts] == [0, 1, 6, 31]
    assert len({headers["Prunner-Delivery"] for _, _, headers, _ in world.posts}) == 1
    for at, address, headers, body in world.posts:
        assert address == HOOK
        assert headers[SIGNATURE] == sign("key", int(EPOCH + at), body)
        assert json.loads(body)["delivery"] == headers["Prunner-Delivery"]
        assert headers["Prunner-Event"] == json.loads(body)["event"] == "success"


def test_a_webhook_that_never_answers_is_given_up_with_what_was_the_matter_and_without_its_path(one, caplog):
    world = World(answers=[HookFailed("no answer within 10s")])
    simulate(one(notify=Notify(success=(Hook(webhook=HOOK),))), told(world, jobs(1)))
    assert len(world.posts) == len(PAUSES) + 1 == 4
    (last,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert last.message == "notification given up: no answer within 10s, after 4 attempts"
    assert (last.hook, last.event, last.pipeline) == ("https://example.org", "success", "p")
    assert "secret-path" not in caplog.text + "".join(repr(vars(r)) for r in caplog.records)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410])
def test_an_answer_that_will_not_change_is_not_asked_for_again(one, status, caplog):
    world = World(answers=[status])
    simulate(one(notify=Notify(success=(Hook(webhook=HOOK),))), told(world, jobs(1)))
    assert len(world.posts) == 1
    assert f"notification given up: the answer is {status}" in caplog.text


def test_without_its_secret_a_webhook_is_not_told_unsigned(one, caplog):
    world = World(secrets={"PRUNNER_NOTIFY_SECRET_EMPTY": ""})
    hooks = tuple(Hook(webhook=HOOK, secret_env=f"PRUNNER_NOTIFY_SECRET_{name}") for name in ("MISSING", "EMPTY"))
    simulate(one(notify=Notify(success=hooks)), told(world, jobs(1)))
    assert world.posts == []
    assert "the variable PRUNNER_NOTIFY_SECRET_MISSING is not set" in caplog.text
    assert "the variable PRUNNER_NOTIFY_SECRET_EMPTY is not set" in caplog.text


def test_what_is_under_way_when_the_service_ends_is_given_up_and_said_so(one, caplog):
    world = World(command_seconds=math.inf)

    async def scenario(rig):
        service = Notifications(rig.runner, run=world.run, post=world.post, secrets={}, now=lambda: 0.0)
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await (await rig.schedule("p")).wait()
            with trio.move_on_after(4) as patience:
                await service.settled()
            assert patience.cancelled_caught
            nursery.cancel_scope.cancel()
        await service.settled()

    simulate(one(notify=commands("success")), scenario)
    assert [r.message for r in caplog.records if r.levelno == logging.ERROR] == [
        "notification given up: the daemon ends"
    ]
