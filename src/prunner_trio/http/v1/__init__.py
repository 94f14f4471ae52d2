"""API v1: resources in JSON, logs, and streams of events, beside prunner's routes.

`table` lists all routes, for the router as for the document; `models` and `questions` hold the types that both read.
"""

from prunner_trio.http.v1.api import MOST_STREAMS, ApiV1

__all__ = ["MOST_STREAMS", "ApiV1"]
