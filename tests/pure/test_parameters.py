"""Which variables a definition names."""

import pytest

from prunner_trio.definition.parameters import parameters
from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.definition.template import parse

USES = {
    "nothing": set(),
    "{{ .a }} {{ .b.c }}": {"a", "b"},
    "{{ $.a }}": {"a"},
    "{{ if .a }}{{ .b }}{{ else if .c }}{{ .d }}{{ else }}{{ .e }}{{ end }}": {"a", "b", "c", "d", "e"},
    "{{ with .a }}{{ .b }}{{ $.c }}{{ else }}{{ .d }}{{ end }}": {"a", "c", "d"},
    "{{ range .list }}{{ .item }}{{ else }}{{ .none }}{{ end }}": {"list", "none"},
    '{{ range $i, $x := .list }}{{ $x.item }}{{ index $.more "a-b" }}{{ end }}': {"list", "more"},
    '{{ index . "my-key" }} {{ index $ "other-key" 0 }}': {"my-key", "other-key"},
    '{{ printf "%s" (index .a 0) | quote }}': {"a"},
    "{{ (index .a 0).b }}": {"a"},
    "{{ $x := .a }}{{ $x.b }}": {"a"},
    '{{ define "t" }}{{ .inner }}{{ end }}{{ template "t" .outer }}': {"outer"},
    "{{/* .comment */}}{{ .__jobID }}": {"__jobID"},
}


@pytest.mark.parametrize("text", USES)
def test_a_template_tells_which_members_it_names(text: str) -> None:
    assert parse(text).uses == USES[text]


def test_a_variable_is_offered_once_whatever_way_it_is_used() -> None:
    pipeline = PipelineDef(
        "p",
        (
            TaskDef("a", ("echo {{ .my_key }}", 'echo "$PRUNNER_VAR_MY_KEY" ${PRUNNER_VAR_OTHER}')),
            TaskDef("b", ("{{ broken", "{{ .__jobID }}")),
        ),
        on_error=TaskDef("on_error", ("{{ .failedTaskName }} $PRUNNER_VAR_FAILEDTASKNAME {{ .to }}",)),
    )
    found = {p.name: (p.env, p.tasks, p.template) for p in parameters(pipeline)}
    assert found == {
        "my_key": ("PRUNNER_VAR_MY_KEY", ("a",), True),
        "other": ("PRUNNER_VAR_OTHER", ("a",), False),
        "to": ("PRUNNER_VAR_TO", ("on_error",), True),
    }
