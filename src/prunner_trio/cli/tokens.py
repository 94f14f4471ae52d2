"""Commands that make tokens: debug, token."""

import logging
import os
import sys

from prunner_trio.cli.flags import Parsed, Values
from prunner_trio.daemon.config import InvalidConfig, find_secret
from prunner_trio.daemon.logs import set_up_logs
from prunner_trio.daemon.tokens import make_token
from prunner_trio.definition.duration import parse_duration

__all__ = ["debug", "token"]

log = logging.getLogger(__name__)


def debug(parsed: Parsed) -> int:
    """Show a header for trying the API; with MINIMAL_OUTPUT only its value, as prunner does for scripts."""
    set_up_logs(verbose=False, plain=parsed.values.switch("disable-ansi"))
    secret = _secret(parsed.values)
    if secret is None:
        return 1
    value = f"Bearer {make_token(secret)}"
    if os.environ.get("MINIMAL_OUTPUT"):
        sys.stdout.write(value)
    else:
        log.info("send this HTTP header for JWT auth: Authorization: %s", value)
    return 0


def token(parsed: Parsed) -> int:
    """Show a token for a user."""
    set_up_logs(verbose=False, plain=False)
    secret = _secret(parsed.values)
    if secret is None:
        return 1
    expires = parsed.values.text("expires")
    made = make_token(
        secret,
        subject=parsed.values.text("sub"),
        expires=parse_duration(expires) if expires else None,
        scope=parsed.values.text("scope"),
        pipelines=parsed.values.list("pipelines"),
    )
    print(made)
    return 0


def _secret(values: Values) -> str | None:
    try:
        return find_secret(values.text("jwt-secret"), values.text("config"))
    except InvalidConfig as exc:
        log.critical("Error: %s", exc)
        return None
