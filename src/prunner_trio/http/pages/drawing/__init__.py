"""Drawings as SVG inside of a page: the graph of tasks, a job over time, the latest runs of a pipeline."""

from prunner_trio.http.pages.drawing.critical import critical_path
from prunner_trio.http.pages.drawing.graph import Node, graph
from prunner_trio.http.pages.drawing.sparkline import Run, sparkline
from prunner_trio.http.pages.drawing.timeline import Bar, timeline

__all__ = ["Bar", "Node", "Run", "critical_path", "graph", "sparkline", "timeline"]
