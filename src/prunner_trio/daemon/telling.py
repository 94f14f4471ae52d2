"""Connects the service that tells others of the end of jobs with what it needs of the world."""

import logging
import time
from collections.abc import Container, Mapping

from prunner_trio.daemon.world import World
from prunner_trio.definition import Definitions
from prunner_trio.execution import Hurry, Runner
from prunner_trio.execution.seams import Launcher
from prunner_trio.hooks import Notifications, run_command

__all__ = ["open_notifications", "warn_of_secrets"]

log = logging.getLogger(__name__)


def open_notifications(runner: Runner, launcher: Launcher, world: World) -> Notifications:
    """Make the service: commands run where tasks do and start from the same environment."""

    async def run(text: str, env: Mapping[str, str], seconds: float) -> str:
        env = {**world.env, **env}
        return await run_command(launcher, text, env, seconds=seconds, cwd=world.cwd, shell=world.shell, hurry=Hurry())

    async def post(address: str, headers: Mapping[str, str], body: bytes, seconds: float) -> int:
        from prunner_trio.hooks.webhook import post as send

        return await send(address, headers, body, seconds)

    return Notifications(runner, run=run, post=post, secrets=world.secrets, now=time.time)


def warn_of_secrets(definitions: Definitions, secrets: Container[str]) -> None:
    """Log the webhooks whose key is missing: they would be found out at the first failure of a job."""
    for pipeline in definitions:
        for name in sorted({hook.secret_env for hook in pipeline.notify if hook.secret_env} - {""}):
            if name not in secrets:
                log.error("the secret of a webhook is not set", extra={"pipeline": pipeline.name, "variable": name})
