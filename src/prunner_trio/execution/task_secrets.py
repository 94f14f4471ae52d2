"""The secrets of a task: which it gets, and what must not be shown of them."""

import attrs

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.policy.mask import Mask, mask_for
from prunner_trio.policy.secret_forms import SHORTEST_SECRET, is_too_short

__all__ = ["TaskSecrets", "take_secrets"]


@attrs.frozen
class TaskSecrets:
    """What follows from the secrets of a task.

    Attributes:
        listed: it has some.
        mask: what hides them; None if there are none, or all are too short.
        notes: about those that cannot be masked.
        missing: why the task cannot be started; empty if it can.
    """

    listed: bool = False
    mask: Mask | None = None
    notes: tuple[str, ...] = ()
    missing: str = ""

    def hide(self, text: str) -> str:
        """Return what may be shown of a text."""
        return text if self.mask is None else self.mask.text(text)


_NONE = TaskSecrets()


def take_secrets(task: TaskDef, pipeline: PipelineDef, env: dict[str, str]) -> TaskSecrets:
    """Remove from the environment of a task the secrets that are not for it, and tell what follows from its own."""
    if not pipeline.all_secrets:
        return _NONE
    own = pipeline.secrets_of(task)
    for name in pipeline.all_secrets - own - task.env.keys():  # what it has set itself is its own
        env.pop(name, None)
    missing = [name for name in sorted(own) if not env.get(name)]
    values = {name: env[name] for name in sorted(own) if env.get(name)}
    return TaskSecrets(
        bool(own),
        mask_for(frozenset(values.values())) if values else None,
        tuple(
            f"the secret {name} is not masked: it has less than {SHORTEST_SECRET} bytes"
            for name, value in values.items()
            if is_too_short(value)
        ),
        f"secrets are not set in the environment, or empty: {', '.join(missing)}" if missing else "",
    )
