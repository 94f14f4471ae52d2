"""The command that leads to the web page: open."""

import sys

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.client import Daemon, call
from prunner_trio.client.requests import sign_in_link
from prunner_trio.client.shapes import SignInLink

__all__ = ["SESSION_SECONDS", "open_page"]

SESSION_SECONDS = 7 * 86400
"""How long one is signed in who comes by a link that was made with the secret."""


def _open(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Show a link that signs in, or open it."""
    link: SignInLink = call(daemon, sign_in_link())
    url = f"{daemon.address}/{link['path']}"
    if parsed.values.switch("browser") and not _opened(url):
        print("no browser can be opened here; without --browser the link is shown", file=sys.stderr)
        return 1
    if parsed.values.switch("json"):
        paper.json({"url": url, "expires": link["expires"]})
    elif not parsed.values.switch("browser"):
        paper.lines([url])
        if paper.terminal:
            print("the link works once, within a minute", file=sys.stderr)
    return 0


def _opened(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)


open_page = at_daemon(_open, token_seconds=SESSION_SECONDS)
