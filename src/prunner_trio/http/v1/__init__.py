"""API v1: resources in JSON, logs, and streams of events, beside prunner's routes.

`table` lists all routes, for the router as for the document; `models` and `questions` hold the types that both read.

The daemon imports `api` when something first asks for it (see `prunner_trio.http.Service`), since it is a sixth of all
that is imported; before that only `paths` and `problems` are there, which import nothing of the rest.
"""
