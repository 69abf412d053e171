"""Putting a VM on a host and taking it off, in the database.

A VM is placed while `host_uuid` is set: then its CPUs and memory are taken from that host, and its NICs are in that
host's network snapshot. Its disks keep their room on the host that holds them, placed or not.
"""

from dataclasses import replace

from controlplane.contract.error import ApiError
from controlplane.rules.placement import Candidate, Need, by_preference, explain
from controlplane.store import allocation, rows
from controlplane.store.allocation import Scope
from controlplane.store.database import Tx
from controlplane.workflows import global_config


def choose(tx: Tx, need: Need, scope: Scope) -> Candidate:
    """Take CPU, memory and disk of the best host. Raises HOST_ALLOCATION.1000 that names each host and its reason."""
    need = replace(need, reserved_memory=global_config.size(tx, "kvm", "reservedMemory"))
    found = allocation.hosts_with_storage(tx, scope)
    reachable = _reachable(tx, {host.cluster_uuid for host in found})
    fit, refused = by_preference(found, need, reachable)
    for host in fit:
        if not allocation.take_host(tx, host.host_uuid, need.cpu, need.memory, need.reserved_memory):
            refused[host.name] = "another VM took its last CPUs or memory"
        elif host.storage_uuid and not allocation.take_disk(tx, host.storage_uuid, host.host_uuid, need.disk):
            allocation.return_host(tx, host.host_uuid, need.cpu, need.memory)
            refused[host.name] = "another volume took its last disk space"
        else:
            return host
    raise ApiError("HOST_ALLOCATION.1000", explain(refused))


def why_not(tx: Tx, need: Need, scope: Scope) -> dict[str, str]:
    """By host name why it could not run the VM; empty when one of the scope could."""
    found = allocation.hosts_with_storage(tx, scope)
    fit, refused = by_preference(found, need, _reachable(tx, {host.cluster_uuid for host in found}))
    return {} if fit else refused


def place_again(tx: Tx, vm: rows.Row, l2_networks: frozenset[str]) -> None:
    """For a start: the VM goes where its root volume lies; no more disk is taken. The VM's row is updated."""
    root = rows.get(tx, "LocalStorageResourceRefVO", vm["root_volume_uuid"])
    if root is None:
        raise ApiError("HOST_ALLOCATION.1000", f"no host holds the root volume {vm['root_volume_uuid']}")
    need = Need(vm["cpu_num"], vm["memory_size"], 0, l2_networks, root["primary_storage_uuid"])
    host = choose(tx, need, Scope(host_uuid=root["host_uuid"]))
    rows.update(tx, "VmInstanceVO", vm["uuid"], host_uuid=host.host_uuid, cluster_uuid=host.cluster_uuid)


def occupy(tx: Tx, vm_uuid: str, host_uuid: str) -> None:
    """Undo of `vacate`: the VM is on that host, whether there is room or not."""
    vm = rows.get(tx, "VmInstanceVO", vm_uuid)
    if vm and vm["host_uuid"] is None:
        allocation.take_host(tx, host_uuid, vm["cpu_num"], vm["memory_size"], None)
        rows.update(tx, "VmInstanceVO", vm_uuid, host_uuid=host_uuid)


def vacate(tx: Tx, vm_uuid: str) -> str | None:
    """The VM is on no host any more; returns the one it was on. May run twice."""
    vm = rows.get(tx, "VmInstanceVO", vm_uuid)
    if vm is None or vm["host_uuid"] is None:
        return None
    allocation.return_host(tx, vm["host_uuid"], vm["cpu_num"], vm["memory_size"])
    rows.update(tx, "VmInstanceVO", vm_uuid, host_uuid=None, stands_still=False)
    return str(vm["host_uuid"])


def release_disk(tx: Tx, volume_uuid: str) -> None:
    """The volume's room is free again. May run twice."""
    ref = rows.get(tx, "LocalStorageResourceRefVO", volume_uuid)
    if ref:
        allocation.take_disk(tx, ref["primary_storage_uuid"], ref["host_uuid"], -ref["size"])
        rows.delete(tx, "LocalStorageResourceRefVO", volume_uuid)


def _reachable(tx: Tx, clusters: set[str]) -> dict[str, frozenset[str]]:
    reachable: dict[str, set[str]] = {}
    for ref in rows.find(tx, "L2NetworkClusterRefVO", cluster_uuid=clusters) if clusters else []:
        reachable.setdefault(ref["cluster_uuid"], set()).add(ref["l2_network_uuid"])
    return {cluster: frozenset(networks) for cluster, networks in reachable.items()}
