"""Decisions over wait lists and retention: pure functions, no clock of their own."""

from prunner_trio.policy.places import wait_places
from prunner_trio.policy.retention import ORPHAN_GRACE, RetentionRule, next_look, retention_rule
from prunner_trio.policy.retry import kept_tasks
from prunner_trio.policy.wait_list import Admission, Waiting, WaitList, admit, schedulable, startable

__all__ = [
    "ORPHAN_GRACE",
    "Admission",
    "RetentionRule",
    "WaitList",
    "Waiting",
    "admit",
    "kept_tasks",
    "next_look",
    "retention_rule",
    "schedulable",
    "startable",
    "wait_places",
]
