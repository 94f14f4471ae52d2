"""Flags that several commands have, each said once."""

from prunner_trio.cli.flag_checks import assignment, json_assignment
from prunner_trio.cli.flags import Flag, Kind

__all__ = ["JSON", "VARIABLES"]

JSON = Flag("json", "show the result as JSON", Kind.SWITCH)

VARIABLES = (
    Flag("variable", "a variable of the job, as text", Kind.REPEATED, short="v", value="NAME=VALUE", check=assignment),
    Flag("json-var", "a variable of the job, as JSON", Kind.REPEATED, value="NAME=JSON", check=json_assignment),
)
"""What `assigned_variables` reads."""
