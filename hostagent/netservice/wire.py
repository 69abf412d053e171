"""What agent and service process say to each other: one JSON document each way per connection of a Unix socket.

The caller writes a command, shuts down its side, and reads the answer until the end.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from hostagent.contract import Model, NetworkStatus, Problem, SnapshotSpec

SOCKET = "socket"  # file in the state directory


class Command(Model):
    do: Literal["withdraw", "apply", "status", "stop"]
    snapshot: SnapshotSpec | None = None


class Answer(Model):
    """`status` is what stands, also beside a `problem`. `version` lets a newer agent replace an older service."""

    version: str
    status: NetworkStatus
    problem: Problem | None = None


def own_version() -> str:
    try:
        return version("steppe")
    except PackageNotFoundError:
        return "0"
