"""The OpenAPI document of API v1, as something to check answers with."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012


class Document:
    """The document, as something to check answers with."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.registry = Registry().with_resource("doc:", Resource(content, DRAFT202012))

    def routes(self) -> Iterator[tuple[str, str]]:
        for path, methods in self.content["paths"].items():
            for method in methods:
                yield method.upper(), path

    def response(self, method: str, path: str, status: int) -> dict[str, Any]:
        answers = self.content["paths"][path][method.lower()]["responses"]
        assert str(status) in answers, f"{method} {path} answers {status}, which is not documented"
        return answers[str(status)]

    def check(self, method: str, path: str, got: Any) -> None:
        """Check that an answer is one that the document has."""
        response = self.response(method, path, got.status)
        media = got.headers.get("content-type", "").partition(";")[0]
        content = response.get("content", {})
        if not got.body:
            return
        assert media in content, (method, path, got.status, media)
        if media.endswith("json"):
            self.check_value(content[media]["schema"], got.json)

    def check_value(self, schema: dict[str, Any], value: object) -> None:
        pointed = {"$ref": "doc:" + schema["$ref"]} if "$ref" in schema else schema
        Draft202012Validator(pointed, registry=self.registry, format_checker=FormatChecker()).validate(value)
