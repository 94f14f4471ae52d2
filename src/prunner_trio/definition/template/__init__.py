"""Templates in scripts: Go's text/template as users of prunner write it.

What is supported, and where it differs from Go on purpose, is told in docs/templates.md. Nothing here does any I/O, and
no template can reach more than the JSON values it is given and the functions of this package.
"""

from prunner_trio.definition.template._errors import TemplateError
from prunner_trio.definition.template._limits import Limits
from prunner_trio.definition.template._template import Template, is_plain, parse, render

__all__ = ["Limits", "Template", "TemplateError", "is_plain", "parse", "render"]
