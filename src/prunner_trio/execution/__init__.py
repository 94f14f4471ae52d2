"""The engine: jobs as nurseries, wait lists, stops. Trio, but no operating system: that is behind `seams`."""

from prunner_trio.execution.engine import new_job_id, run_engine
from prunner_trio.execution.handle import Job
from prunner_trio.execution.runner import Runner, StopLevel
from prunner_trio.execution.stop import Hurry, StopPolicy, stop_tree

__all__ = ["Hurry", "Job", "Runner", "StopLevel", "StopPolicy", "new_job_id", "run_engine", "stop_tree"]
