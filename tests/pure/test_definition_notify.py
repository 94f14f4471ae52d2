"""The key `notify`: what it takes, and what is said of what it does not take."""

import pytest

from prunner_trio.definition import Hook, Notify, parse_definitions
from prunner_trio.definition.check import check_files

GOOD = """
pipelines:
  p:
    notify:
      failure:
        - command: ./tell
          timeout: 30s
        - webhook: https://example.org/ci?a=b
          secret_env: PRUNNER_NOTIFY_SECRET_CHAT
      recovery: [{webhook: "http://[::1]:8080/x"}]
      success:
"""


def problems(hooks: str, key: str = "failure") -> list[tuple[int, int, str, str]]:
    text = f"pipelines:\n  p:\n    notify:\n      {key}: {hooks}\n"
    return [(each.line, each.column, each.message, each.hint) for each in check_files({"f.yml": text})[1]]


def test_hooks_are_read_with_their_defaults() -> None:
    pipeline = parse_definitions({"f.yml": GOOD}).get("p")
    assert pipeline is not None
    assert pipeline.notify == Notify(
        failure=(
            Hook(command="./tell", timeout=30.0),
            Hook(webhook="https://example.org/ci?a=b", secret_env="PRUNNER_NOTIFY_SECRET_CHAT", timeout=10.0),
        ),
        recovery=(Hook(webhook="http://[::1]:8080/x"),),
    )


@pytest.mark.parametrize(
    ("hooks", "place", "message", "hint"),
    [
        ("{command: x}", (4, 16), "failure must be a list of hooks, not a map", "a dash in front"),
        ("./tell", (4, 16), "failure must be a list of hooks", ""),
        ("[./tell]", (4, 17), "hook 1 of failure must be a map", "allowed: command, webhook"),
        ("[{}]", (4, 17), "hook 1 of failure must have either a command or a webhook", ""),
        ("[{command: a, webhook: 'http://b'}]", (4, 17), "must have either a command or a webhook", ""),
        ("[{url: x}]", (4, 18), 'unknown key "url"', 'did you mean "webhook"?'),
        ("[{webhook: 'ftp://example.org'}]", (4, 27), "must be an http or https address", ""),
        ("[{webhook: '//example.org'}]", (4, 27), "must be an http or https address", ""),
        ("[{webhook: 'http://'}]", (4, 27), "must be an http or https address", ""),
        ("[{webhook: 'http://a:99999/'}]", (4, 27), "must be an http or https address", ""),
        ("[{webhook: 'http://[broken'}]", (4, 27), "must be an http or https address", ""),
        ("[{webhook: 'http://a/b c'}]", (4, 27), "must be plain ASCII without blanks", "percent-encode"),
        ('[{webhook: "http://a/\\r\\nX: y"}]', (4, 27), "must be plain ASCII without blanks", "percent-encode"),
        ("[{command: a, timeout: 0s}]", (4, 39), "timeout must be greater than 0", ""),
        ("[{command: a, secret_env: PRUNNER_NOTIFY_SECRET}]", (4, 17), "secret_env is for webhooks only", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(hooks: str, place: tuple[int, int], message: str, hint: str) -> None:
    (found,) = problems(hooks)
    assert found[:2] == place
    assert found[2].startswith('invalid pipeline definition "p": notify: ')
    assert message in found[2]
    assert hint in found[3]


def test_an_unknown_moment_is_named_with_those_that_are_known() -> None:
    ((_, _, message, hint),) = problems("[]", "done")
    assert 'unknown key "done"' in message
    assert "success" in hint


@pytest.mark.parametrize(
    "hook",
    [
        "{webhook: 'https://user:hush@example.org'}",
        "{webhook: 'https://example.org', secret_env: hush}",
        "{webhook: 'https://example.org', secret_env: PATH_hush}",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(hook: str) -> None:
    ((_, _, message, hint),) = problems(f"[{hook}]")
    assert "hush" not in message + hint
