"""Keeps jobs over a restart: the journal in SQLite, one in memory, and prunner's own file."""

from prunner_trio.storage.journal import SqliteJournal, export_prunner, open_journal
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.storage.prunner_json import read_prunner, write_prunner

__all__ = ["MemoryJournal", "SqliteJournal", "export_prunner", "open_journal", "read_prunner", "write_prunner"]
