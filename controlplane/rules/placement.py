"""Where a VM may run: each host is either fit, or refused for a reason that is told (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Need:
    """What the VM takes: virtual CPUs, bytes of memory, bytes of disk; the L2 networks it must reach."""

    cpu: int
    memory: int
    disk: int
    l2_networks: frozenset[str]
    storage_uuid: str | None = None  # this primary storage and no other
    reserved_memory: int = 0  # bytes of each host kept for the host itself


class Candidate(NamedTuple):  # there is one for each host, for each VM that is placed
    """A host with one primary storage of its cluster; `storage_uuid` None: its cluster has none for it."""

    host_uuid: str
    name: str
    cluster_uuid: str
    state: str
    status: str
    cluster_state: str
    total_memory: int
    available_cpu: int
    available_memory: int
    storage_uuid: str | None
    storage_url: str
    storage_usable: bool
    available_disk: int
    zone_state: str = "Enabled"


def refusal(host: Candidate, need: Need, reachable: frozenset[str]) -> str | None:
    """Why not, or None. `reachable`: the L2 networks attached to the host's cluster."""
    if host.status != "Connected":
        return f"it is {host.status}"
    if host.state != "Enabled":
        return f"it is {host.state}"
    if host.cluster_state != "Enabled":
        return f"its cluster is {host.cluster_state}"
    if host.zone_state != "Enabled":
        return f"its zone is {host.zone_state}"
    if missing := need.l2_networks - reachable:
        return f"its cluster lacks L2 network {', '.join(sorted(missing))}"
    if host.storage_uuid is None:
        return "it has no primary storage"
    if need.storage_uuid and host.storage_uuid != need.storage_uuid:
        return f"it is not part of primary storage {need.storage_uuid}"
    if not host.storage_usable:
        return "its primary storage is disabled or not connected"
    if host.available_cpu < need.cpu:
        return f"{need.cpu} CPUs are needed, {max(host.available_cpu, 0)} are free"
    if host.available_memory - need.reserved_memory < need.memory:
        free = max(host.available_memory - need.reserved_memory, 0) // _MIB
        return f"{need.memory // _MIB} MiB of memory are needed, {free} are free"
    if host.available_disk < need.disk:
        return f"{need.disk // _MIB} MiB of disk are needed, {max(host.available_disk, 0) // _MIB} are free"
    return None


def by_preference(
    hosts: Sequence[Candidate], need: Need, reachable: dict[str, frozenset[str]]
) -> tuple[list[Candidate], dict[str, str]]:
    """Fit hosts, the least used first, and for each other one (by name) why it was refused."""
    fit: list[Candidate] = []
    refused: dict[str, str] = {}
    for host in hosts:
        reason = refusal(host, need, reachable.get(host.cluster_uuid, frozenset()))
        if reason is None:
            fit.append(host)
        else:
            refused[host.name] = reason
    fit.sort(key=_use)
    return fit, {name: reason for name, reason in refused.items() if name not in {host.name for host in fit}}


def explain(refused: dict[str, str]) -> str:
    if not refused:
        return "there is no host in the zone, cluster or storage that was asked for"
    return "; ".join(f"host {name}: {reason}" for name, reason in sorted(refused.items()))


def _use(host: Candidate) -> tuple[float, int, str]:
    return -host.available_memory / max(host.total_memory, 1), -host.available_disk, host.host_uuid
