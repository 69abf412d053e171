"""NICs that come to a VM and go from it, live when the guest runs.

A NIC's row is there before the guest has it, so that its host's network (guard, DHCP, metadata) knows it first; it goes
after the guest has let go of it.
"""

from typing import Any

from controlplane.contract.error import ApiError, refused
from controlplane.contract.nic import AttachL3NetworkToVm, DetachL3NetworkFromVm
from controlplane.operations.interface import Operation
from controlplane.rules.bridge import tap_name
from controlplane.rules.vm_state import must_allow
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories, tag
from controlplane.workflows.ip_range import NIC, return_ip, take_ip
from controlplane.workflows.network_service import drop_unused_service_ip, ensure_service_ip
from controlplane.workflows.vm import on_host
from controlplane.workflows.vm_allocation import insert_nic
from controlplane.workflows.vm_spec import count_up, match_devices
from controlplane.workflows.world import World, tell, workflow

MOST = 24  # of one VM
_HOST = 300.0  # seconds for the host to plug or unplug a NIC
Json = dict[str, Any]


def _queue(tx: Tx, message: DetachL3NetworkFromVm) -> str:
    nic = rows.get(tx, "VmNicVO", message.vm_nic_uuid)
    return f"vm:{nic['vm_instance_uuid']}" if nic else f"nic:{message.vm_nic_uuid}"


@workflow(AttachL3NetworkToVm, queue=lambda message: f"vm:{message.vm_instance_uuid}")
async def attach(op: Operation[World], message: AttachL3NetworkToVm) -> Json:
    uuid, vm_uuid, l3_uuid = op.derive("VmNicVO"), message.vm_instance_uuid, message.l3_network_uuid
    used_ip, service_ip = op.derive("ip"), op.derive("service ip")

    def begin(tx: Tx) -> Json:
        l3 = rows.lock(tx, "L3NetworkVO", l3_uuid)
        vm = check_attach(tx, vm_uuid, l3_uuid)
        assert l3  # checked
        used = take_ip(tx, l3, used_ip, NIC, message.static_ip, "staticIp")
        nics = rows.find(tx, "VmNicVO", vm_instance_uuid=vm_uuid)
        number = max((nic["device_id"] for nic in nics), default=-1) + 1
        insert_nic(tx, uuid, vm_uuid, used, tap_name(vm["internal_id"], number), number, op.derive)
        ensure_service_ip(tx, l3, service_ip)
        rows.update(tx, "VmInstanceVO", vm_uuid, default_l3_network_uuid=vm["default_l3_network_uuid"] or l3_uuid)
        if message.static_ip:
            tag.store(tx, vm_uuid, "VmInstanceVO", [_static(l3_uuid, message.static_ip)], (), op.derive)
        return {"host_uuid": count_up(tx, vm), "default": vm["default_l3_network_uuid"]}

    def abandon(tx: Tx, begun: Json) -> None:
        return_ip(tx, used_ip)
        rows.delete(tx, "VmNicVO", uuid)
        drop_unused_service_ip(tx, service_ip)
        rows.update(tx, "VmInstanceVO", vm_uuid, default_l3_network_uuid=begun["default"])
        if message.static_ip:
            rows.delete_where(tx, "SystemTagVO", resource_uuid=vm_uuid, tag=_static(l3_uuid, message.static_ip))

    begun = await op.tx_step("begin", begin, abandon)
    if host := begun["host_uuid"]:

        async def connect() -> None:
            await op.world.network.ensure(host)

        async def disconnect() -> None:
            await op.world.db.write(lambda tx: rows.delete(tx, "VmNicVO", uuid))
            await op.world.network.ensure(host)

        async def plug() -> None:
            await match_devices(op.world, vm_uuid)

        async def unplug() -> None:
            await match_devices(op.world, vm_uuid, without=uuid)

        await op.step("network", on_host(op, host, connect), disconnect, timeout=_HOST)
        await op.step("plug", on_host(op, host, plug), unplug, timeout=_HOST)
    return await op.commit("finish", lambda tx: inventories.vm(tx, vm_uuid))


@workflow(DetachL3NetworkFromVm, queue_in=_queue)
async def detach(op: Operation[World], message: DetachL3NetworkFromVm) -> Json:
    uuid = message.vm_nic_uuid

    def begin(tx: Tx) -> Json:
        nic = inventories.must_get(tx, "VmNicVO", uuid)
        vm = inventories.must_get(tx, "VmInstanceVO", nic["vm_instance_uuid"])
        must_allow("DetachL3NetworkFromVm", vm["uuid"], vm["state"])
        return {"vm_uuid": vm["uuid"], "host_uuid": count_up(tx, vm)}

    def finish(tx: Tx) -> Json:
        nic = inventories.must_get(tx, "VmNicVO", uuid)
        if nic["used_ip_uuid"]:
            return_ip(tx, nic["used_ip_uuid"])
        rows.delete(tx, "VmNicVO", uuid)
        if nic["ip"]:
            rows.delete_where(tx, "SystemTagVO", resource_uuid=vm_uuid, tag=_static(nic["l3_network_uuid"], nic["ip"]))
        left = rows.find(tx, "VmNicVO", vm_instance_uuid=vm_uuid, order_by=("device_id",))
        vm = inventories.must_get(tx, "VmInstanceVO", vm_uuid)
        if vm["default_l3_network_uuid"] == nic["l3_network_uuid"]:
            default = left[0]["l3_network_uuid"] if left else None
            rows.update(tx, "VmInstanceVO", vm_uuid, default_l3_network_uuid=default)
        return inventories.vm(tx, vm_uuid)

    begun = await op.tx_step("begin", begin, lambda _tx, _: None)
    vm_uuid, host = begun["vm_uuid"], begun["host_uuid"]

    async def unplug() -> None:
        await match_devices(op.world, vm_uuid, without=uuid)

    async def plug() -> None:
        await match_devices(op.world, vm_uuid)

    if host:
        await op.step("unplug", on_host(op, host, unplug), plug, timeout=_HOST)
    result = await op.commit("finish", finish)
    await tell(op, [host] if host else [])
    return result


# -- rules -----------------------------------------------------------------------------------------------------------


def check_attach(tx: Tx, vm_uuid: str, l3_uuid: str, settled: bool = True) -> rows.Row:
    """The VM. Refuses with the rule that is broken; the VM's state counts when the operation's turn has come."""
    vm, l3 = inventories.must_get(tx, "VmInstanceVO", vm_uuid), inventories.must_get(tx, "L3NetworkVO", l3_uuid)
    what = f"L3 network {l3['name']} ({l3_uuid})"
    if settled:
        must_allow("AttachL3NetworkToVm", vm_uuid, vm["state"])
    if l3["state"] != "Enabled":
        raise refused(f"{what} is {l3['state']}, it must be Enabled")
    if l3["system"] and vm["type"] == "UserVm":
        raise refused(f"{what} is a system network; a user VM cannot be on it")
    nics = rows.find(tx, "VmNicVO", vm_instance_uuid=vm_uuid)
    if any(nic["l3_network_uuid"] == l3_uuid for nic in nics):
        raise refused(f"VM {vm['name']} ({vm_uuid}) has a NIC on {what} already")
    if len(nics) >= MOST:
        raise refused(f"VM {vm['name']} ({vm_uuid}) has {len(nics)} NICs; {MOST} is the most")
    reached = rows.exists(
        tx, "L2NetworkClusterRefVO", cluster_uuid=vm["cluster_uuid"] or "", l2_network_uuid=l3["l2_network_uuid"]
    )
    if not reached:
        raise refused(
            f"{what} does not reach the VM's cluster {vm['cluster_uuid']}; attach its L2 network {l3['l2_network_uuid']} to "
            "that cluster first"
        )
    return vm


def attachable(tx: Tx, vm_uuid: str) -> list[rows.Row]:
    found = []
    for l3 in rows.find(tx, "L3NetworkVO", order_by=("create_date", "uuid")):
        try:
            check_attach(tx, vm_uuid, l3["uuid"])
        except ApiError:
            continue
        found.append(l3)
    return found


def _static(l3_uuid: str, ip: str) -> str:
    return f"staticIp::{l3_uuid}::{ip}"
