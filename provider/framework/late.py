"""What few commands need is loaded when somebody looks at it: Terraform waits for the handshake, and pays for every import."""

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Late(Sequence[T], Generic[T]):
    """`ALL` of a module."""

    def __init__(self, module: str) -> None:
        self._module = module

    @cached_property
    def _all(self) -> Sequence[T]:
        found: Sequence[T] = import_module(self._module).ALL
        return found

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._all[index]
