"""Signing in and out: a token becomes a cookie, which is a token of its own with an end."""

from collections.abc import Callable

from quart import Response

from prunner_trio.errors import Unauthorized
from prunner_trio.http.auth import Gate
from prunner_trio.http.facts import Request
from prunner_trio.http.origin import is_foreign
from prunner_trio.http.pages.front import Front
from prunner_trio.http.pages.visit import local_path
from prunner_trio.http.sign_in_links import SignInLinks

__all__ = ["SESSION", "Sessions"]

SESSION = 7 * 86400.0
"""Seconds after which one has to sign in again, if the token does not end before."""

_LONGEST = 3500  # browsers drop cookies of more than 4096 bytes


class Sessions:
    """The sign-in page and what it leads to."""

    def __init__(self, front: Front, gate: Gate, links: Callable[[], SignInLinks]) -> None:
        self._front, self._gate, self._links = front, gate, links

    def page(self, root: str, way: str, *, problem: str = "", status: int = 200) -> Response:
        """Answer with the form; `way` is where to go afterwards."""
        return self._front.bare("sign_in.html", root, status=status, way=local_path(way), problem=problem)

    def sign_in(self, request: Request, root: str, token: str, way: str) -> Response:
        """Answer with the cookie for a token, or with the form again."""
        token = token.strip().removeprefix("Bearer ").strip()
        try:
            session, ends = self._gate.session_token(token, SESSION)
        except Unauthorized as exc:
            text = "This token cannot be used: " + _PLAIN.get(str(exc), str(exc))
            return self.page(root, way, problem=text, status=401)
        if len(session) > _LONGEST:
            return self.page(root, way, problem="This token is too long for a cookie.", status=401)
        response = self._front.go(root, local_path(way))
        self._set(response, request, session, ends)
        return response

    def by_link(self, request: Request, root: str, code: str) -> Response:
        """Answer a link that signs in, with a page that leads on.

        Not with a redirection: a browser that comes from a page of another site would not send the new cookie with it.
        Such a page could also sign somebody in as somebody else, so then a button has to be pressed.
        """
        if request.method == "GET" and is_foreign(request):
            return self._front.bare("confirm.html", root, code=code)
        token = None if _ahead(request) else self._links().take(code)
        if token is None:
            text = "This link has been used, or is too old: it is good once, for a minute. Make another one."
            return self.page(root, "", problem=text, status=401)
        try:
            session, ends = self._gate.session_token(token, SESSION)
        except Unauthorized:
            return self.page(root, "", problem="The token behind this link has expired.", status=401)
        response = self._front.bare("signed_in.html", root)
        self._set(response, request, session, ends)
        return response

    def sign_out(self, request: Request, root: str) -> Response:
        """Answer with the end of the cookie."""
        response = self._front.go(root, "sign-in")
        self._set(response, request, "", 0)
        return response

    def _set(self, response: Response, request: Request, value: str, ends: int) -> None:
        response.set_cookie(
            self._gate.cookie,
            value,
            expires=ends,
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="Strict",
        )


_PLAIN = {
    "no token found": "there is none.",
    "token is unauthorized": "it is not signed with the secret of this daemon.",
    "token is expired": "it has expired.",
    "token nbf validation failed": "it is not valid yet.",
    "token iat validation failed": "it is from the future; compare the clocks.",
}


def _ahead(request: Request) -> bool:
    """Whether nobody has followed the link: a browser, or a program, wants to know what is there."""
    return request.method == "HEAD" or bool(request.header(b"sec-purpose") or request.header(b"purpose"))


def _is_secure(request: Request) -> bool:
    """Whether the browser has come over TLS, which ends at a proxy."""
    forwarded = request.header(b"x-forwarded-proto").partition(",")[0].strip()
    return forwarded == "https" or "proto=https" in request.header(b"forwarded").partition(",")[0].lower()
