"""What the agent needs to give files to another host's agent and to take them from one.

Errors are `HostError`: `unreachable` (temporary: the source does not answer, or knows no such export any more),
`no_space`, `checksum_mismatch`, `in_use` (the file changes while it is copied), `internal`.
"""

from dataclasses import dataclass, field
from typing import Protocol

TUNNELS = ("libvirt", "memory", "disks")  # the sockets of a running VM's move


@dataclass(frozen=True, slots=True)
class Admitted:
    """The one VM whose move may be spoken of at the socket of libvirt. `ports`: (bridge, tap)."""

    vm_uuid: str
    files: frozenset[str]
    ports: frozenset[tuple[str | None, str | None]]
    console_listen: str
    sockets: frozenset[str]


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may read which files, or talk to which UNIX sockets, and how long. By name on the wire: absolute paths."""

    uuid: str
    peer_agent_uuid: str
    paths: dict[str, str]
    secret: str = field(repr=False)
    seconds: float
    sockets: dict[str, str] = field(default_factory=dict)
    admitted: Admitted | None = None
    directory: str = ""  # is made for sockets that somebody else will listen at, and goes with the grant


@dataclass(frozen=True, slots=True)
class Source:
    """Where an export is served."""

    ip: str
    port: int
    agent_uuid: str
    export_uuid: str
    secret: str = field(repr=False)


@dataclass(slots=True)
class Gauge:
    """How far a copy is, in allocated bytes; written by the copier, read by anybody. `limit`: bytes a second, 0 for none."""

    done: int = 0
    total: int = 0
    limit: int = 0


class Peers(Protocol):
    async def serve(self, grant: Grant) -> int:
        """The port on which the files can be had from now on. A known grant is replaced."""
        ...

    async def revoke(self, uuid: str) -> None:
        """Absent is success; connections that use it are cut."""
        ...

    async def pull(self, source: Source, name: str, part: str, gauge: Gauge) -> None:
        """Make the file `part` equal to the exported file `name`, holes included, keeping what is right of an earlier
        try, and verify every byte of what was stored. Cancelling stops it; `part` stays unless it is useless."""
        ...

    async def open_tunnel(self, source: Source, directory: str) -> None:
        """In `directory` there are sockets that lead to the peer's of the same names (TUNNELS). Open already is success."""
        ...

    async def close_tunnel(self, directory: str) -> str:
        """Absent is success. Returns why it broke, if it did."""
        ...

    async def close(self) -> None: ...
