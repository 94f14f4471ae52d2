"""What users may rely on of pauses and of the order of wait lists, as a part of the watch."""

from collections.abc import Callable, Iterable

from prunner_trio.execution import Runner
from prunner_trio.model import JobId

__all__ = ["WaitLists", "order_of"]

Expect = Callable[[object, str, str], bool]


def order_of(runner: Runner, pipeline: str) -> list[JobId]:
    """Return who is on a wait list, in its order."""
    places = [(place.position, job_id) for job_id, place in runner.places(pipeline).items()]
    return [job_id for position, job_id in sorted((p, i) for p, i in places if p is not None)]


class WaitLists:
    """Remembers what people have asked for, and how much of that is a promise.

    Attributes:
        moved_at: when the order of a list was last changed, by pipeline.
    """

    def __init__(self, expect: Expect, clock: Callable[[], float]) -> None:
        self._expect = expect
        self._clock = clock
        self.moved_at: dict[str, float] = {}
        self._life = 0
        self._paused: dict[str, float] = {}
        # What a pipeline was told, one after the other, in this life; the first is how it was when the life began.
        self._told: dict[str, list[bool]] = {}
        self._sure: dict[str, int] = {}
        self._moves: dict[str, int] = {}
        self._orders: dict[str, list[JobId]] = {}

    def life_begins(self, runner: Runner, pipelines: Iterable[str]) -> None:
        """A runner has taken up what was left: it is as it was promised."""
        self._life += 1
        self._paused = {}
        for name, told in self._told.items():
            paused = runner.pause_of(name) is not None
            possible = told[self._sure.get(name, 0) :]
            self._expect(paused in possible, "a pause holds", f"{name} is {'' if paused else 'not '}paused any more")
            if paused:
                self._paused[name] = -1.0
            self._told[name] = [paused]
        self._sure = {}
        for name, order in self._orders.items():
            now = order_of(runner, name)
            left = [job_id for job_id in order if job_id in now]
            self._expect(
                [job_id for job_id in now if job_id in order] == left,
                "a move holds",
                f"the wait list of {name} has another order than before: {now}, and was {order}",
            )
        self._orders = {name: order_of(runner, name) for name in pipelines}

    def paused(self, pipeline: str) -> bool:
        """Whether a pipeline is paused."""
        return pipeline in self._paused

    def starts(self, pipeline: str, name: str) -> None:
        """A job starts; one that had got its slot in the moment of a pause may still do so."""
        since = self._paused.get(pipeline)
        now = self._clock()
        self._expect(
            since is None or since >= now,
            "a paused pipeline starts nothing",
            f"{name} starts at {now:g}, and {pipeline} is paused since {since}",
        )

    def told(self, pipeline: str, *, pause: bool) -> Callable[[], None]:
        """Somebody has paused or resumed a pipeline; what is returned is to be called when that was answered."""
        if pause:
            self._paused.setdefault(pipeline, self._clock())
        else:
            self._paused.pop(pipeline, None)
        told = self._told.setdefault(pipeline, [False])
        told.append(pause)
        life, place = self._life, len(told) - 1

        def answered() -> None:
            if life == self._life:
                self._sure[pipeline] = max(place, self._sure.get(pipeline, 0))

        return answered

    def moved(self, pipeline: str, order: list[JobId]) -> Callable[[], None]:
        """Somebody has moved a job, and this is the list now; what is returned is to be called on the answer."""
        self.moved_at[pipeline] = self._clock()
        self._moves[pipeline] = number = self._moves.get(pipeline, 0) + 1
        self._orders.pop(pipeline, None)
        life = self._life

        def answered() -> None:
            if life == self._life and number == self._moves[pipeline]:
                self._orders[pipeline] = order

        return answered
