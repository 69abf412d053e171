"""Errors and warnings for the user, each with the path of the attribute it is about where one is known."""

from dataclasses import dataclass, field
from typing import Any, Literal

Path = tuple[str | int, ...]  # ("ip_ranges", 0, "gateway"); an int is a position in a list


def spelled(path: Path) -> str:
    """As a user would write it: `ip_ranges[0].gateway`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


@dataclass(frozen=True)
class Diagnostic:
    severity: Literal["error", "warning"]
    summary: str
    detail: str = ""
    path: Path = ()


@dataclass
class Diagnostics:
    """What a call has to say besides its result."""

    items: list[Diagnostic] = field(default_factory=list)

    def error(self, summary: str, detail: str = "", path: Path = ()) -> None:
        self.items.append(Diagnostic("error", summary, detail, path))

    def warning(self, summary: str, detail: str = "", path: Path = ()) -> None:
        self.items.append(Diagnostic("warning", summary, detail, path))

    @property
    def failed(self) -> bool:
        return any(item.severity == "error" for item in self.items)


class Refused(Exception):
    """Ends a call with an error for the user."""

    def __init__(self, summary: str, detail: str = "", path: Path = ()) -> None:
        super().__init__(f"{summary}: {detail}" if detail else summary)
        self.diagnostic = Diagnostic("error", summary, detail, path)


class Partial(Exception):
    """A change ended half way because of `cause`; `state` is what exists now and must not be forgotten."""

    def __init__(self, cause: Exception, state: dict[str, Any]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.state = state
