"""Slows down guessing: after some failures in a row the next try must wait, longer each time. In memory, bounded."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

_FREE = 5  # failures without a wait
_LONGEST = 60.0  # seconds
_FORGET = 900.0  # seconds after the last failure
_MAX_KEYS = 10_000


@dataclass
class Throttle:
    _failures: OrderedDict[Hashable, tuple[int, float]] = field(default_factory=OrderedDict)

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until the next try is allowed; 0 when it is."""
        count, last = self._failures.get(key, (0, 0.0))
        if count < _FREE or now - last >= _FORGET:
            return 0.0
        return max(0.0, last + min(_LONGEST, 2.0 ** (count - _FREE)) - now)

    def failed(self, key: Hashable, now: float) -> None:
        count, last = self._failures.pop(key, (0, now))
        self._failures[key] = (1 if now - last >= _FORGET else count + 1, now)
        if len(self._failures) > _MAX_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, key: Hashable) -> None:
        self._failures.pop(key, None)
