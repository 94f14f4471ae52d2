"""The handle that users of a runner hold on one job."""

from collections.abc import Callable

import attrs
import trio

from prunner_trio.errors import JobAlreadyFinished, ShuttingDown, StoreError
from prunner_trio.execution.job import JobRun
from prunner_trio.model import JobId, JobView, State

__all__ = ["Job", "Saving"]


@attrs.define(eq=False)
class Saving:
    """Whether the acceptance of a job has reached the disk; `error` means something once `done` is set."""

    done: trio.Event = attrs.field(factory=trio.Event)
    error: StoreError | None = attrs.field(factory=lambda: StoreError("the runner ended before the job could be saved"))

    def succeeded(self) -> None:
        self.error = None
        self.done.set()


class Job:
    """A handle on one job of a runner; it stays good after the job has ended."""

    def __init__(self, run: JobRun, saving: Saving, cancel: Callable[[JobId, str], None]) -> None:
        self._run = run
        self._saving = saving
        self._cancel = cancel

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self._run.id

    @property
    def state(self) -> State:
        """The job's state now."""
        return self._run.state

    def view(self) -> JobView:
        """Return the job as it is now; the same object until something changes."""
        return self._run.view()

    async def saved(self) -> None:
        """Wait until the job would survive a power cut.

        Raises:
            StoreError: it could not be saved, and was canceled before anything of it had started.
        """
        await self._saving.done.wait()
        if self._saving.error is not None:
            raise StoreError(str(self._saving.error)) from self._saving.error

    async def wait(self) -> JobView:
        """Wait for the end of the job and return its last view. Canceling the wait does not cancel the job.

        Raises:
            ShuttingDown: the runner has ended and the job is still waiting; a runner with a store on disk
                takes it up again at its next start.
        """
        await self._run.finished.wait()
        if not self._run.state.final:
            raise ShuttingDown
        return self._run.view()

    def cancel(self, *, by: str = "") -> None:
        """Ask the job to stop; see `Runner.cancel`.

        Raises:
            JobAlreadyFinished: it had ended before; nothing changed. (Canceling twice is fine.)
        """
        if self._run.state.final and self._run.state is not State.CANCELED:
            raise JobAlreadyFinished(self.id)
        if not self._run.state.final:
            self._cancel(self.id, by)
