"""A launcher around another one that tells processes to which span they belong."""

from collections.abc import Callable, Collection, Mapping

import attrs

from prunner_trio.execution.seams import Command, Launcher, Proc, Remaining, TaskOutput

__all__ = ["VARIABLE", "TracedLauncher"]

VARIABLE = "TRACEPARENT"
"""The environment variable with the span of a task, in the form of the header."""


@attrs.frozen
class TracedLauncher:
    """Passes everything on; see `Launcher`.

    Attributes:
        parent_of: returns the value of the variable for the key of a command; empty: it belongs to no task.
    """

    inner: Launcher
    parent_of: Callable[[str], str]

    async def launch(self, command: Command, env: Mapping[str, str], output: TaskOutput) -> Proc:
        """See `Launcher.launch`."""
        parent = self.parent_of(command.key)
        return await self.inner.launch(command, {**env, VARIABLE: parent} if parent else env, output)

    async def remains(self, keys: Collection[str]) -> Mapping[str, Remaining]:
        """See `Launcher.remains`."""
        return await self.inner.remains(keys)

    def forget(self, keys: Collection[str]) -> None:
        """See `Launcher.forget`."""
        self.inner.forget(keys)
