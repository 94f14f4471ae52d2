"""What tasks see of the process that runs them: environment, directory, shell."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from prunner_trio.daemon.dotenv import read_dotenv_files

__all__ = ["World", "look_around"]

SECRET_VARIABLE = "PRUNNER_JWT_SECRET"


@attrs.frozen
class World:
    """What every task starts from.

    Attributes:
        env: the environment, below that of pipelines and tasks.
        cwd: the directory in which scripts run.
        shell: for tasks whose definition names none.
    """

    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str
    shell: str


def look_around(environ: Mapping[str, str], env_files: Iterable[str]) -> World:
    """Return what tasks start from: the process's own environment, with that of the dotenv files over it.

    The secret for tokens is in neither, wherever it came from.

    Raises:
        InvalidDotenv: a dotenv file is broken.
        OSError: the working directory is gone.
    """
    cwd = os.getcwd()
    env = {**environ, **read_dotenv_files(env_files, Path(cwd))}
    env.pop(SECRET_VARIABLE, None)
    return World(env, cwd, "bash" if shutil.which("bash", path=env.get("PATH", os.defpath)) else "sh")
