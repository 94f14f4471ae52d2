"""The listing is always what the runner has, whatever happened in which order."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from prunner_trio.errors import StoreError
from prunner_trio.http import listing
from prunner_trio.http.facts import Request
from prunner_trio.http.listing import Listing
from prunner_trio.http.port import RunnerPort
from prunner_trio.http.rights import EVERYTHING, Rights, Role
from prunner_trio.model import Event, EventKind, JobId, JobView, PipelineView, State, StopReason, StopRequest


def job_id(number: int) -> JobId:
    return JobId(f"00000000-0000-4000-8000-{number:012x}")


def pipeline(number: int) -> str:
    return "even" if number % 2 == 0 else "odd"


def job(number: int, state: State, **fields: Any) -> JobView:
    return JobView(job_id(number), number, pipeline(number), state, (), created=number, started=number, **fields)


@attrs.define(eq=False)
class Handle:
    now: JobView

    @property
    def id(self) -> JobId:
        return self.now.id

    def view(self) -> JobView:
        return self.now


EVEN, NOTHING = Rights(Role.READ, ("ev*",)), Rights(Role.READ, ())


class World:
    """A runner reduced to its jobs: `schedule`, `change`, `end`, `remove` do what they say and tell the listeners."""

    def __init__(self, kept: Sequence[int] = ()) -> None:
        self.kept = {number: job(number, State.DONE) for number in kept}
        self.handles: dict[JobId, Handle] = {}
        self.listeners: list[Callable[[Event], None]] = []
        self.listing = Listing(cast("RunnerPort", self))
        self.pages = 0
        self.between_pages: Callable[[], None] = lambda: None
        self.broken = False
        self.running = False

    def schedule(self, number: int) -> None:
        handle = Handle(job(number, State.WAITING))
        self.handles[handle.id] = handle
        self._tell(EventKind.JOB, handle.now)

    def change(self, number: int) -> None:
        handle = self.handles[job_id(number)]
        handle.now = attrs.evolve(handle.now, state=State.RUNNING, user=handle.now.user + "+")
        self._tell(EventKind.TASK, handle.now)

    def end(self, number: int, **fields: Any) -> None:
        handle = self.handles[job_id(number)]
        handle.now = attrs.evolve(handle.now, state=State.DONE, **fields)
        self._tell(EventKind.JOB, handle.now)
        if handle.now.stop is None:
            self.kept[number] = handle.now
        del self.handles[handle.id]

    def remove(self, number: int) -> None:
        self._tell(EventKind.REMOVED, self.kept.pop(number))

    def _tell(self, kind: EventKind, view: JobView) -> None:
        for listener in self.listeners:
            listener(Event(1, 0.0, kind, view.id, view.pipeline, "", view.state))

    def truth(self) -> list[JobView]:
        views = [*self.kept.values(), *(handle.now for handle in self.handles.values())]
        return sorted(views, key=lambda view: -view.number)

    def pipelines(self) -> Sequence[PipelineView]:
        return [PipelineView(name, schedulable=True, running=self.running, waiting=0) for name in ("even", "odd")]

    def job(self, job_id: JobId) -> Handle | None:
        return self.handles.get(job_id)

    def live(self) -> Iterator[JobView]:
        return (handle.now for handle in list(self.handles.values()))

    async def jobs(self, *, before: int | None = None, limit: int = 100) -> Sequence[JobView]:
        if self.broken:
            raise StoreError("disk on fire")
        page = [view for view in self.truth() if before is None or view.number < before][:limit]
        self.pages += 1
        self.between_pages()
        await trio.lowlevel.checkpoint()
        return page

    @contextmanager
    def observe(self, listener: Callable[[Event], None]) -> Iterator[None]:
        self.listeners.append(listener)
        try:
            yield
        finally:
            self.listeners.remove(listener)

    async def ask(self, tag: str = "", rights: Rights = EVERYTHING) -> tuple[int, str, list[dict[str, Any]]]:
        async def no_body() -> bytes:
            return b""

        headers = [(b"if-none-match", tag.encode())] if tag else []
        answer = await self.listing.answer(Request("GET", "/pipelines/jobs", b"", headers, no_body), rights)
        assert isinstance(answer.body, tuple)
        body = b"".join(answer.body)
        return answer.status, dict(answer.headers)[b"etag"].decode(), json.loads(body)["jobs"] if body else []

    async def check(self) -> None:
        _, _, listed = await self.ask()
        truth = self.truth()
        assert [(view["id"], view["user"], view["completed"]) for view in listed] == [
            (view.id, view.user, view.state.final) for view in truth
        ]
        for view, shown in zip(truth, listed, strict=True):
            alone = self.listing.job(view.id)
            assert alone is not None
            assert json.loads(alone) == shown
        for rights in (EVEN, NOTHING):
            _, tag, some = await self.ask(rights=rights)
            assert some == [shown for shown in listed if rights.sees(shown["pipeline"])]
            assert await self.ask(tag, rights) == (304, tag, [])
            assert {view.id for view in truth if self.listing.job(view.id, rights)} == {each["id"] for each in some}


def run(main: Callable[[], Any]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_tag_of_somebody_restricted_changes_with_what_is_seen_alone() -> None:
    async def main() -> None:
        world = World(kept=range(1, 601))
        _, tag, jobs = await world.ask(rights=EVEN)
        assert len(jobs) == 300
        world.schedule(601)
        world.change(601)
        world.end(601)
        world.remove(1)
        assert await world.ask(tag, EVEN) == (304, tag, [])
        world.schedule(602)
        status, other, jobs = await world.ask(tag, EVEN)
        assert (status, len(jobs)) == (200, 301)
        assert other != tag

    run(main)


def test_many_jobs_over_many_blocks_come_newest_first() -> None:
    async def main() -> None:
        world = World(kept=range(1, 2001))
        await world.check()
        assert world.pages == 5

    run(main)


def test_no_jobs_at_all() -> None:
    async def main() -> None:
        await World().check()

    run(main)


def test_numbers_with_large_gaps() -> None:
    async def main() -> None:
        await World(kept=[1, 2, 255, 256, 257, 10**6, 10**12]).check()

    run(main)


actions = st.lists(st.tuples(st.sampled_from(["schedule", "change", "end", "remove", "ask"]), st.integers(0, 999)))


@settings(deadline=None)
@given(kept=st.sets(st.integers(1, 600), max_size=20), actions=actions)
def test_whatever_happens_the_listing_shows_what_the_runner_has(kept: set[int], actions: list[tuple[str, int]]) -> None:
    async def main() -> None:
        world = World(kept=sorted(kept))
        await world.check()
        number = 600
        for action, choice in actions:
            live = [handle.now.number for handle in world.handles.values()]
            if action == "schedule":
                number += 1 + choice % 200
                world.schedule(number)
            elif action == "change" and live:
                world.change(live[choice % len(live)])
            elif action == "end" and live:
                world.end(live[choice % len(live)])
            elif action == "remove" and world.kept:
                world.remove(sorted(world.kept)[choice % len(world.kept)])
            elif action == "ask":
                await world.check()
        await world.check()

    run(main)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_what_happens_while_the_kept_jobs_are_read_is_not_overwritten(seed: int) -> None:
    dice = random.Random(seed)

    async def main() -> None:
        world = World(kept=range(1, 1200))
        for number in range(1200, 1215):
            world.schedule(number)

        def meanwhile() -> None:
            world.schedule(2000 + world.pages)
            world.change(2000 + world.pages)
            world.end(1200 + world.pages)
            world.change(1205 + world.pages)
            for number in dice.sample(sorted(world.kept), 3):
                world.remove(number)

        world.between_pages = meanwhile
        await world.listing.start()
        world.between_pages = lambda: None
        await world.check()

    run(main)


def test_the_tag_changes_with_every_event_and_with_the_pipelines_and_only_then() -> None:
    async def main() -> None:
        world = World(kept=[1, 2])
        _, tag, _ = await world.ask()
        assert await world.ask(tag) == (304, tag, [])
        for step in (
            lambda: world.schedule(3),
            lambda: world.change(3),
            lambda: world.end(3),
            lambda: world.remove(1),
            lambda: setattr(world, "running", True),
        ):
            step()
            status, new, _ = await world.ask(tag)
            assert (status, new == tag) == (200, False)
            tag = new
            assert (await world.ask(tag))[0] == 304

    run(main)


def test_tags_of_different_lives_differ() -> None:
    async def main() -> None:
        assert (await World().ask())[1] != (await World().ask())[1]

    run(main)


def test_a_job_that_could_not_be_saved_never_was() -> None:
    async def main() -> None:
        world = World()
        await world.check()
        world.schedule(1)
        await world.check()
        world.end(1, stop=StopRequest(StopReason.NOT_SAVED, 0.0))
        await world.check()
        assert world.listing.job(job_id(1)) is None

    run(main)


def test_a_failed_start_can_be_repeated() -> None:
    async def main() -> None:
        world = World(kept=range(1, 1200))
        world.broken = True
        with pytest.raises(StoreError):
            await world.ask()
        world.broken = False
        world.remove(5)
        await world.check()
        assert len(world.listeners) == 1

    run(main)


def test_a_start_that_is_canceled_half_way_can_be_repeated() -> None:
    async def main() -> None:
        world = World(kept=range(1, 1200))
        with trio.CancelScope() as scope:
            world.between_pages = scope.cancel
            await world.listing.start()
        assert scope.cancelled_caught
        world.between_pages = lambda: None
        world.schedule(2000)
        world.remove(1)
        await world.check()

    run(main)


def test_many_who_ask_first_make_it_read_once() -> None:
    async def main() -> None:
        world = World(kept=range(1, 400))
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(world.check)
        assert world.pages == 2

    run(main)


@pytest.mark.parametrize(("most", "read"), [(40, True), (39, False)])
def test_reading_ahead_leaves_too_many_jobs_to_who_asks(monkeypatch: pytest.MonkeyPatch, most: int, read: bool) -> None:
    monkeypatch.setattr(listing, "_READ_AHEAD", most)
    world = World(range(1, 41))

    async def main() -> None:
        await world.listing.read_ahead()
        assert (world.listing.job(job_id(7)) is not None) == read
        assert bool(world.listeners) == read
        await world.check()
        assert world.listing.job(job_id(7)) is not None

    run(main)


def test_after_a_stop_it_starts_anew() -> None:
    async def main() -> None:
        world = World(kept=[1, 2])
        await world.check()
        world.listing.stop()
        assert world.listeners == []
        assert world.listing.job(job_id(1)) is None
        world.remove(1)
        await world.check()
        assert len(world.listeners) == 1

    run(main)


def test_a_stop_during_the_start_leaves_nothing_stale_behind() -> None:
    async def main() -> None:
        world = World(kept=range(1, 1200))

        def stop() -> None:
            if world.pages == 2:
                world.listing.stop()
                world.remove(650)

        world.between_pages = stop
        await world.listing.start()
        await world.check()
        assert len(world.listeners) == 1

    run(main)


def test_jobs_that_are_removed_while_the_listing_is_put_together_leave_it_well_formed() -> None:
    async def main() -> None:
        world = World()
        await world.check()
        for number in (1, 300, 600):
            world.schedule(number)
            world.end(number)

        async def remove() -> None:
            for number in (600, 300, 1):
                world.remove(number)
                await trio.lowlevel.checkpoint()

        for _ in range(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(world.ask)
                nursery.start_soon(remove)
            for number in (1, 300, 600):
                world.schedule(number)
                world.end(number)
        await world.check()

    run(main)


def test_jobs_that_are_over_are_sent_from_few_large_pieces() -> None:
    async def main() -> None:
        world = World(kept=range(1, 5001))

        async def no_body() -> bytes:
            return b""

        answer = await world.listing.answer(Request("GET", "/pipelines/jobs", b"", (), no_body))
        assert isinstance(answer.body, tuple)
        assert all(len(piece) >= 131_072 for piece in answer.body[:-1])
        assert all(len(piece) < 400_000 for piece in answer.body)

    run(main)
