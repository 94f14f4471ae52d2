"""Where the output of tasks is kept."""

from prunner_trio.output.files import FileOutputStore
from prunner_trio.output.memory import MemoryOutputStore

__all__ = ["FileOutputStore", "MemoryOutputStore"]
