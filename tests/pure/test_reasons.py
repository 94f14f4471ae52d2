"""Reasons in words for people."""

import pytest

from prunner_trio.model import StopReason
from prunner_trio.model.reasons import in_words, missing_variable

LACKS = 'template: interpolate:1:25: executing "interpolate" at <.version>: map has no entry for key "version"'
INNER = 'template: interpolate:1:5: executing "interpolate" at <.app.version>: map has no entry for key "version"'


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (LACKS, "the variable version is not given"),
        (f"build: {LACKS}", "build: the variable version is not given"),
        (INNER, INNER),
        ("exit status 3", "exit status 3"),
        ("stopped: fail_fast", "stopped because another task failed"),
        ("a: stopped: timeout", "a: stopped because the job took too long"),
        ("stopped: user", "canceled"),
        ("stopped: whatever", "stopped: whatever"),
        ("", ""),
    ],
)
def test_they_are_sentences_where_they_are_known(reason, words):
    assert in_words(reason) == words


@pytest.mark.parametrize("reason", StopReason)
def test_each_way_to_stop_has_words(reason):
    assert "stopped: " not in in_words(f"stopped: {reason.value}")


def test_who_has_canceled_is_told():
    assert in_words("stopped: user", "joe") == "canceled by joe"


def test_only_a_variable_of_the_job_counts_as_missing():
    assert (missing_variable(LACKS), missing_variable(INNER), missing_variable("exit status 1")) == ("version", "", "")
