"""Room for tasks that are there already: they take their places before anybody who has yet to start."""

import math
from contextlib import AbstractAsyncContextManager

import trio

__all__ = ["give_back", "occupy"]


def occupy(room: AbstractAsyncContextManager[object], who: object) -> None:
    """Take a place without waiting, also where there is none left: then so many more must leave before one is free."""
    if isinstance(room, trio.CapacityLimiter):
        most = room.total_tokens
        room.total_tokens = math.inf
        room.acquire_on_behalf_of_nowait(who)
        room.total_tokens = most


def give_back(room: AbstractAsyncContextManager[object], who: object) -> None:
    """Give back a place that was taken by `occupy`."""
    if isinstance(room, trio.CapacityLimiter):
        room.release_on_behalf_of(who)
