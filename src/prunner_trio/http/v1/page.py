"""The document as a page to be read: one file, without scripts and without anything from elsewhere."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any

__all__ = ["CONTENT_SECURITY_POLICY", "render_page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #57606a; --line: #d0d7de; --box: #f6f8fa; --mark: #0550ae; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --box: #151b23; --mark: #79c0ff; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 60rem; margin: 0 auto; padding: 1rem; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2rem 0 0; }
h3 b { color: var(--mark); }
p.soft, td.soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; display: block; overflow-x: auto; }
td, th { text-align: left; vertical-align: top; padding: 0.3rem 0.7rem; border: 1px solid var(--line); }
th { background: var(--box); }
a { color: var(--mark); }
"""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
"""What the page may do: use its own style, and nothing else."""


def render_page(document: dict[str, Any]) -> bytes:
    """Return an OpenAPI document as HTML."""
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    tags = dict.fromkeys(operation["tags"][0] for _, _, operation in operations)
    parts = [f"<h1>{escape(document['info']['title'])} {escape(document['info']['version'])}</h1>"]
    parts.append(f"<p>{_prose(document['info']['description'])}</p>")
    links = [*((tag, tag) for tag in tags), ("types", "types")]
    parts.append("<nav>" + " · ".join(f'<a href="#{escape(to)}">{escape(text)}</a>' for to, text in links) + "</nav>")
    for tag in tags:
        parts.append(f'<h2 id="{escape(tag)}">{escape(tag.capitalize())}</h2>')
        parts += [_operation(*each) for each in operations if each[2]["tags"][0] == tag]
    parts.append('<h2 id="types">Types</h2>')
    parts += [_type(name, schema) for name, schema in document["components"]["schemas"].items()]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = f"<title>{escape(document['info']['title'])}: API v1</title>"
    body = "\n".join(parts)
    return f'<!doctype html><html lang="en"><head>{head}{title}<style>{_STYLE}</style></head>\n{body}</html>\n'.encode()


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f'<h3 id="{escape(operation["operationId"])}"><b>{method.upper()}</b> <code>{escape(path)}</code></h3>']
    roles = [role for way in operation["security"] for words in way.values() for role in words]
    token = f" Role: `{roles[0]}`." if roles else " Answered without a token."
    parts.append(f"<p>{_prose(operation['summary'])}.{_prose(token)}</p>")
    if parameters := operation.get("parameters"):
        rows = ((each["name"], each["in"], _kind(each["schema"]), each["description"]) for each in parameters)
        parts.append(_table(("parameter", "in", "type", "meaning"), rows))
    if body := operation.get("requestBody"):
        parts.append(f"<p>Body: {_kind(body['content']['application/json']['schema'])}</p>")
    answers = (
        (status, answer["description"], ", ".join(_body(media, held) for media, held in _content(answer)))
        for status, answer in operation["responses"].items()
    )
    parts.append(_table(("status", "meaning", "body"), ((status, what, text) for status, text, what in answers)))
    return "\n".join(parts)


def _content(answer: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    content: dict[str, Any] = answer.get("content", {})
    return content.items()


def _body(media: str, held: dict[str, Any]) -> str:
    return _kind(held["schema"]) if media == "application/json" else f"<code>{escape(media)}</code>"


def _type(name: str, schema: dict[str, Any]) -> str:
    must = schema["required"]
    rows = (
        (member, _kind(held), held["description"] + ("" if member in must else " May be left out."))
        for member, held in schema["properties"].items()
    )
    head = f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3><p>{_prose(schema["description"])}</p>'
    return head + _table(("member", "type", "meaning"), rows)


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"<code>{escape(value)}</code>" for value in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    limits = {key: schema[key] for key in ("default", "minimum", "maximum", "maxLength") if key in schema}
    text = " or ".join("list of " + _kind(schema["items"]) if kind == "array" else escape(kind) for kind in kinds)
    if "format" in schema:
        text += f" ({escape(schema['format'])})"
    return text + "".join(f", {escape(key)} {escape(json.dumps(value))}" for key, value in limits.items())


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>"]
    for first, *middle, last in rows:
        cells = [f"<code>{escape(first)}</code>", *middle, _prose(last)]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
