"""The load: clients that schedule and cancel, and remember what they were told. They go on while the daemon is down."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.storm.ledger import Entry, Ledger
from tests.storm.machine import Daemon, NoAnswer, boot_time
from tests.storm.tasks import PLACES

__all__ = ["load"]

_WEIGHTS = {"quick": 3, "long": 4, "queue": 5, "later": 2, "debounce": 3, "fails": 1, "hides": 2, "deaf": 1, "again": 3}
_PAUSE = 0.4
_CANCELS = 0.2
_DOWN = 0.02


@contextmanager
def load(daemon: Daemon, ledger: Ledger, seed: str, clients: int = 3) -> Iterator[None]:
    """Let clients be at work as long as the block lasts. An error in one of them is raised at its end."""
    over, errors = threading.Event(), []

    def work(number: int) -> None:
        draw = random.Random(f"{seed}/{number}")
        try:
            while not over.is_set():
                _step(daemon, ledger, draw)
        except Exception as exc:  # noqa: BLE001 - raised in the thread that waits for this one
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def _step(daemon: Daemon, ledger: Ledger, draw: random.Random) -> None:
    time.sleep(draw.uniform(0, _PAUSE))
    live = ledger.live()
    act: Callable[[], None]
    if live and draw.random() < _CANCELS:
        entry = draw.choice(live)
        act = lambda: _cancel(daemon, ledger, entry)  # noqa: E731
    else:
        (pipeline,) = draw.choices(list(PLACES), [_WEIGHTS[name] for name in PLACES])
        act = lambda: _schedule(daemon, ledger, pipeline)  # noqa: E731
    try:
        act()
    except NoAnswer:
        time.sleep(_DOWN)


def _schedule(daemon: Daemon, ledger: Ledger, pipeline: str) -> None:
    entry = ledger.new(pipeline)
    status, body = daemon.ask("POST", "/pipelines/schedule", {"pipeline": pipeline, "variables": {"n": entry.number}})
    if status == 202:
        entry.id = body["jobId"]
        entry.answered = boot_time()
        ledger.tell(f"{entry.number} accepted as {entry.id}")
    else:
        entry.refused = status
        ledger.tell(f"{entry.number} refused: {status} {body}")


def _cancel(daemon: Daemon, ledger: Ledger, entry: Entry) -> None:
    if entry.cancel_sent is None:
        entry.cancel_sent = boot_time()
    ledger.tell(f"{entry.number} cancel")
    status, body = daemon.ask("POST", f"/job/cancel?id={entry.id}")
    if status == 200:
        entry.canceled = entry.canceled or boot_time()
    ledger.tell(f"{entry.number} cancel answered: {status} {body}")
