"""Failures on demand: a proxy that stands before any object with coroutine methods.

Nothing is injected until asked for, and then a call costs one look at an empty list.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from inspect import iscoroutinefunction
from typing import Any, Literal, TypeVar

from hostagent.contract.error import temporary

T = TypeVar("T")


@dataclass
class _Fault:
    pattern: str
    kind: Literal["fail", "delay", "lose"]
    error: Exception | None = None
    seconds: float = 0.0
    times: int | None = 1  # None: until healed
    after: int = 0  # so many calls go well before


class Faults:
    def __init__(self) -> None:
        self._faults: list[_Fault] = []
        self._calls: dict[str, int] | None = None

    def fail(self, call: str, error: Exception, times: int | None = 1, after: int = 0) -> None:
        """The next `times` calls (but not the first `after`) raise `error`, usually a HostError, and do nothing."""
        self._faults.append(_Fault(call, "fail", error=error, times=times, after=after))

    def delay(self, call: str, seconds: float, times: int | None = None) -> None:
        self._faults.append(_Fault(call, "delay", seconds=seconds, times=times))

    def lose_reply(self, call: str, times: int | None = 1) -> None:
        """The next `times` calls do their work, then answer `unreachable` (temporary) instead of a result."""
        self._faults.append(_Fault(call, "lose", times=times))

    def heal(self) -> None:
        self._faults.clear()

    def record(self) -> dict[str, int]:
        """From now on count calls by name, in the returned dict."""
        self._calls = {}
        return self._calls

    def stand_before(self, target: T, name: str) -> T:
        """An object that behaves like `target`, with the faults applied to its coroutine methods."""
        return _Proxy(target, name, self)  # type: ignore[return-value]

    async def call(self, name: str, method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._calls is not None:
            self._calls[name] = self._calls.get(name, 0) + 1
        if not self._faults:
            return await method(*args, **kwargs)
        if delay := self._take(name, "delay"):
            await asyncio.sleep(delay.seconds)
        if failure := self._take(name, "fail"):
            assert failure.error is not None
            raise failure.error
        lost = self._take(name, "lose")
        result = await method(*args, **kwargs)
        if lost:
            raise temporary("unreachable", f"simulated: the reply of {name} was lost")
        return result

    def _take(self, name: str, kind: str) -> _Fault | None:
        for fault in self._faults:
            if fault.kind == kind and fnmatchcase(name, fault.pattern):
                if fault.after:
                    fault.after -= 1
                    return None
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                return fault
        return None


class _Proxy:
    def __init__(self, target: Any, name: str, faults: Faults) -> None:
        self._target = target
        self._name = name
        self._faults = faults

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._target, attribute)
        if not iscoroutinefunction(value):
            return value
        name = f"{self._name}.{attribute}"

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._faults.call(name, value, args, kwargs)

        setattr(self, attribute, call)  # looked up once
        return call
