"""What tasks see of the process that runs them: environment, directory, shell."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from prunner_trio.daemon.dotenv import read_dotenv_files
from prunner_trio.definition import HOOK_SECRET_VARIABLE, tables

__all__ = ["World", "look_around"]

SECRET_VARIABLE = "PRUNNER_JWT_SECRET"
_OF_HOOKS = (tables.SECRET_VARIABLE, HOOK_SECRET_VARIABLE)


@attrs.frozen
class World:
    """What every task starts from.

    Attributes:
        env: the environment, below that of pipelines and tasks.
        cwd: the directory in which scripts run.
        shell: for tasks whose definition names none.
        secrets: the keys for the signatures of webhooks, sent and received, by their variables. Not for tasks.
    """

    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str
    shell: str
    secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)


def look_around(environ: Mapping[str, str], env_files: Iterable[str]) -> World:
    """Return what tasks start from: the process's own environment, with that of the dotenv files over it.

    Neither the secret for tokens nor those for webhooks are in it, wherever they came from.

    Raises:
        InvalidDotenv: a dotenv file is broken.
        OSError: the working directory is gone.
    """
    cwd = os.getcwd()
    env = {**environ, **read_dotenv_files(env_files, Path(cwd))}
    env.pop(SECRET_VARIABLE, None)
    secrets = {name: env.pop(name) for name in list(env) if _is_of_hooks(name)}
    return World(env, cwd, "bash" if shutil.which("bash", path=env.get("PATH", os.defpath)) else "sh", secrets)


def _is_of_hooks(name: str) -> bool:
    return any(name == secret or name.startswith(f"{secret}_") for secret in _OF_HOOKS)
