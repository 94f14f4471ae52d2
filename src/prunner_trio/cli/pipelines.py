"""The command that shows all pipelines of a daemon: pipelines."""

import time

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.rows import pipeline_fields, pipeline_table, tab_line
from prunner_trio.client import Daemon, call
from prunner_trio.client.requests import list_pipelines
from prunner_trio.client.shapes import PipelineList

__all__ = ["pipelines"]


@at_daemon
def pipelines(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Show all pipelines with their latest results."""
    answer: PipelineList = call(daemon, list_pipelines())
    found = answer["pipelines"]
    if parsed.values.switch("json"):
        paper.json(answer)
    elif not paper.terminal:
        paper.lines(tab_line(pipeline_fields(pipeline)) for pipeline in found)
    elif found:
        paper.lines(pipeline_table(found, paper.width, time.time(), colors=paper.colors))
    else:
        paper.lines(["no pipelines"])
    return 0
