"""The workflows an engine can run, by name and version. Two of one name and version are refused, never shadowed."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from controlplane.operations.interface import Operation

W = TypeVar("W")
Function = Callable[[Operation[W], dict[str, Any]], Awaitable[Any]]


class UnknownWorkflow(KeyError):
    """No workflow of that name and version is registered."""


class Registry(Generic[W]):
    """A new version is registered beside the old one, which finishes the operations that were begun with it."""

    def __init__(self) -> None:
        self._functions: dict[tuple[str, int], Function[W]] = {}

    def add(self, name: str, function: Function[W], version: int = 1) -> None:
        if (name, version) in self._functions:
            raise ValueError(f"workflow {name} version {version} is registered twice")
        self._functions[name, version] = function

    def operation(self, name: str, version: int = 1) -> Callable[[Function[W]], Function[W]]:
        """The same as a decorator."""

        def register(function: Function[W]) -> Function[W]:
            self.add(name, function, version)
            return function

        return register

    def kinds(self) -> list[tuple[str, int]]:
        return list(self._functions)

    def latest(self, name: str) -> int:
        """The version that new operations of that name get. Raises `UnknownWorkflow`."""
        versions = [version for known, version in self._functions if known == name]
        if not versions:
            raise UnknownWorkflow(name)
        return max(versions)

    def get(self, name: str, version: int) -> Function[W]:
        try:
            return self._functions[name, version]
        except KeyError:
            raise UnknownWorkflow(f"{name} version {version}") from None
