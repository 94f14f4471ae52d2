"""Shorthand for definitions made in Python."""

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from tests.virtual.web import SECRET

from prunner_trio.definition.pipeline import PipelineDef, TaskDef


def _task(name: str, *needs: str, **keys: Any) -> TaskDef:
    return TaskDef(name, keys.pop("script", ("work",)), needs, **keys)


@pytest.fixture
def task() -> Callable[..., TaskDef]:
    """Make a task: `task("b", "a")` needs `a`."""
    return _task


@pytest.fixture
def one() -> Callable[..., PipelineDef]:
    """Make a pipeline `p` with one task `t`; keywords are keys of the pipeline, `task=` those of the task."""

    def make(task: dict[str, Any] | None = None, **keys: Any) -> PipelineDef:
        return PipelineDef(keys.pop("name", "p"), (_task("t", **(task or {})),), **keys)

    return make


@pytest.fixture
def token() -> Callable[..., str]:
    """Make a token with these claims."""
    return lambda secret=SECRET, **claims: jwt.encode(claims, secret, algorithm="HS256")
