"""The command that shows what happens as it happens: events."""

import json
import signal
from collections.abc import AsyncIterator, Sequence
from functools import partial

import trio

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.paper import Paper, colors_on
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.rows import event_line
from prunner_trio.cli.screen import Screen
from prunner_trio.cli.status import INTERRUPTED, colored
from prunner_trio.cli.which import find_job
from prunner_trio.client import Daemon
from prunner_trio.client.live import follow_events
from prunner_trio.client.requests import events as events_request
from prunner_trio.client.sse import Event

__all__ = ["events"]

_CHANGES = ("job", "task", "moved", "pipeline", "removed")


@at_daemon
def events(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Show changes until Ctrl-C, or those of one job until its end."""
    job_id = find_job(daemon, parsed.operands[0])["id"] if parsed.operands else ""
    return trio.run(_listen, daemon, job_id, paper, parsed.values.switch("json"), strict_exception_groups=True)


async def _listen(daemon: Daemon, job_id: str, paper: Paper, as_json: bool) -> int:
    # In a thread: a terminal that was stopped by Ctrl-S must not keep us from hearing Ctrl-C.
    screen = Screen(1, 2, colored=partial(colors_on, plain=not paper.colors))

    async def heard(events: Sequence[Event]) -> bool:
        for event in events:
            if event.name == "end":
                return True
            if event.name == "reset":
                await note("the daemon cannot tell what happened meanwhile")
            if event.name not in _CHANGES and not (as_json and event.name in ("ready", "reset")):
                continue
            occurrence = json.loads(event.data)
            if as_json:
                line = json.dumps({"type": event.name, "id": event.id, **occurrence}, ensure_ascii=False)
            else:
                line = event_line(occurrence, terminal=paper.terminal)
                line = colored(line, occurrence["state"], colors=paper.colors)
            await screen.out(line)
        return False

    async def note(text: str) -> None:
        await screen.note(text, good=False)

    interrupted = False
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def hear(signals: AsyncIterator[int]) -> None:
                nonlocal interrupted
                async for _ in signals:
                    interrupted = True
                    nursery.cancel_scope.cancel()

            nursery.start_soon(hear, signals, name="signals")
            await follow_events(daemon, events_request(job_id), heard, note)
            nursery.cancel_scope.cancel()
    return INTERRUPTED if interrupted else 0
