"""The form that starts a pipeline: its fields, what is in them, and what they become."""

import json
from collections.abc import Mapping, Sequence

import attrs

from prunner_trio.definition.parameters import Parameter, parameters
from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.definition.variables import checked_variables
from prunner_trio.errors import InvalidVariable
from prunner_trio.http.bodies import BadBody, check_depth, refuse_constant

__all__ = ["Asked", "BadForm", "Entry", "FormFields", "again", "read_form"]

_PREFIX, _KIND = "v.", "k."
_TEXT, _JSON = "text", "json"
_LONG = 60


class BadForm(Exception):
    """Something in the form cannot be used.

    Attributes:
        problems: what is wrong, by the names of fields.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


@attrs.frozen
class Entry:
    """A field for one variable.

    Attributes:
        field: its name in the form.
        label: the name of the variable.
        value: what stands in it.
        kind: `text`, or `json` for what was no text when it was used before.
        hint: what the variable is for.
        tall: it needs more than one line.
    """

    field: str
    label: str
    value: str
    kind: str
    hint: str
    tall: bool

    @property
    def kind_field(self) -> str:
        """The name of the hidden field that holds `kind`."""
        return _KIND + self.label


@attrs.frozen
class FormFields:
    """What the form holds.

    Attributes:
        entries: a field for each variable that is known.
        more: variables that have no field, as JSON.
        partition: None: the pipeline has none.
        problems: what was wrong with a form that is shown again, by the names of fields.
    """

    entries: Sequence[Entry]
    more: str = ""
    partition: str | None = None
    problems: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Asked:
    """The variables that pipelines ask for; looked for once per definition."""

    _known: dict[str, tuple[PipelineDef, tuple[Parameter, ...]]] = attrs.field(factory=dict, init=False)

    def of(self, pipeline: PipelineDef) -> tuple[Parameter, ...]:
        """Return those of a pipeline."""
        known = self._known.get(pipeline.name)
        if known is None or known[0] is not pipeline:
            known = self._known[pipeline.name] = pipeline, parameters(pipeline)
        return known[1]

    def fields(self, pipeline: PipelineDef, used: Mapping[str, object], partition: str = "") -> FormFields:
        """Return the form with the variables of a job in it; it has a field for each of them."""
        entries = []
        for parameter in self.of(pipeline):
            hint = f"used by {', '.join(parameter.tasks)}" + ("" if parameter.template else f" as {parameter.env}")
            entries.append(_entry(parameter.name, used.get(parameter.name, ""), hint))
        names = {entry.label for entry in entries}
        entries += [_entry(name, value, "") for name, value in used.items() if name not in names]
        return FormFields(entries, partition=partition if pipeline.queue_partition_limit is not None else None)


def _entry(name: str, value: object, hint: str) -> Entry:
    kind = _TEXT if isinstance(value, str) else _JSON
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Entry(_PREFIX + name, name, text, kind, hint, tall="\n" in text or len(text) > _LONG)


def read_form(form: Mapping[str, str]) -> dict[str, object]:
    """Return the variables of a form; a field that is empty gives none.

    Raises:
        BadForm: something cannot be used.
    """
    found: dict[str, object] = {}
    problems: dict[str, str] = {}
    for field, text in form.items():
        if not field.startswith(_PREFIX) or not text:
            continue
        name = field.removeprefix(_PREFIX)
        text = text.replace("\r\n", "\n")  # browsers send line ends so
        try:
            found[name] = _json(text) if form.get(_KIND + name) == _JSON else text
        except BadBody as exc:
            problems[field] = f"{name}: {exc}"
    try:
        more = _json(form.get("more", "").strip() or "{}")
        if not isinstance(more, dict):
            raise BadBody('must be a JSON object, such as {"name": "value"}')
        found |= more
    except BadBody as exc:
        problems["more"] = f"more variables: {exc}"
    for name, value in found.items():
        try:
            checked_variables({name: value})
        except InvalidVariable as exc:
            problems.setdefault(_PREFIX + name, f"{name} {exc.problem}")
    if problems:
        raise BadForm(problems)
    return found


def again(fields: FormFields, form: Mapping[str, str], problems: Mapping[str, str]) -> FormFields:
    """Return a form as it was sent, with what was wrong."""
    entries = [attrs.evolve(entry, value=form.get(entry.field, entry.value)) for entry in fields.entries]
    partition = None if fields.partition is None else form.get("partition", "")
    return FormFields(entries, form.get("more", ""), partition, problems)


def _json(text: str) -> object:
    try:
        value = json.loads(text, parse_constant=refuse_constant)
        check_depth(value, text)
    except json.JSONDecodeError as exc:
        raise BadBody(f"is no JSON: {exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
    except RecursionError as exc:
        raise BadBody("is nested too deeply") from exc
    except BadBody:
        raise
    except ValueError as exc:  # Python's limit for reading integers: 4300 digits
        raise BadBody("has a number with too many digits") from exc
    return value
