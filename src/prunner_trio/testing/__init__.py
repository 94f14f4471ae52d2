"""Test what your pipelines do when they fail, hang or are canceled: on virtual time, without starting a process."""

from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing.fakes import Act, Acts, FakeLauncher, FakeProc, FakeRemains, Launch
from prunner_trio.testing.simulation import EPOCH, Rig, Scenario, open_rig, simulate
from prunner_trio.testing.transcript import Entry, Transcript

__all__ = [
    "EPOCH",
    "Act",
    "Acts",
    "Entry",
    "FakeLauncher",
    "FakeProc",
    "FakeRemains",
    "Launch",
    "MemoryJournal",
    "Rig",
    "Scenario",
    "Transcript",
    "open_rig",
    "simulate",
]
