"""What the bearer of a token may do, and with which pipelines: from the claims `scope` and `pipelines`. Pure."""

import re
from collections.abc import Mapping
from enum import IntEnum
from fnmatch import translate
from typing import TypeGuard

import attrs

from prunner_trio.http.facts import Header

__all__ = ["EVERYTHING", "Rights", "Role", "Visitor", "challenge", "rights_of"]


class Role(IntEnum):
    """What somebody may do; each role includes those below it."""

    READ = 1
    """See pipelines, jobs, logs, events and metrics."""
    RUN = 2
    """Start, cancel and repeat jobs."""
    ADMIN = 3
    """Change what holds for all: the order of a wait list, whether a pipeline takes jobs, the definitions."""

    @property
    def word(self) -> str:
        """How it is written in a token."""
        return self.name.lower()


_ROLES = {role.word: role for role in Role}


@attrs.frozen
class Rights:
    """A role, for some pipelines or for all.

    Attributes:
        role: None allows nothing.
        patterns: of the names of the pipelines that exist for the bearer: ``*`` any characters, ``?`` one,
            ``[ab]`` one of these, ``[!ab]`` another one; None: all pipelines.
    """

    role: Role | None
    patterns: tuple[str, ...] | None = None
    _names: re.Pattern[str] | None = attrs.field(init=False, eq=False, repr=False)

    @_names.default
    def _compiled(self) -> re.Pattern[str] | None:
        return None if self.patterns is None else re.compile("|".join(map(translate, self.patterns)) or "(?!)")

    @property
    def restricted(self) -> bool:
        """Whether there may be pipelines that are hidden."""
        return self.patterns is not None

    def allows(self, need: Role) -> bool:
        """Tell whether the role is enough."""
        return self.role is not None and self.role >= need

    def sees(self, pipeline: str) -> bool:
        """Tell whether a pipeline of this name exists for the bearer."""
        return self._names is None or self._names.match(pipeline) is not None

    def refusal(self, need: Role) -> str:
        """Return the sentence for somebody whose role is not enough."""
        needed = f"this needs a token whose `scope` has {need.word!r} or more"
        if self.role is None:
            return f"{needed}; that of yours gives no rights: it has none of {', '.join(_ROLES)}, or is malformed"
        return f"{needed}; yours has {self.role.word!r}"


EVERYTHING = Rights(Role.ADMIN)


@attrs.frozen
class Visitor:
    """Who asks.

    Attributes:
        user: the name in the token; empty: it has none.
    """

    user: str = ""
    rights: Rights = EVERYTHING


def challenge(need: Role) -> Header:
    """Return the header that tells a program which scope would have been enough (RFC 6750, section 3.1)."""
    return b"www-authenticate", f'Bearer error="insufficient_scope", scope="{need.word}"'.encode()


def rights_of(claims: Mapping[str, object]) -> Rights:
    """Return the rights that a token gives.

    Without `scope` these are all, as in prunner. It is a text with words between spaces, or a list of words; the
    highest role that is named counts, and other words do not. Without `pipelines`, a list of patterns, all pipelines
    are meant. What is not of this form gives no rights at all.
    """
    role: Role | None = Role.ADMIN
    if "scope" in claims:
        scope = claims["scope"]
        words = scope.split(" ") if isinstance(scope, str) else scope if _are_texts(scope) else []
        role = max((_ROLES[word] for word in words if word in _ROLES), default=None)
    if "pipelines" not in claims:
        return Rights(role)
    patterns = claims["pipelines"]
    return Rights(role, tuple(patterns)) if _are_texts(patterns) else Rights(None, ())


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
