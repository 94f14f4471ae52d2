"""How often something may happen, counted for each key: token buckets in bounded memory. Pure."""

from collections import OrderedDict
from collections.abc import Hashable

__all__ = ["Buckets"]

_MOST_KEYS = 4096


class Buckets:
    """A bucket per key: it holds `burst` tokens, and gains `rate` of them a second until it is full again.

    A bucket is one number, the moment at which it will be full. Those that are full are not kept. If more than
    `most_keys` are not, the one that was asked for the longest ago is forgotten, and so is full.
    """

    def __init__(self, rate: float, burst: float, *, most_keys: int = _MOST_KEYS) -> None:
        """Make full buckets; `rate` is more than 0, `burst` at least 1."""
        self._interval = 1.0 / rate
        self._depth = burst / rate
        self._most_keys = most_keys
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._full_at)

    def take(self, key: Hashable, now: float) -> float:
        """Take a token out of a bucket and return 0.0; if there is none, return the seconds until there will be one.

        Args:
            now: seconds; not less than the time before.
        """
        full_at = max(self._full_at.get(key, now), now) + self._interval
        if (wait := full_at - now - self._depth) > self._interval * 1e-6:  # less is a rounding error
            self._full_at.move_to_end(key)
            return wait
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        # The oldest are looked at, two for each that came: so those that are full go before there are many.
        for _ in range(2):
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now and len(self._full_at) <= self._most_keys:
                return
            del self._full_at[oldest]
