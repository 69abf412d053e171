"""What the L2 network APIs do. Attaching gives every connected host of the cluster the bridge, or changes nothing."""

import asyncio
from typing import Any

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.contract.l2_network import (
    AttachL2NetworkToCluster,
    CreateL2NoVlanNetwork,
    CreateL2VlanNetwork,
    DeleteL2Network,
    DetachL2NetworkFromCluster,
    UpdateL2Network,
)
from controlplane.operations.interface import Operation
from controlplane.rules.bridge import bridge_name
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories
from controlplane.workflows.network_service import join_l2
from controlplane.workflows.world import World, tell, workflow

_HOSTS = 60.0  # seconds for all hosts of a cluster to answer


async def _create(op: Operation[World], message: CreateL2NoVlanNetwork | CreateL2VlanNetwork) -> dict[str, Any]:
    uuid = message.resource_uuid or op.derive("L2NetworkVO")
    values = message.model_dump(exclude={"resource_uuid", "system_tags", "user_tags"})

    def insert(tx: Tx) -> dict[str, Any]:
        rows.insert(tx, "L2NetworkVO", uuid=uuid, **values)
        join_l2(tx, uuid)
        return inventories.l2_network(tx, uuid)

    return await op.commit("insert", insert)


workflow(CreateL2NoVlanNetwork)(_create)
workflow(CreateL2VlanNetwork)(_create)


@workflow(UpdateL2Network, queue=lambda message: f"l2:{message.uuid}")
async def update(op: Operation[World], message: UpdateL2Network) -> dict[str, Any]:
    def change(tx: Tx) -> dict[str, Any]:
        rows.update(tx, "L2NetworkVO", message.uuid, **message.model_dump(exclude={"uuid"}, exclude_none=True))
        return inventories.l2_network(tx, message.uuid)

    return await op.commit("update", change)


@workflow(AttachL2NetworkToCluster, queue=lambda message: f"l2:{message.l2_network_uuid}")
async def attach(op: Operation[World], message: AttachL2NetworkToCluster) -> dict[str, Any]:
    l2_uuid, cluster_uuid = message.l2_network_uuid, message.cluster_uuid

    def insert(tx: Tx) -> list[str]:
        rows.lock(tx, "ClusterVO", cluster_uuid)
        l2 = inventories.must_get(tx, "L2NetworkVO", l2_uuid)
        refuse_conflicts(tx, l2, cluster_uuid)
        rows.insert(tx, "L2NetworkClusterRefVO", l2_network_uuid=l2_uuid, cluster_uuid=cluster_uuid)
        return _connected(tx, cluster_uuid)

    def remove(tx: Tx, _: object = None) -> None:
        rows.delete_where(tx, "L2NetworkClusterRefVO", l2_network_uuid=l2_uuid, cluster_uuid=cluster_uuid)

    async def make_bridges() -> None:
        await asyncio.gather(*(op.world.network.ensure(host) for host in hosts))

    async def remove_bridges() -> None:
        await op.world.db.write(remove)
        await asyncio.gather(*(op.world.network.settle(host) for host in hosts))

    await op.step("probe", lambda: _probe(op.world, l2_uuid, cluster_uuid), timeout=_HOSTS)
    hosts = await op.tx_step("attach", insert, remove)
    await op.step("bridges", make_bridges, remove_bridges, timeout=_HOSTS)
    return await op.world.db.read(lambda tx: inventories.l2_network(tx, l2_uuid))


def _who(tx: Tx, l2_uuid: str, cluster_uuid: str) -> tuple[rows.Row, list[rows.Row]]:
    hosts = rows.find(tx, "HostVO", cluster_uuid=cluster_uuid, status="Connected", order_by=("name",))
    return inventories.must_get(tx, "L2NetworkVO", l2_uuid), hosts


async def _probe(world: World, l2_uuid: str, cluster_uuid: str) -> None:
    """Each host is asked for what it has before anything changes; the error names every host that cannot."""
    l2, hosts = await world.db.read(lambda tx: _who(tx, l2_uuid, cluster_uuid))
    interface, problems = l2["physical_interface"], []
    facts = await asyncio.gather(*(world.hosts.get(host["uuid"]).facts() for host in hosts))
    for host, fact in zip(hosts, facts, strict=True):
        names = sorted(one.name for one in fact.interfaces)
        if interface not in names:
            problems.append(f"host {host['name']} has no interface {interface}; it has {', '.join(names) or 'none'}")
        elif l2["vlan"] is not None and not fact.vlan_supported:
            problems.append(f"the kernel of host {host['name']} does not support VLANs (module 8021q)")
    if problems:
        raise ApiError("L2.1000", "; ".join(problems))


def refuse_conflicts(tx: Tx, l2: rows.Row, cluster_uuid: str) -> None:
    refs = rows.find(tx, "L2NetworkClusterRefVO", cluster_uuid=cluster_uuid)
    uuids = [ref["l2_network_uuid"] for ref in refs]
    if l2["uuid"] in uuids:
        raise refused(f"L2 network {l2['uuid']} is attached to cluster {cluster_uuid} already")
    mine = bridge_name(l2["physical_interface"], l2["vlan"])
    for other in rows.find(tx, "L2NetworkVO", uuid=uuids) if uuids else []:
        if bridge_name(other["physical_interface"], other["vlan"]) == mine:
            raise invalid(
                f"cluster {cluster_uuid} has L2 network {other['name']} ({other['uuid']}) on interface "
                f"{other['physical_interface']}"
                + (f", VLAN {other['vlan']}" if other["vlan"] is not None else "")
                + f" already; both would need the bridge {mine}"
            )


@workflow(DetachL2NetworkFromCluster, queue=lambda message: f"l2:{message.l2_network_uuid}")
async def detach(op: Operation[World], message: DetachL2NetworkFromCluster) -> dict[str, Any]:
    def remove(tx: Tx) -> list[str]:
        rows.lock(tx, "ClusterVO", message.cluster_uuid)
        refuse_used(tx, message.l2_network_uuid, message.cluster_uuid)
        gone = rows.delete_where(
            tx, "L2NetworkClusterRefVO", l2_network_uuid=message.l2_network_uuid, cluster_uuid=message.cluster_uuid
        )
        if not gone:
            raise refused(f"L2 network {message.l2_network_uuid} is not attached to cluster {message.cluster_uuid}")
        return _connected(tx, message.cluster_uuid)

    await tell(op, await op.commit("detach", remove))
    return await op.world.db.read(lambda tx: inventories.l2_network(tx, message.l2_network_uuid))


def refuse_used(tx: Tx, l2_uuid: str, cluster_uuid: str) -> None:
    """A running VM keeps its bridge."""
    l3s = [l3["uuid"] for l3 in rows.find(tx, "L3NetworkVO", l2_network_uuid=l2_uuid)]
    nics = rows.find(tx, "VmNicVO", l3_network_uuid=l3s) if l3s else []
    vms = rows.find(tx, "VmInstanceVO", uuid={nic["vm_instance_uuid"] for nic in nics}) if nics else []
    if running := [vm for vm in vms if vm["host_uuid"] and vm["cluster_uuid"] == cluster_uuid]:
        raise refused(
            f"{len(running)} VMs of cluster {cluster_uuid} run on L2 network {l2_uuid}: "
            f"{inventories.listed(running)}; stop them first"
        )


@workflow(DeleteL2Network, queue=lambda message: f"l2:{message.uuid}")
async def delete(op: Operation[World], message: DeleteL2Network) -> dict[str, Any]:
    def remove(tx: Tx) -> list[str]:
        if rows.lock(tx, "L2NetworkVO", message.uuid) is None:
            return []
        if l3s := rows.find(tx, "L3NetworkVO", l2_network_uuid=message.uuid):
            raise refused(f"L2 network {message.uuid} has L3 networks: {inventories.listed(l3s)}; delete them first")
        clusters = [ref["cluster_uuid"] for ref in rows.find(tx, "L2NetworkClusterRefVO", l2_network_uuid=message.uuid)]
        _remove(tx, message.uuid)
        return [host for cluster in clusters for host in _connected(tx, cluster)]

    await tell(op, await op.commit("delete", remove))
    return {}


def _remove(tx: Tx, uuid: str) -> None:
    for table in ("L2NetworkClusterRefVO", "NetworkServiceProviderL2NetworkRefVO"):
        rows.delete_where(tx, table, l2_network_uuid=uuid)
    for table in ("SystemTagVO", "UserTagVO"):
        rows.delete_where(tx, table, resource_uuid=uuid)
    rows.delete(tx, "L2NetworkVO", uuid)


def _connected(tx: Tx, cluster_uuid: str) -> list[str]:
    return [host["uuid"] for host in rows.find(tx, "HostVO", cluster_uuid=cluster_uuid, status="Connected")]
