"""What the agent remembers over restarts: small JSON documents by kind and id."""

from typing import Any, Protocol


class Records(Protocol):
    """`all` is read once at start; `put` is durable when it returns and never leaves half a document."""

    def all(self, kind: str) -> dict[str, dict[str, Any]]: ...

    def put(self, kind: str, key: str, document: dict[str, Any]) -> None: ...

    def delete(self, kind: str, key: str) -> None: ...
