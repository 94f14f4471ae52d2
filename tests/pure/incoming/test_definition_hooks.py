"""The key `hooks`: what it takes, and what is said of what it does not take."""

import pytest

from prunner_trio.definition import HookKind, HookVariable, IncomingHook, VariableType, parse_definitions
from prunner_trio.definition.check import check_files

GOOD = """
pipelines:
  site:
    hooks:
      site-push:
        kind: github
        branches: [main, release/*]
        secret_file: /run/secrets/site
        variables:
          commit: after
          author: {from: "commits[0].author.name", default: ""}
          number: {from: number, default: 7, type: integer}
        partition: "@branch"
      lab: {kind: gitlab, events: [merge_request.open]}
      any: {kind: generic, secret_env: PRUNNER_HOOK_SECRET}
"""


def problems(hook: str, name: str = "h") -> list[tuple[int, int, str, str]]:
    text = f"pipelines:\n  p:\n    hooks:\n      {name}: {hook}\n"
    return [(each.line, each.column, each.message, each.hint) for each in check_files({"f.yml": text})[1]]


def test_hooks_are_read_with_their_defaults() -> None:
    definitions = parse_definitions({"f.yml": GOOD})
    pipeline = definitions.get("site")
    assert pipeline is not None
    assert pipeline.hooks == (
        IncomingHook(
            "site-push",
            HookKind.GITHUB,
            secret_file="/run/secrets/site",
            events=("push",),
            branches=("main", "release/*"),
            variables=(
                HookVariable("commit", "after"),
                HookVariable("author", "commits[0].author.name", ""),
                HookVariable("number", "number", "7", VariableType.INTEGER),
            ),
            partition="@branch",
        ),
        IncomingHook("lab", HookKind.GITLAB, events=("merge_request.open",)),
        IncomingHook("any", HookKind.GENERIC, secret_env="PRUNNER_HOOK_SECRET"),
    )
    assert definitions.hooks == {hook.name: (pipeline, hook) for hook in pipeline.hooks}


@pytest.mark.parametrize(
    ("hook", "place", "message", "hint"),
    [
        ("push", (4, 10), "a hook must be a map, not", "allowed: kind, secret_file"),
        ("{}", (4, 7), "kind must be given: github, gitlab, generic", ""),
        ("{kind: gitea}", (4, 17), "kind must be github, gitlab or generic", 'did you mean "gitlab"?'),
        ("{kind: github, event: [push]}", (4, 25), 'unknown key "event"', 'did you mean "events"?'),
        ("{kind: github, events: push}", (4, 33), "events must be a list of events", 'write it as a list: ["push"]'),
        ("{kind: gitlab, events: [Tag Push Hook]}", (4, 34), '"Tag Push Hook" is no event', 'did you mean "tag_push"?'),
        ("{kind: github, events: [[a]]}", (4, 34), "entry 1 of events must be a text, not a list", ""),
        ("{kind: github, branches: [refs/heads/x]}", (4, 36), "is no pattern of a branch", 'did you mean "x"?'),
        ("{kind: github, branches: ['']}", (4, 36), "a pattern in branches must not be empty", ""),
        ("{kind: github, secret_file: a, secret_env: PRUNNER_HOOK_SECRET}", (4, 10), "cannot go together", ""),
        ("{kind: github, variables: [a]}", (4, 36), "variables must be a map of fields, not a list", ""),
        ("{kind: github, variables: {a: $.ref}}", (4, 40), 'variable "a": the path "$.ref"', 'did you mean "ref"?'),
        ("{kind: github, variables: {a: .ref}}", (4, 40), 'the path ".ref"', 'did you mean "ref"?'),
        ("{kind: github, variables: {a: '@brunch'}}", (4, 40), "there are @branch, @delivery", ""),
        ("{kind: github, variables: {a: [x]}}", (4, 40), "the field of the payload must be a text, not a list", ""),
        ("{kind: github, variables: {'': x}}", (4, 37), "the name of a variable must not be empty", ""),
        ("{kind: github, variables: {a: {default: x}}}", (4, 37), "the field of the payload is missing", ""),
        ("{kind: github, variables: {a: {from: x, typ: any}}}", (4, 50), 'unknown key "typ"', '"type"'),
        ("{kind: github, variables: {a: {from: x, type: int}}}", (4, 56), "type must be any, string", '"integer"'),
        ("{kind: github, variables: {a: {from: x, default: [1]}}}", (4, 59), "default must be a text, not a list", ""),
        ("{kind: github, variables: {a: {from: x, default: }}}", (4, 59), "default must be a text", 'write ""'),
        (
            "{kind: github, variables: {a: {from: x, default: y, type: boolean}}}",
            (4, 59),
            'default must be of type boolean, but is "y"',
            "",
        ),
        ("{kind: github, partition: 'a[b'}", (4, 36), 'the path "a[b" has', ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(hook: str, place: tuple[int, int], message: str, hint: str) -> None:
    ((line, column, found, hinted),) = problems(hook)
    assert (line, column) == place
    assert found.startswith('invalid pipeline definition "p": hook "h": ')
    assert message in found
    assert hint in hinted


def test_hooks_must_be_a_map() -> None:
    ((*_, message, _),) = [
        (each.message, each.hint) for each in check_files({"f.yml": "pipelines: {p: {hooks: [a]}}"})[1]
    ]
    assert "hooks must be a map of incoming webhooks, not a list" in message


@pytest.mark.parametrize("name", ["-a", "a/b", "'a b'", "''", "ä", "a.b", "a" * 81])
def test_a_name_that_makes_no_address_is_refused(name: str) -> None:
    ((line, column, message, _),) = problems("{kind: github}", name)
    assert (line, column) == (4, 7)
    assert "the name of a hook must be" in message


@pytest.mark.parametrize("key", ["secret", "token", "Password", "key"])
def test_a_secret_in_the_file_is_refused_with_the_reason_and_not_repeated(key: str) -> None:
    ((line, column, message, hint),) = problems(f"{{kind: github, {key}: hush}}")
    assert (line, column) == (4, 25)
    assert "a secret does not belong into a definition file" in message
    assert "PRUNNER_HOOK_SECRET_H" in hint
    assert "secret_file" in hint
    assert "hush" not in message + hint


def test_the_name_of_a_variable_of_another_kind_is_refused_and_not_repeated() -> None:
    ((*_, message, hint),) = problems("{kind: github, secret_env: hush}")
    assert "must be PRUNNER_HOOK_SECRET or begin with PRUNNER_HOOK_SECRET_" in message
    assert "hush" not in message + hint


def test_a_name_belongs_to_one_pipeline_of_all_files() -> None:
    one = "pipelines: {p: {hooks: {h: {kind: github}}}}"
    other = "pipelines:\n  q: {hooks: {h: {kind: gitlab}, i: {kind: gitlab}}}\n  r: {hooks: {i: {kind: gitlab}}}"
    _, found = check_files({"a.yml": one, "b.yml": other})
    assert [(each.file, each.line, each.message) for each in found] == [
        ("b.yml", 2, 'invalid pipeline definition "q": hook "h" was already declared in a.yml, for pipeline "p"'),
        ("b.yml", 3, 'invalid pipeline definition "r": hook "i" was already declared in b.yml, for pipeline "q"'),
    ]


def test_all_problems_are_told_at_once() -> None:
    variables = "{a: .b, c: {from: .d, default: []}}"
    found = problems(f"{{kind: x, events: [X Y!], branches: [''], variables: {variables}, nope: 1}}")
    assert len(found) == 7
