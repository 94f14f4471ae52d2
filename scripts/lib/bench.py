"""What `scripts/bench` runs once the project is installed: the command in `benchmarks`, from wherever it is called."""

import runpy
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])
runpy.run_module("benchmarks", run_name="__main__")
