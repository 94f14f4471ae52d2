"""Which jobs may go: the pure rule."""

import pytest

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.policy import ORPHAN_GRACE, RetentionRule, next_look, retention_rule

COUNT = PipelineDef("p", retention_count=3)
PERIOD = PipelineDef("p", retention_period=60.0)
BOTH = PipelineDef("p", retention_count=3, retention_period=60.0)
KEEP = PipelineDef("p")


@pytest.mark.parametrize(
    ("pipeline", "rule"),
    [
        (KEEP, None),
        (COUNT, RetentionRule(keep=3)),
        (PERIOD, RetentionRule(created_before=940.0)),
        (BOTH, RetentionRule(keep=3, created_before=940.0)),
    ],
)
def test_rule(pipeline, rule):
    assert retention_rule(Definitions.of(pipeline), "p", 1000.0) == rule


def test_jobs_of_a_pipeline_that_is_gone_stay_for_a_day():
    rule = retention_rule(Definitions.of(PipelineDef("other")), "p", 1e6)
    assert rule == RetentionRule(ended_before=1e6 - ORPHAN_GRACE)
    assert ORPHAN_GRACE == 86_400


def test_without_any_pipeline_nothing_goes():
    assert retention_rule(Definitions(), "p", 1e6) is None


@pytest.mark.parametrize(
    ("pipeline", "oldest", "when"),
    [
        (PERIOD, 950.0, 1010.0),
        (BOTH, 950.0, 1010.0),
        (PERIOD, None, None),
        (COUNT, 950.0, None),
        (KEEP, 950.0, None),
        (None, 950.0, 1000.0 + ORPHAN_GRACE),
        (None, None, None),
    ],
)
def test_when_to_look_again(pipeline, oldest, when):
    assert next_look(pipeline, oldest, 1000.0) == when
