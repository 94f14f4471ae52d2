"""What the daemon is told at its start, and the file that holds its secret."""

import contextlib
import errno
import logging
import os
import re
import secrets
import string
import tempfile
from collections.abc import Mapping
from pathlib import Path

import attrs
import yaml

from prunner_trio.errors import PrunnerError

__all__ = ["MIN_SECRET_BYTES", "SECRET_LETTERS", "InvalidConfig", "Settings", "find_secret", "parse_config"]

MIN_SECRET_BYTES = 16
"""prunner's limit."""

SECRET_LETTERS = 32
"""How long a secret is that we make."""

_ALPHABET = string.ascii_letters + string.digits
_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

log = logging.getLogger(__name__)


class InvalidConfig(PrunnerError):
    """There is no usable secret; the message never contains it."""


@attrs.frozen
class Settings:
    """The daemon's flags; see ``docs/cli.md``.

    Attributes:
        address: ``host:port``; without a host all interfaces.
        poll_interval: seconds between two looks at the definitions with `watch`.
        env_files: dotenv files, later ones win.
        containment: a value of `launch.Containment`.
        log_limit: bytes, where definitions say nothing; None: no limit.
        log_format: `text` or `json`.
        max_connections: open HTTP connections at a time.
        max_connections_per_address: those of one address; 0: no limit.
        rate_limit: requests a second for each user; 0: no limit.
        handover: all tasks can outlive the daemon, and SIGUSR2 hands them over.
    """

    verbose: bool = False
    enable_profiling: bool = False
    disable_ansi: bool = False
    config: str = ".prunner.yml"
    jwt_secret: str = attrs.field(default="", repr=False)
    data: str = ".prunner"
    pattern: str = "**/pipelines.{yml,yaml}"
    path: str = "."
    address: str = "localhost:9009"
    env_files: tuple[str, ...] = (".env", ".env.local")
    watch: bool = False
    poll_interval: float = 30.0
    containment: str = "auto"
    log_limit: int | None = None
    log_format: str = "text"
    max_connections: int = 1000
    max_connections_per_address: int = 500
    rate_limit: int = 0
    handover: bool = False


def find_secret(jwt_secret: str, config: str) -> str:
    """Return the secret for tokens: the one given, else that of the config file, which is made if there is none.

    A new file holds a random secret and can be read by its owner only. It appears whole or not at all, and of two
    daemons that start at the same time both use the one that came first.

    Raises:
        InvalidConfig: the secret is missing or too short, or the file cannot be read or made.
    """
    if jwt_secret:
        return _long_enough(jwt_secret, "invalid CLI config")
    path = Path(config)
    try:
        text = _read(path)
        if text is None:
            _create(path)
            text = _read(path) or b""
    except OSError as exc:
        raise InvalidConfig(f"reading or writing config {config}: {exc.strerror}") from exc
    return _long_enough(_parse(text, config), "invalid config")


def _long_enough(secret: str, what: str) -> str:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise InvalidConfig(f"{what}: jwt_secret must be at least {MIN_SECRET_BYTES} characters long")
    return secret


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & 0o077:
            log.warning("other users may read the config file, which holds the secret", extra={"file": str(path)})
        return file.read()


def _parse(text: bytes, config: str) -> str:
    secret = parse_config(text, config).get("jwt_secret", "")
    if not isinstance(secret, str):
        raise InvalidConfig(f"invalid config: {config}: jwt_secret must be a text")
    if not secret:
        raise InvalidConfig(f"invalid config: {config}: missing jwt_secret")
    return secret


def parse_config(text: bytes, config: str) -> Mapping[str, object]:
    """Return what a config file holds: texts, and what is nested; `config` is its name for messages.

    Raises:
        InvalidConfig: it is not YAML, or has no keys; the message quotes nothing of it.
    """
    try:
        # The base loader knows texts only: 0012345678901234 is a secret and not a number.
        content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but texts, lists and maps
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark  # the error's own text quotes the line, and with it perhaps the secret
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = _QUOTED.sub("...", exc.problem or "")  # the name of an alias or a tag may be the secret's beginning
        raise InvalidConfig(f"reading config: {config}{place}: {problem}") from None
    except yaml.YAMLError:
        raise InvalidConfig(f"reading config: {config}: it contains characters that YAML does not allow") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidConfig(f"reading config: {config}: expected keys with values, such as jwt_secret: ...")
    return content


def _create(path: Path) -> None:
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_LETTERS))
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # readable by the owner only
    temporary = Path(name)
    try:
        with open(descriptor, "w") as file:
            file.write(f"jwt_secret: {secret}\n")
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):  # somebody else was faster; theirs is as good
            _publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    log.info("made a config file with a new secret", extra={"file": str(path)})


def _publish(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        temporary.rename(path)
