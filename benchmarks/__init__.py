"""How fast prunner-trio is, and where time goes: `scripts/bench` runs it, docs/performance.md shows what came of it.

Standard library only, except for what measures parts of our own code.
"""
