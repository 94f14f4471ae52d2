"""The two verbs of the package: parse and render.

What they stand on is imported by the first template: it is a fifteenth of all that the daemon would import at its
start, which reads no template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from prunner_trio.definition.template._errors import LEFT, TemplateError
from prunner_trio.definition.template._limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prunner_trio.definition.template._nodes import Tree

__all__ = ["Template", "is_plain", "parse", "render"]

NAME = "interpolate"
"""What prunner calls its templates; the errors begin with it."""

_DEFAULT_LIMITS = Limits()


@attrs.frozen
class Template:
    """A parsed template; make one with `parse`."""

    text: str
    _trees: Mapping[str, Tree] = attrs.field(repr=False)

    @property
    def uses(self) -> frozenset[str]:
        """The members of its dot that are named in it: what it may look up, whatever way its conditions go.

        What stands in a ``define`` is not looked at, since its dot may be anything.
        """
        from prunner_trio.definition.template._uses import uses

        return frozenset(uses(self._trees[NAME].nodes) if NAME in self._trees else ())

    def render(self, data: Mapping[str, object], *, limits: Limits = _DEFAULT_LIMITS) -> str:
        """Execute the template with `data` as its dot; values are data and never parsed again.

        Args:
            data: JSON values by name. It is not changed.
            limits: what the rendering may cost.

        Raises:
            TemplateError: a key is missing, a value does not fit, or a limit is exceeded.
        """
        from prunner_trio.definition.template._evaluation import evaluate

        return evaluate(NAME, self.text, self._trees, data, limits)


def parse(text: str) -> Template:
    """Parse a template without executing it.

    Raises:
        TemplateError: the text is no template.
    """
    from prunner_trio.definition.template._parser import parse_trees

    try:
        return Template(text, parse_trees(NAME, text))
    except RecursionError as exc:
        raise TemplateError(f"template: {NAME}:1: the template is nested too deeply", 1) from exc


def is_plain(text: str) -> bool:
    """Tell whether there is nothing in a text to be filled in: rendered with any data, it stays as it is."""
    return LEFT not in text


def render(text: str, data: Mapping[str, object], *, limits: Limits = _DEFAULT_LIMITS) -> str:
    """Parse and execute a template; text without ``{{`` is returned as it is, at no cost.

    Raises:
        TemplateError: see `parse` and `Template.render`.
    """
    if is_plain(text):
        return text
    return parse(text).render(data, limits=limits)
