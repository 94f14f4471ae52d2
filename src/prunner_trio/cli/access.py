"""Where the daemon is and what lets us in: from flags, variables and the config file, in this order."""

import base64
import json
import os
import pwd
import re
import time
from collections.abc import Mapping
from hmac import digest
from typing import NamedTuple

from prunner_trio.cli.flags import Values
from prunner_trio.client import Daemon, parse_address
from prunner_trio.client.address import DEFAULT

__all__ = ["Access", "NoAccess", "find_access", "short_lived_token", "user_name"]

TOKEN_SECONDS = 300
"""How long a token is good that is made here; each request gets a new one."""

_AS_MADE = re.compile(rb"jwt_secret: ([A-Za-z0-9]{16,})\n")


class NoAccess(Exception):
    """There is no usable address, token or secret; the text says where they were looked for, and holds none.

    Attributes:
        token: it is a token that is missing, and not an address.
    """

    def __init__(self, text: str, *, token: bool) -> None:
        super().__init__(text)
        self.token = token


class Access(NamedTuple):
    """A daemon, and where the knowledge of it comes from, for messages."""

    daemon: Daemon
    address_from: str
    token_from: str


def find_access(values: Values, environ: Mapping[str, str], token_seconds: int = TOKEN_SECONDS) -> Access:
    """Find the address and the token for it.

    Args:
        token_seconds: how long a token is good that is made from a secret.

    Raises:
        NoAccess: one of them is missing or cannot be used.
    """
    config = values.text("config")
    in_file: dict[str, str] | None = None

    def kept(key: str) -> str:
        nonlocal in_file
        if in_file is None:
            in_file = _read_config(config)
        return in_file.get(key, "")

    if text := values.text("address"):
        address_from = "PRUNNER_ADDRESS" if _is(values, "address", environ) else "--address"
    elif text := kept("address"):
        address_from = f"`address` in {config}"
    else:
        text = DEFAULT
        address_from = f"the default: --address, PRUNNER_ADDRESS and `address` in {config} are not set"
    try:
        address = parse_address(text)
    except ValueError as exc:
        raise NoAccess(f"the address from {address_from} cannot be used: {exc}", token=False) from None
    secret, from_variable = values.text("jwt-secret"), _is(values, "jwt-secret", environ)
    if secret and not from_variable:
        return Access(Daemon(address, _Maker(secret, token_seconds)), address_from, "--jwt-secret")
    if token := environ.get("PRUNNER_TOKEN", ""):
        return Access(Daemon(address, lambda: token), address_from, "PRUNNER_TOKEN")
    if secret:
        return Access(Daemon(address, _Maker(secret, token_seconds)), address_from, "PRUNNER_JWT_SECRET")
    if token := kept("token"):
        return Access(Daemon(address, lambda: token), address_from, f"`token` in {config}")
    if secret := kept("jwt_secret"):
        return Access(Daemon(address, _Maker(secret, token_seconds)), address_from, f"`jwt_secret` in {config}")
    place = "has neither `token` nor `jwt_secret`" if os.path.exists(config) else "is not there"
    raise NoAccess(
        f"no token for {address}: neither PRUNNER_TOKEN nor PRUNNER_JWT_SECRET is set, and {config} {place}", token=True
    )


def _is(values: Values, flag: str, environ: Mapping[str, str]) -> bool:
    variable = f"PRUNNER_{flag.upper().replace('-', '_')}"
    return values.text(flag) == environ.get(variable, "")


def _read_config(config: str) -> dict[str, str]:
    try:
        with open(config, "rb") as file:
            private = not os.fstat(file.fileno()).st_mode & 0o077
            text = file.read()
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise NoAccess(f"reading {config}: {exc.strerror}", token=True) from None
    if private and (match := _AS_MADE.fullmatch(text)):
        return {"jwt_secret": match[1].decode()}  # as daemons make it: a YAML parser takes longer than a request
    from prunner_trio.daemon.config import InvalidConfig, parse_config

    try:
        content = parse_config(text, config)
    except InvalidConfig as exc:
        raise NoAccess(str(exc), token=True) from None
    return {key: value for key, value in content.items() if isinstance(value, str)}


class _Maker:
    """Makes tokens; its secret is in no repr."""

    def __init__(self, secret: str, seconds: int) -> None:
        self._secret, self._seconds = secret, seconds

    def __call__(self) -> str:
        """Return a new token."""
        return short_lived_token(self._secret, user_name(), time.time(), self._seconds)


def short_lived_token(secret: str, user: str, now: float, seconds: int = TOKEN_SECONDS) -> str:
    """Return a token for the next seconds.

    It has no time of its making: a daemon whose clock is behind ours would refuse it. Made without PyJWT, which takes
    longer to import than a request to make.
    """
    claims = {"sub": user, "exp": int(now) + seconds}
    signed = b".".join(map(_encoded, (b'{"alg":"HS256","typ":"JWT"}', json.dumps(claims).encode())))
    return b".".join((signed, _encoded(digest(secret.encode(errors="surrogateescape"), signed, "sha256")))).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def user_name() -> str:
    """Return the name of the user who runs this program."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or f"uid {os.getuid()}"
