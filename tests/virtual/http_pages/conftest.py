"""The web page over the real runner, on a clock that jumps, with a browser that knows cookies and forms."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlencode, urljoin, urlsplit

import attrs
import jwt
import pytest
import trio
import trio.testing
from quart_trio import QuartTrio
from tests.virtual.web import SECRET, play_app

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.execution.seams import SavedJob
from prunner_trio.http.about import Tell, nothing_known
from prunner_trio.model import JobId
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import Acts, Rig

HOST = "http://localhost:9009"
VOID = frozenset({"meta", "link", "input", "br", "hr", "img", "wbr"})


@attrs.define(eq=False)
class Element:
    """A node of a parsed page."""

    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = attrs.field(factory=list)

    @property
    def text(self) -> str:
        """All text below, with single blanks."""
        return " ".join(" ".join(self._texts()).split())

    def _texts(self) -> list[str]:
        found: list[str] = []
        for child in self.children:
            found += [child] if isinstance(child, str) else child._texts()
        return found

    def all(self, tag: str = "", **wanted: str) -> list["Element"]:
        """Return the elements below of that tag with these attributes; ``class_`` is one of the classes."""
        found: list[Element] = []
        for child in self.children:
            if isinstance(child, Element):
                if tag in ("", child.tag) and all(child.has(name, value) for name, value in wanted.items()):
                    found.append(child)
                found += child.all(tag, **wanted)
        return found

    def has(self, name: str, value: str) -> bool:
        if name == "class_":
            return value in self.attributes.get("class", "").split()
        return self.attributes.get(name.replace("_", "-")) == value

    def one(self, tag: str = "", **wanted: str) -> "Element":
        found = self.all(tag, **wanted)
        assert len(found) == 1, (tag, wanted, [element.text for element in found])
        return found[0]


class _Parser(HTMLParser):
    """Reads a page, and insists on its being well formed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of {tag} is given twice: {attrs}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes {self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    """Return the root of a page or a fragment."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert parser.open == [parser.root], [element.tag for element in parser.open]
    return parser.root


@attrs.frozen
class Page:
    """An answer."""

    address: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def html(self) -> Element:
        assert self.headers["content-type"] == "text/html; charset=utf-8", self
        root = parse(self.body.decode())
        ids = [element.attributes["id"] for element in root.all() if "id" in element.attributes]
        assert len(ids) == len(set(ids)), sorted(ids)
        return root

    @property
    def title(self) -> str:
        return self.html.one("h1").text

    @property
    def text(self) -> str:
        return self.html.one("main").text

    @property
    def live(self) -> str:
        """The address of the stream."""
        return self.html.one(id="live").attributes["hx-sse:connect"]


@attrs.frozen
class Message:
    """What a live page gets: the parts that changed, as trees by name, or an event."""

    id: str
    event: str
    parts: dict[str, Element]


@attrs.define(eq=False)
class Live:
    """The stream of a page."""

    status: int
    headers: dict[str, str]
    pieces: trio.MemoryReceiveChannel[bytes]
    over: trio.Event
    _text: str = ""

    async def message(self) -> Message:
        """Return the next message; comments are passed over."""
        while True:
            while "\n\n" not in self._text:
                self._text += (await self.pieces.receive()).decode()
            block, self._text = self._text.split("\n\n", 1)
            lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
            if not lines:
                continue
            fields = {name: value for name, _, value in lines if name != "data"}
            event = fields.get("event", "")
            data = "\n".join(value for name, _, value in lines if name == "data")
            parts = {}
            for partial in [] if event else parse(data).all("hx-partial"):
                name = partial.attributes["hx-target"].removeprefix("#part-")
                parts[name] = partial
            return Message(fields.get("id", ""), event, parts)

    async def latest(self) -> Message:
        """Return the last message before a second of silence."""
        message = await self.message()
        while True:
            with trio.move_on_after(1) as silence:
                message = await self.message()
            if silence.cancelled_caught:
                return message


@attrs.define(eq=False)
class Browser:
    """Asks as a browser does; all answers are looked at for what each must have."""

    app: Any
    rig: Rig
    closing: trio.Event
    cookies: dict[str, str] = attrs.field(factory=dict)
    set_cookies: list[str] = attrs.field(factory=list)

    async def get(self, target: str, **headers: str) -> Page:
        return await self("GET", target, **headers)

    async def post(self, target: str, fields: dict[str, str] | None = None, **headers: str) -> Page:
        """Send a form, from a page of ours unless the headers tell otherwise."""
        headers = {"sec_fetch_site": "same-origin", "content_type": "application/x-www-form-urlencoded", **headers}
        return await self("POST", target, urlencode(fields or {}).encode(), **headers)

    async def follow(self, page: Page) -> Page:
        """Go where a redirection leads."""
        assert page.status == 303, page
        return await self.get(self.resolve(page, page.headers["location"]))

    @staticmethod
    def resolve(page: Page, link: str) -> str:
        """Return the path and query that a link of a page leads to."""
        parts = urlsplit(urljoin(HOST + page.address, link))
        assert f"{parts.scheme}://{parts.netloc}" == HOST, link
        return parts.path + (f"?{parts.query}" if parts.query else "")

    async def submit(self, page: Page, form: Element, **fields: str) -> Page:
        """Send a form as it stands, with some of its fields changed."""
        given = {}
        for element in form.all("input") + form.all("textarea") + form.all("select"):
            name = element.attributes.get("name")
            if name and element.tag == "select":
                chosen = [option for option in element.all("option") if "selected" in option.attributes]
                given[name] = (chosen or element.all("option"))[0].attributes["value"]
            elif name and element.tag == "textarea":
                given[name] = "".join(child for child in element.children if isinstance(child, str))
            elif name and (element.attributes.get("type") != "checkbox" or "checked" in element.attributes):
                given[name] = element.attributes.get("value", "")
        assert set(fields) <= set(given), (fields, given)
        target = self.resolve(page, form.attributes.get("action", ""))
        if form.attributes.get("method") != "post":
            return await self.get(target.partition("?")[0] + "?" + urlencode({**given, **fields}))
        return await self.post(target, {**given, **fields})

    async def sign_in(self, user: str = "jane", **claims: object) -> None:
        token = jwt.encode({"sub": user, **claims}, SECRET, algorithm="HS256")
        assert (await self.post("/sign-in", {"token": token})).status == 303

    async def __call__(self, method: str, target: str, body: bytes = b"", **headers: str) -> Page:
        async with self.open(target, method=method, body=body, **headers) as live:
            got = b"".join([piece async for piece in live.pieces])
        page = Page(target, live.status, live.headers, got)
        if not target.startswith(("/v1", "/static", "/pipelines", "/job/")):
            check_headers(page)
            if page.status != 303 and page.headers["content-type"].startswith("text/html"):
                check_page(page)
        return page

    @asynccontextmanager
    async def open(self, target: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> AsyncIterator[Live]:
        """Ask; on leaving, the client is gone."""
        path, _, query = target.partition("?")
        given = {"host": "localhost:9009", "accept": "text/html", **headers}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
        }
        send_piece, pieces = trio.open_memory_channel[bytes](float("inf"))
        live, begun, gone, asked = Live(0, {}, pieces, trio.Event()), trio.Event(), trio.Event(), False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                live.status = message["status"]
                for name, value in message["headers"]:
                    if name.lower() == b"set-cookie":
                        self._keep(value.decode())
                    else:
                        live.headers[name.decode().lower()] = value.decode()
                begun.set()
                return
            await send_piece.send(message["body"])
            if not message.get("more_body"):
                live.over.set()
                send_piece.close()

        async def ask() -> None:
            await self.app(scope, receive, send)
            send_piece.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await begun.wait()
            yield live
            gone.set()

    def _keep(self, cookie: str) -> None:
        self.set_cookies.append(cookie)
        name, _, rest = cookie.partition("=")
        value = rest.partition(";")[0].strip('"')
        self.cookies.pop(name, None)
        if value:
            self.cookies[name] = value


def check_headers(page: Page) -> None:
    """What stands on each answer of the page."""
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy, page.address
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"


def check_page(page: Page) -> None:
    """What is true of each page: nothing in it runs, nothing is absolute, a reader of screens finds its way."""
    html = page.html
    for element in html.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on"), (page.address, name)
            assert name != "style", (page.address, element.tag)
            if name in ("href", "src", "action"):
                assert not re.match(r"[a-z]+:|/", value), (page.address, value)
        if element.tag == "script":
            assert "src" in element.attributes, page.address
            assert not element.children
        assert element.tag != "style", page.address
    assert html.one("html").attributes["lang"] == "en"
    assert len(html.all("h1")) == 1, page.address
    assert html.one("head").one("title").text
    labels = {label.attributes.get("for") for label in html.all("label")}
    for element in html.all("input") + html.all("select") + html.all("textarea"):
        hidden = element.attributes.get("type") == "hidden"
        named = element.attributes.get("id") in labels or "aria-label" in element.attributes
        assert hidden or named, (page.address, element.attributes)
    for button in html.all("button"):
        assert button.text or button.attributes.get("aria-label"), page.address


Scenario = Callable[[Browser], Awaitable[object]]


class ReadByBoth(MemoryJournal):
    """A journal that answers nobody who looks for an unknown job before two have."""

    def __init__(self) -> None:
        super().__init__()
        self._both = trio.Event()
        self._looking = 0

    async def find(self, job_id: JobId) -> SavedJob | None:
        found = await super().find(job_id)
        if found is None:
            self._looking += 1
            if self._looking == 2:
                self._both.set()
            await self._both.wait()
        return found


@pytest.fixture
def both_read() -> MemoryJournal:
    """A journal in which neither of two equal requests finds what the other one makes."""
    return ReadByBoth()


@pytest.fixture
def play() -> Callable[..., None]:
    """Run a scenario against the whole application over a runner with these definitions; signed in as jane."""

    def play(
        scenario: Scenario,
        *pipelines: PipelineDef,
        acts: Acts | None = None,
        journal: MemoryJournal | None = None,
        signed_in: bool = True,
        about: Tell = nothing_known,
    ) -> None:
        async def on(app: QuartTrio, rig: Rig, closing: trio.Event) -> None:
            browser = Browser(app, rig, closing)
            if signed_in:
                await browser.sign_in()
            await scenario(browser)

        play_app(on, *pipelines, acts=acts, journal=journal, about=about)

    return play
