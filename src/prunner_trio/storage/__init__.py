"""Keeps jobs over a restart: the journal in SQLite, one in memory, and prunner's own file."""

from prunner_trio.storage.backup import back_up
from prunner_trio.storage.condition import Condition, condition_of
from prunner_trio.storage.journal import SqliteJournal, export_prunner, open_journal
from prunner_trio.storage.last_good import keep_last_good
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.storage.opening import store_file
from prunner_trio.storage.prunner_json import read_prunner, write_prunner

__all__ = [
    "Condition",
    "MemoryJournal",
    "SqliteJournal",
    "back_up",
    "condition_of",
    "export_prunner",
    "keep_last_good",
    "open_journal",
    "read_prunner",
    "store_file",
    "write_prunner",
]
