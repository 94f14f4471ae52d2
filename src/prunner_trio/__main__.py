"""``python -m prunner_trio``: the same program as the installed command."""

import sys

from prunner_trio.cli import entry

if __name__ == "__main__":
    sys.exit(entry())
