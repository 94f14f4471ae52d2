"""One request of somebody who is signed in."""

import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote

import attrs

from prunner_trio.http.facts import Request
from prunner_trio.http.port import RunnerPort
from prunner_trio.http.rights import Role, Visitor

__all__ = ["Refusal", "Visit", "local_path", "root_of", "url"]

_LOCAL = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*")
_LONGEST_PATH = 2000
_DOTS = (".", "..")


class Refusal(Exception):
    """Ends a request with a page that says why.

    Attributes:
        text: a sentence, or several.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@attrs.frozen
class Visit:
    """What is asked, and by whom.

    Attributes:
        facts: the request.
        visitor: who asks, with which rights.
        runner: as the visitor sees it; a page looks at no other.
        root: leads from this page to the start page: every link begins with it, so a proxy may put the daemon below
            any path.
        here: leads from the start page to this one.
        query: of equal names the first counts.
        form: reads the body of a form.
    """

    facts: Request
    visitor: Visitor
    runner: RunnerPort
    root: str
    here: str
    query: Mapping[str, str]
    form: Callable[[], Awaitable[Mapping[str, str]]]

    @property
    def user(self) -> str:
        """The name in the token; empty if it has none."""
        return self.visitor.user

    @property
    def may_run(self) -> bool:
        """Whether the visitor may start, cancel and repeat jobs."""
        return self.visitor.rights.allows(Role.RUN)

    @property
    def may_administer(self) -> bool:
        """Whether the visitor may change wait lists and pause pipelines."""
        return self.visitor.rights.allows(Role.ADMIN)


def root_of(raw_path: bytes) -> str:
    """Return the way from a page to the start page; a slash within a name is percent-encoded, and does not count."""
    return "../" * (raw_path.partition(b"?")[0].count(b"/") - 1) or "./"


def local_path(text: str) -> str:
    """Return a path to go to after signing in; the start page if a browser could take it for another site."""
    usable = _LOCAL.fullmatch(text) and len(text) <= _LONGEST_PATH and not text.startswith("/")
    return text if usable else ""


def url(*parts: str) -> str:
    """Return a path of these parts.

    Browsers resolve dots, even encoded ones, and slashes at the ends of a name are lost between those of the path: such
    a name comes as a question.
    """
    *folder, name = parts
    if name in _DOTS or name.startswith("/") or name.endswith("/"):
        return "/".join(quote(part, safe="") for part in folder) + "/?name=" + quote(name, safe="")
    return "/".join(quote(part, safe="") for part in parts)
