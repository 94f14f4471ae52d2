"""The JSON Schema for editors, and that the table, the checker and the manual know the same keys."""

import json
import re
from pathlib import Path

import attrs
import pytest
import yaml

from prunner_trio.definition import Hook, Limits, Notify, PipelineDef, TaskDef, json_schema, parse_definitions
from prunner_trio.definition.incoming_schema import INCOMING, SOURCE
from prunner_trio.definition.tables import FILE, HANDLER, HOOK, LEVELS, LIMITS, NOTIFY, PIPELINE, TASK

MANUAL = Path(__file__).parents[2] / "docs" / "definitions.md"
DERIVED = {"name", "file"}
KEYS = [pytest.param(level, key, id=f"{level}: {key}") for level, table in LEVELS.items() for key in table]


def test_the_table_has_exactly_the_keys_of_the_definitions() -> None:
    assert set(PIPELINE) == {field.name for field in attrs.fields(PipelineDef)} - DERIVED
    assert set(TASK) == {field.name for field in attrs.fields(TaskDef)} - DERIVED
    assert set(HANDLER) < set(TASK)
    for table, values in ((LIMITS, Limits), (NOTIFY, Notify), (HOOK, Hook)):
        assert set(table) == {field.name for field in attrs.fields(values)}


def test_the_schema_can_be_written_as_json() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_schema_describes_every_key_and_no_other() -> None:
    schema = json_schema()
    parts = schema["$defs"]
    for table, part in [
        (FILE, schema),
        *zip([PIPELINE, TASK, HANDLER, LIMITS, NOTIFY, HOOK, INCOMING, SOURCE], parts.values(), strict=True),
    ]:
        assert set(part["properties"]) == set(table)
        assert all(spec["description"] for spec in part["properties"].values())
        assert part["additionalProperties"] is False
        assert part["patternProperties"] == {"^x-": True}


@pytest.mark.parametrize("text", ["0", "5s", "1h30m", "1.5h", ".5s", "0h0m0.25s", "250ms", "+1s"])
def test_the_pattern_of_durations_takes_what_is_read(text: str) -> None:
    pattern = json_schema()["$defs"]["pipeline"]["properties"]["start_delay"]["pattern"]
    assert re.fullmatch(pattern, text)


@pytest.mark.parametrize("text", ["5", "", "5d", "-5s", "soon", "5 s"])
def test_the_pattern_of_durations_refuses_what_is_not_read(text: str) -> None:
    pattern = json_schema()["$defs"]["pipeline"]["properties"]["start_delay"]["pattern"]
    assert not re.fullmatch(pattern, text)


def with_key(level: str, key: str) -> str:
    example = f"{key}: {LEVELS[level][key].example}"
    extra = {"queue_partition_limit": ", queue_strategy: partitioned_replace"}.get(key, "")
    other = {"secret_env": ", webhook: 'http://localhost/'", "timeout": ", command: a"}.get(key, "")
    kind = ", kind: generic"
    source = {"default": ", from: a", "type": ", from: a"}.get(key, "")
    return {
        "the top level": example,
        "a pipeline": f"pipelines: {{p: {{{example}{extra}}}}}",
        "a task": f"pipelines: {{p: {{tasks: {{build: , lint: , t: {{{example}}}}}}}}}",
        "on_error": f"pipelines: {{p: {{on_error: {{script: [a], {example if key != 'script' else 'x-a: b'}}}}}}}",
        "limits": f"pipelines: {{p: {{limits: {{{example}}}}}}}",
        "notify": f"pipelines: {{p: {{notify: {{{example}}}}}}}",
        "an incoming hook": f"pipelines: {{p: {{hooks: {{site: {{{example}{kind if key != 'kind' else ''}}}}}}}}}",
        "a variable of an incoming hook": (
            f"pipelines: {{p: {{hooks: {{site: {{kind: github, variables: {{v: {{{example}{source}}}}}}}}}}}}}"
        ),
        "a hook": f"pipelines: {{p: {{notify: {{failure: [{{{example}{other}}}]}}}}}}",
    }[level]


@pytest.mark.parametrize(("level", "key"), KEYS)
def test_every_example_is_accepted(level: str, key: str) -> None:
    assert len(parse_definitions({"f.yml": with_key(level, key)})) == 1


@pytest.mark.parametrize(("level", "key"), KEYS)
def test_the_manual_has_every_key_with_default_and_example(level: str, key: str) -> None:
    rows = [line for line in MANUAL.read_text("utf-8").splitlines() if line.startswith(f"| `{key}` |")]
    example = f"`{key}: {LEVELS[level][key].example}`"
    assert any(f"| {LEVELS[level][key].default} |" in row and example in row for row in rows), rows


def test_every_block_of_yaml_in_the_manual_is_accepted() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        assert isinstance(yaml.safe_load(block), dict)
        assert len(parse_definitions({"f.yml": block})) >= 1
