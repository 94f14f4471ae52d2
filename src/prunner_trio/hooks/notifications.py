"""The service that tells others of the end of jobs, beside the runner and never in its way.

What cannot be delivered within its attempts is given up, and the log says so; likewise what is under way when the
daemon ends and the grace for it is over. Nothing is kept over a restart.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from urllib.parse import urlsplit

import trio

from prunner_trio.definition.pipeline import Definitions, Hook
from prunner_trio.errors import StoreError
from prunner_trio.execution.stop import REAP_TIMEOUT
from prunner_trio.hooks.command import KILL_TIMEOUT
from prunner_trio.hooks.failed import HookFailed
from prunner_trio.hooks.moments import Moment, last_end, moments
from prunner_trio.hooks.payload import SIGNATURE, Notice, sign
from prunner_trio.model import Event, EventKind, JobId, JobView, State

__all__ = ["FAREWELL_SECONDS", "GRACE", "Notifications", "Post", "RunCommand", "Told"]

log = logging.getLogger(__name__)

GRACE = 4.0
"""Seconds that what is under way has when the daemon ends."""

FAREWELL_SECONDS = GRACE + KILL_TIMEOUT + REAP_TIMEOUT
"""How long the end of the service may take at worst."""

AT_ONCE = 8
"""How many hooks are told at a time; the others wait."""

MOST = 1000
"""Ends of jobs that may be waiting to be told; what comes then is dropped, and said so in the log."""

PAUSES = (1.0, 5.0, 25.0)
"""Seconds between two attempts to reach a webhook."""

_LOOK_BACK = 100
_SHOWN = 100
_TRY_AGAIN = frozenset({408, 425, 429})


class _Job(Protocol):
    def view(self) -> JobView: ...


class Told(Protocol):
    """What is asked of a runner; the real one fits."""

    @property
    def definitions(self) -> Definitions:
        """The current definitions."""
        ...

    def job(self, job_id: JobId) -> _Job | None:
        """Return a live job."""
        ...

    async def jobs(
        self, *, pipeline: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[JobView]:
        """Return jobs, newest first. Raises `StoreError`."""
        ...

    def observe(self, listener: Callable[[Event], None]) -> AbstractContextManager[None]:
        """Call `listener` with each event as long as the block lasts."""
        ...


Post = Callable[[str, Mapping[str, str], bytes, float], Awaitable[int]]
"""From address, headers, body and seconds to the status of the answer. Raises `HookFailed`: there was none."""

RunCommand = Callable[[str, Mapping[str, str], float], Awaitable[str]]
"""From shell text, variables and seconds to the output. Raises `HookFailed`: it could not be run, or has failed."""


class Notifications:
    """Tells the hooks of pipelines. Hooks are those of the current definitions, not those that a job began with."""

    def __init__(
        self, runner: Told, *, run: RunCommand, post: Post, secrets: Mapping[str, str], now: Callable[[], float]
    ) -> None:
        """Prepare; `run` does the work.

        Args:
            run: runs a command.
            post: sends a request.
            secrets: keys for signatures, by the names of variables.
            now: wall time.
        """
        self._runner = runner
        self._run_command = run
        self._post = post
        self._secrets = secrets
        self._now = now
        self._last: dict[str, State] = {}
        self._open = 0
        self._settled = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._places = trio.CapacityLimiter(AT_ONCE)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell everybody of everything, until canceled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                with self._runner.observe(self._observed):
                    task_status.started()
                    await trio.sleep_forever()
            finally:
                self._nursery = None

    async def settled(self) -> None:
        """Wait until everybody has been told, or given up, of all that has happened so far."""
        while self._open:
            await self._settled.wait()

    def _observed(self, event: Event) -> None:
        if event.kind is not EventKind.JOB or event.state not in (State.DONE, State.ERROR):
            return
        definition = self._runner.definitions.get(event.pipeline)
        if definition is None:
            self._last.pop(event.pipeline, None)
            return
        before, self._last[event.pipeline] = self._last.get(event.pipeline), event.state
        job = self._runner.job(event.job_id)
        if job is None or self._nursery is None or not any(definition.notify):
            return
        if self._open >= MOST:
            log.error("too much to tell, a notification was dropped", extra=_about(event))
            return
        self._open += 1
        self._nursery.start_soon(self._tell, job.view(), before, name=f"notify {event.job_id}")

    async def _tell(self, job: JobView, before: State | None) -> None:
        try:
            definition = self._runner.definitions.get(job.pipeline)
            notify = definition.notify if definition is not None else None
            if notify is None:
                return
            if before is None and job.state is State.DONE and notify.recovery:
                before = await self._look_back(job)
            async with trio.open_nursery() as nursery:
                for moment in moments(before, job.state):
                    for hook in notify.of(moment):
                        nursery.start_soon(self._deliver, hook, moment, job)
        finally:
            self._open -= 1
            if not self._open:
                self._settled.set()
                self._settled = trio.Event()

    async def _look_back(self, job: JobView) -> State | None:
        """Return how the job before ended, in the life of an earlier daemon."""
        try:
            return last_end(await self._runner.jobs(pipeline=job.pipeline, limit=_LOOK_BACK), job)
        except StoreError as exc:
            log.warning("it is not known whether this is a recovery: %s", exc, extra=_facts(job))
            return None

    async def _deliver(self, hook: Hook, moment: Moment, job: JobView) -> None:
        """Tell one hook. This is a boundary: whatever goes wrong concerns this hook and nobody else."""
        facts = {**_facts(job), "event": moment.value, "hook": hook.command[:_SHOWN] or _host(hook.webhook)}
        notice, decided = Notice(str(uuid.uuid4()), moment, job), False
        try:
            async with self._places:
                if hook.command:
                    facts["output"] = await self._run_command(hook.command, notice.environment(), hook.timeout)
                else:
                    await self._reach(hook, notice, facts)
            decided = True
            log.info("notification delivered", extra=facts)
        except HookFailed as exc:
            decided = True
            log.error("notification given up: %s", exc, extra=facts)
        except Exception:
            decided = True
            log.exception("internal error in a notification", extra=facts)
        finally:
            if not decided:  # canceled, be it by a Cancelled or by a group of them
                log.error("notification given up: the daemon ends", extra=facts)

    async def _reach(self, hook: Hook, notice: Notice, facts: Mapping[str, str]) -> None:
        secret = self._secrets.get(hook.secret_env, "") if hook.secret_env else ""
        if hook.secret_env and not secret:  # never unsigned where a signature is expected
            raise HookFailed(f"the variable {hook.secret_env} is not set")
        body = notice.body()
        for attempt, pause in enumerate((*PAUSES, None), 1):
            try:
                await self._attempt(hook, notice, body, secret)
            except _Transient as exc:
                if pause is None:
                    raise HookFailed(f"{exc}, after {attempt} attempts") from exc
                log.warning("notification failed, will try again: %s", exc, extra={**facts, "attempt": attempt})
                await trio.sleep(pause)
            else:
                return

    async def _attempt(self, hook: Hook, notice: Notice, body: bytes, secret: str) -> None:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "prunner-trio",
            "Prunner-Event": notice.moment.value,
            "Prunner-Delivery": notice.delivery,
        }
        if secret:
            headers[SIGNATURE] = sign(secret, int(self._now()), body)
        try:
            status = await self._post(hook.webhook, headers, body, hook.timeout)
        except HookFailed as exc:
            raise _Transient(str(exc)) from exc
        if status >= 500 or status in _TRY_AGAIN:
            raise _Transient(f"the answer is {status}")
        if 300 <= status < 400:
            raise HookFailed(f"the answer is {status}, and redirects are not followed")
        if not 200 <= status < 300:
            raise HookFailed(f"the answer is {status}")


class _Transient(Exception):
    """It may go better the next time."""


def _facts(job: JobView) -> dict[str, str]:
    return {"job": job.id, "pipeline": job.pipeline}


def _about(event: Event) -> dict[str, str]:
    return {"job": event.job_id, "pipeline": event.pipeline}


def _host(address: str) -> str:
    """Return what a log may have of an address: the rest of it is a secret with some services."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
