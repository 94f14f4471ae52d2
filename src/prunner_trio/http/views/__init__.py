"""What each route does: plain functions from a request to an answer."""

from prunner_trio.http.views.profiling import profile_text
from prunner_trio.http.views.prunner import Api

__all__ = ["Api", "profile_text"]
