"""The secrets of incoming webhooks: from variables of the daemon, and from files that each reload reads again."""

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import attrs

from prunner_trio.definition import Definitions, IncomingHook

__all__ = ["SHORTEST", "HookSecrets"]

log = logging.getLogger(__name__)

SHORTEST = 16
"""Bytes that a secret must have, as that for tokens: shorter ones can be guessed."""

_LONGEST = 4096


class _Unusable(Exception):
    """There is no secret; the message says why, and has nothing of it."""


@attrs.define(eq=False)
class HookSecrets:
    """Finds secrets.

    Attributes:
        variables: their values by name.
        base: what names of files are relative to.
    """

    variables: Mapping[str, str] = attrs.field(repr=False)
    base: Path
    _known: Mapping[str, bytes] = attrs.field(factory=dict, init=False, repr=False)
    _problems: frozenset[tuple[str, str]] = attrs.field(default=frozenset(), init=False)

    def read(self, definitions: Definitions) -> None:
        """Read the secrets of all hooks. Blocks on the disk; one that cannot be used is logged, once."""
        known: dict[str, bytes] = {}
        problems: set[tuple[str, str]] = set()
        for name, (_, hook) in definitions.hooks.items():
            try:
                known[name] = self._read(hook)
            except _Unusable as exc:
                problems.add((name, str(exc)))
        for name, reason in sorted(problems - self._problems):
            log.error("nobody can use a hook", extra={"hook": name, "reason": reason})
        self._known, self._problems = known, frozenset(problems)

    def of(self, hook: IncomingHook) -> bytes | None:
        """Return the secret of a hook; None: it is not known."""
        return self._known.get(hook.name)

    def _read(self, hook: IncomingHook) -> bytes:
        if hook.secret_file:
            place = f"the file {hook.secret_file}"
            try:
                secret = _content(self.base / hook.secret_file).rstrip(b"\r\n")
            except (OSError, ValueError) as exc:
                reason = exc.strerror if isinstance(exc, OSError) else exc
                raise _Unusable(f"{place} cannot be read: {reason}") from exc
        else:
            place = f"the variable {hook.variable}"
            if hook.variable not in self.variables:
                raise _Unusable(f"{place} is not set")
            secret = self.variables[hook.variable].encode(errors="surrogateescape")
        if not SHORTEST <= len(secret) <= _LONGEST:
            raise _Unusable(f"{place} must hold {SHORTEST} to {_LONGEST} bytes")
        return secret


def _content(path: Path) -> bytes:
    # Non-blocking, for opening a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        return file.read(_LONGEST + 3)
