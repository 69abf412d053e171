"""All APIs by name: filled by the decorator, read by REST, JSON messages, CLI and docs."""

from typing import TypeVar

from controlplane.contract.base import Api

A = TypeVar("A", bound=type[Api])
apis: dict[str, type[Api]] = {}


def api(cls: A) -> A:
    """Register a declaration; two with one name are a programming error."""
    if cls.__name__ in apis:
        raise ValueError(f"API {cls.__name__} is declared twice")
    apis[cls.__name__] = cls
    return cls
