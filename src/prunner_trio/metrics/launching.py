"""A launcher around another one that takes the time of each launch."""

from collections.abc import Callable, Collection, Mapping

import attrs
import trio

from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Command, Launcher, Proc, Remaining, TaskOutput

__all__ = ["TimedLauncher"]


@attrs.frozen
class TimedLauncher:
    """Passes everything on; see `Launcher`.

    Attributes:
        launched: told the seconds that a launch took.
        failed: told that one did not succeed.
    """

    inner: Launcher
    launched: Callable[[float], None]
    failed: Callable[[], None]

    async def launch(self, command: Command, env: Mapping[str, str], output: TaskOutput) -> Proc:
        """See `Launcher.launch`."""
        began = trio.current_time()
        try:
            proc = await self.inner.launch(command, env, output)
        except LaunchError:
            self.failed()
            raise
        self.launched(trio.current_time() - began)  # no checkpoint: the process is ours to pass on
        return proc

    async def remains(self, keys: Collection[str]) -> Mapping[str, Remaining]:
        """See `Launcher.remains`."""
        return await self.inner.remains(keys)

    def forget(self, keys: Collection[str]) -> None:
        """See `Launcher.forget`."""
        self.inner.forget(keys)
