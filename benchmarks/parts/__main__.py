"""Measures one part and prints the outcome as JSON: run by `benchmarks.parts.measures`."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict

from benchmarks.measure import Outcome
from benchmarks.parts import commit, engine, events, listing, masking, spawn, texts

PARTS: dict[str, Callable[[bool], Outcome]] = {
    "spawn": spawn.measure,
    "commit": commit.measure,
    "engine": engine.measure,
    "list": listing.measure,
    "template": texts.templates,
    "script": texts.scripts,
    "events": events.measure,
    "mask": masking.measure,
}

parser = argparse.ArgumentParser()
parser.add_argument("name", choices=PARTS)
parser.add_argument("--quick", action="store_true")
arguments = parser.parse_args()
print(json.dumps(asdict(PARTS[arguments.name](arguments.quick))))
