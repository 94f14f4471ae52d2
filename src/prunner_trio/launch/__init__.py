"""Tasks as processes of this machine."""

from prunner_trio.launch.limits import missing_limits
from prunner_trio.launch.opening import open_launcher
from prunner_trio.launch.place import place_of
from prunner_trio.launch.posix import Containment, PosixLauncher, PosixProc
from prunner_trio.launch.standing import MAIN

__all__ = ["MAIN", "Containment", "PosixLauncher", "PosixProc", "missing_limits", "open_launcher", "place_of"]
