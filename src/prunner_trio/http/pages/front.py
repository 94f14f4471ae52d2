"""What all pages share: the templates, their helpers, and the headers of their answers."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup
from quart import Response

from prunner_trio._version import __version__
from prunner_trio.http.about import Tell, nothing_known
from prunner_trio.http.pages import words
from prunner_trio.http.pages.assets import Asset, read_assets
from prunner_trio.http.pages.visit import Visit, url
from prunner_trio.model.reasons import missing_variable

__all__ = ["CONTENT_SECURITY_POLICY", "Front", "guarded"]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may do: use our own files and talk to us, and nothing else. Nothing stands in a page that could run."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@cache
def _assets() -> Mapping[str, Asset]:
    return read_assets()


@cache
def _templates() -> jinja2.Environment:
    """Return the templates, all compiled: the application is made in a thread, so no page waits for that."""
    assets = _assets()
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    templates.filters.update(moment=words.moment, duration=words.duration_text, size=words.bytes_text)
    templates.tests.update(lacks_variable=lambda reason: bool(missing_variable(reason)))
    templates.globals.update(
        version=__version__,
        lasting=words.lasting,
        going=words.going,
        reason_of_job=words.reason_of_job,
        missing_variable=missing_variable,
        word_of_state=words.word_of_state,
        reason_of_task=words.reason_of_task,
        stop_text=words.stop_text,
        sign_of_job=words.sign_of_job,
        sign_of_task=words.sign_of_task,
        sign_of_outcome=words.sign_of_outcome,
        url=url,
        static=lambda name: f"static/{assets[name].path}",
    )
    for name in templates.list_templates():
        templates.get_template(name)
    return templates


class Front:
    """Makes pages.

    Attributes:
        assets: the static files, by name.
    """

    def __init__(self, about: Tell = nothing_known) -> None:
        self._about = about
        self.assets, self._templates = _assets(), _templates()

    def text(self, template: str, **values: object) -> Markup:
        """Render a template; everything in it that is no `Markup` is escaped."""
        return Markup(self._templates.get_template(template).render(values))

    def page(self, visit: Visit, template: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a page for somebody who is signed in; its templates find the visit as `visit`."""
        about = self._about()
        problems = len(about.problems) + bool(about.missing)
        return self.bare(template, visit.root, status=status, visit=visit, problems_now=problems, **values)

    def bare(self, template: str, root: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a page for anybody; see `Visit.root`."""
        body = self.text(template, **{"visit": None, "refresh": None, "live": None, **values, "root": root})
        return guarded(Response(str(body), status=status, content_type="text/html; charset=utf-8"))

    def go(self, visit_root: str, path: str) -> Response:
        """Answer with the way to another page: a path from the start page on."""
        return guarded(Response("", status=303, headers={"Location": visit_root + path}))


def guarded(response: Response, headers: Mapping[str, str] = _HEADERS) -> Response:
    """Give an answer the headers that all pages have."""
    for name, value in headers.items():
        response.headers[name] = value
    return response
