"""Making, starting, stopping and rebooting a VM.

Each is: decide in one transaction, do on the host, record in one transaction. A VM is placed (see `vm_placement`) before
its host hears of it and until the host has let go of it; after a failure it is as it was before.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from controlplane.contract.error import ApiError, Temporary
from controlplane.contract.vm import (
    CreateVmInstance,
    RebootVmInstance,
    RerunCloudInit,
    StartVmInstance,
    StopVmInstance,
    UpdateVmInstance,
)
from controlplane.operations.interface import Operation
from controlplane.rules import system_tag
from controlplane.rules.vm_state import REBOOTING, RUNNING, STARTING, STOPPED, STOPPING, must_allow
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import instance_offering, inventories
from controlplane.workflows.ip_range import NIC, return_ip, take_ip
from controlplane.workflows.network_service import ensure_service_ip
from controlplane.workflows.tag import warnings
from controlplane.workflows.vm_allocation import allocate, forget
from controlplane.workflows.vm_placement import place_again, vacate
from controlplane.workflows.vm_spec import (
    GRACE,
    copy_image,
    delete_volume,
    ensure_isos,
    make_volume,
    power_off,
    power_on,
    unless_lost,
    vm_spec,
)
from controlplane.workflows.world import World, tell, workflow

_COPY = 4 * 3600.0  # seconds for a large image to reach its host
_HOST = 300.0  # seconds for the host to start or stop a guest
Json = dict[str, Any]
T = TypeVar("T")


def queue(message: Any) -> str:
    return f"vm:{message.uuid}"


@contextmanager
def failing(code: str, what: str) -> Iterator[None]:
    """A failure carries the outer code of the API; its cause is what the step said."""
    try:
        yield
    except ApiError as error:
        raise ApiError(code, f"{what}: {error.error.details}", error.error) from error


def on_host(op: Operation[World], host_uuid: str, do: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    """The same call, given up at once when the host is known to be lost."""

    async def call() -> T:
        try:
            return await do()
        except Temporary as error:
            raise await unless_lost(op.world, host_uuid, error) from error

    return call


@workflow(CreateVmInstance, queue=lambda message: message.resource_uuid and f"vm:{message.resource_uuid}")
async def create(op: Operation[World], message: CreateVmInstance) -> Json:
    uuid = message.resource_uuid or op.derive("VmInstanceVO")
    with failing("SYS.1006", f"cannot create VM {message.name}"):
        made = await op.tx_step(
            "allocate", lambda tx: allocate(tx, message, uuid, op.derive), lambda tx, _: forget(tx, uuid, op.derive)
        )
        host = made["host_uuid"]

        async def make_disks() -> list[int]:
            image = None if made["is_iso"] else made["image"]
            if made["is_iso"]:
                await copy_image(op.world, host, made["volumes"][0]["storage_uuid"], made["image"])
            return [
                await make_volume(op.world, host, volume, image if index == 0 else None)
                for index, volume in enumerate(made["volumes"])
            ]

        async def delete_disks() -> None:
            for volume in made["volumes"]:
                await delete_volume(op.world, host, volume)

        taken = await op.step("disks", on_host(op, host, make_disks), delete_disks, timeout=_COPY)
        if message.strategy == "InstantStart":
            chosen = await _run(op, uuid, host, made["spec"])
        else:
            chosen = {}
        state = RUNNING if message.strategy == "InstantStart" else STOPPED

        def finish(tx: Tx) -> Json:
            for volume, size in zip(made["volumes"], taken, strict=True):
                rows.update(tx, "VolumeVO", volume["uuid"], status="Ready", actual_size=size)
            rows.update(tx, "VmInstanceVO", uuid, state=state, **_last_host(host, state), **chosen)
            return inventories.vm(tx, uuid) | warnings(tx, uuid)

        return await op.commit("finish", finish)


async def _run(op: Operation[World], uuid: str, host: str, spec: Json) -> Json:
    """The host's network knows the VM's NICs, then the guest starts. Returns what the host chose."""

    async def connect() -> None:
        await op.world.network.ensure(host)

    async def disconnect() -> None:
        await op.world.db.write(lambda tx: vacate(tx, uuid))
        await op.world.network.ensure(host)

    async def start() -> Json:
        return await power_on(op.world, host, uuid, spec)

    async def remove() -> None:
        await op.world.hosts.get(host).delete_vm(uuid)

    await op.step("network", on_host(op, host, connect), disconnect, timeout=_HOST)
    return await op.step("start", on_host(op, host, start), remove, timeout=_HOST)


def _last_host(host: str, state: str) -> Json:
    return {"last_host_uuid": host} if state == RUNNING else {}


def _set_state(tx: Tx, uuid: str, state: str, **values: Any) -> None:
    rows.update(tx, "VmInstanceVO", uuid, state=state, **values)


@workflow(StartVmInstance, queue=queue)
async def start(op: Operation[World], message: StartVmInstance) -> Json:
    uuid = message.uuid

    def begin(tx: Tx) -> Json:
        vm = inventories.must_get(tx, "VmInstanceVO", uuid)
        must_allow("StartVmInstance", uuid, vm["state"])
        l3s = _networks(tx, uuid)
        place_again(tx, vm, frozenset(l3["l2_network_uuid"] for l3 in l3s.values()))
        _fill_addresses(tx, uuid, l3s, op.derive)
        token = op.uuid if vm["last_host_uuid"] else ""
        _set_state(tx, uuid, STARTING, generation=vm["generation"] + 1, boot_token=token)
        placed = inventories.must_get(tx, "VmInstanceVO", uuid)
        return {"host_uuid": placed["host_uuid"], "spec": vm_spec(tx, uuid), "boot_token": vm["boot_token"]}

    def abandon(tx: Tx, begun: Json) -> None:
        vacate(tx, uuid)
        _empty_addresses(tx, uuid, op.derive)
        _set_state(tx, uuid, STOPPED, boot_token=begun["boot_token"])

    def finish(tx: Tx) -> Json:
        _set_state(tx, uuid, RUNNING, last_host_uuid=begun["host_uuid"], boot_order_once=None, **chosen)
        return inventories.vm(tx, uuid)

    with failing("VM.1001", f"cannot start VM {uuid}"):
        begun = await op.tx_step("begin", begin, abandon)
        host = begun["host_uuid"]

        async def copy_iso() -> None:
            await ensure_isos(op.world, host, uuid)

        await op.step("iso", on_host(op, host, copy_iso), timeout=_COPY)
        chosen = await _run(op, uuid, host, begun["spec"])
        return await op.commit("finish", finish)


def _networks(tx: Tx, uuid: str) -> dict[str, rows.Row]:
    """The VM's L3 networks, locked."""
    nics = rows.find(tx, "VmNicVO", vm_instance_uuid=uuid)
    if not nics:
        raise ApiError("SYS.1006", f"VM {uuid} has no NIC; attach an L3 network first")
    found = {l3: rows.lock(tx, "L3NetworkVO", l3) for l3 in sorted({nic["l3_network_uuid"] for nic in nics})}
    return {l3: row for l3, row in found.items() if row}


def _fill_addresses(tx: Tx, uuid: str, l3s: dict[str, rows.Row], derive: Callable[[str], str]) -> None:
    """Every NIC has an address, every network its service address."""
    tags = [row["tag"] for row in rows.find(tx, "SystemTagVO", resource_uuid=uuid)]
    static = dict(system_tag.static_ip(text) for text in tags if system_tag.prefix(text) == "staticIp")
    for nic in rows.find(tx, "VmNicVO", vm_instance_uuid=uuid, ip=None, order_by=("device_id",)):
        l3 = l3s[nic["l3_network_uuid"]]
        used = take_ip(tx, l3, derive(f"ip {nic['uuid']}"), NIC, static.get(l3["uuid"]))
        address = {key: used[key] for key in ("ip", "netmask", "gateway")}
        rows.update(tx, "VmNicVO", nic["uuid"], used_ip_uuid=used["uuid"], **address)
    for l3 in l3s.values():
        ensure_service_ip(tx, l3, derive(f"service ip {l3['uuid']}"))


def _empty_addresses(tx: Tx, uuid: str, derive: Callable[[str], str]) -> None:
    """Undo of `_fill_addresses`: those that this operation took."""
    for nic in rows.find(tx, "VmNicVO", vm_instance_uuid=uuid):
        if nic["used_ip_uuid"] == derive(f"ip {nic['uuid']}"):
            return_ip(tx, nic["used_ip_uuid"])
            rows.update(tx, "VmNicVO", nic["uuid"], used_ip_uuid=None, ip=None, netmask=None, gateway=None)


@workflow(StopVmInstance, queue=queue)
async def stop(op: Operation[World], message: StopVmInstance) -> Json:
    uuid = message.uuid

    def begin(tx: Tx) -> Json | None:
        vm = inventories.must_get(tx, "VmInstanceVO", uuid)
        must_allow("StopVmInstance", uuid, vm["state"])
        if vm["state"] == STOPPED:
            return None
        _set_state(tx, uuid, STOPPING, generation=vm["generation"] + 1)
        return {"state": vm["state"], "host_uuid": vm["host_uuid"], "spec": vm_spec(tx, uuid)}

    def abandon(tx: Tx, begun: Json | None) -> None:
        if begun:
            rows.update_where(tx, "VmInstanceVO", {"uuid": uuid, "state": STOPPING}, state=begun["state"])

    with failing("VM.1002", f"cannot stop VM {uuid}"):
        begun = await op.tx_step("begin", begin, abandon)
        if begun is None or begun["host_uuid"] is None:
            return await op.commit("already", lambda tx: stopped(tx, uuid))
        await halt(op, uuid, begun["host_uuid"], begun["spec"], GRACE if message.type == "grace" else 0)

        result = await op.commit("finish", lambda tx: stopped(tx, uuid))
    await tell(op, [begun["host_uuid"]])
    return result


async def halt(op: Operation[World], uuid: str, host: str, spec: Json, grace: int) -> None:
    """The guest is off and unknown to its host. Undo: it runs again, in a network that knows it."""

    async def off() -> None:
        await power_off(op.world, host, uuid, spec, grace)

    async def on() -> None:
        vm = await op.world.db.read(lambda tx: rows.get(tx, "VmInstanceVO", uuid))
        if vm and vm["host_uuid"] == host:
            await op.world.network.ensure(host)
            await power_on(op.world, host, uuid, spec)

    await op.step("halt", on_host(op, host, off), on, timeout=_HOST)


def stopped(tx: Tx, uuid: str) -> Json:
    """Records that a VM does not run, whatever stopped it."""
    vacate(tx, uuid)
    instance_offering.take_stopped(tx, uuid)
    rows.delete_where(tx, "ConsoleAccessVO", vm_instance_uuid=uuid)
    _set_state(tx, uuid, STOPPED)
    return inventories.vm(tx, uuid)


@workflow(RebootVmInstance, queue=queue)
async def reboot(op: Operation[World], message: RebootVmInstance) -> Json:
    uuid = message.uuid

    def begin(tx: Tx) -> Json:
        vm = inventories.must_get(tx, "VmInstanceVO", uuid)
        must_allow("RebootVmInstance", uuid, vm["state"])
        _set_state(tx, uuid, REBOOTING, generation=vm["generation"] + 1)
        before = vm_spec(tx, uuid)
        had = instance_offering.take_placed(tx, vm)
        _set_state(tx, uuid, REBOOTING, boot_token=op.uuid)
        return {"host_uuid": vm["host_uuid"], "before": before, "after": vm_spec(tx, uuid), "had": had}

    def abandon(tx: Tx, begun: Json) -> None:
        instance_offering.give_back(tx, uuid, begun["had"])
        _set_state(tx, uuid, RUNNING, boot_token=begun["before"]["boot_token"])

    def finish(tx: Tx) -> Json:
        _set_state(tx, uuid, RUNNING, boot_order_once=None, **chosen)
        return inventories.vm(tx, uuid)

    with failing("VM.1003", f"cannot reboot VM {uuid}"):
        begun = await op.tx_step("begin", begin, abandon)
        host = begun["host_uuid"]

        async def restart() -> Json:
            return await power_on(op.world, host, uuid, begun["after"] | {"stop_timeout": GRACE})

        async def as_before() -> None:
            await power_on(op.world, host, uuid, begun["before"] | {"stop_timeout": GRACE})

        chosen = await op.step("restart", on_host(op, host, restart), as_before, timeout=_HOST)
        return await op.commit("finish", finish)


@workflow(UpdateVmInstance, queue=queue)
async def update(op: Operation[World], message: UpdateVmInstance) -> Json:
    def change(tx: Tx) -> Json:
        rows.update(tx, "VmInstanceVO", message.uuid, **message.model_dump(exclude={"uuid"}, exclude_none=True))
        return inventories.vm(tx, message.uuid)

    result = await op.commit("update", change)
    host = result["inventory"].get("hostUuid")
    if message.default_l3_network_uuid and host:
        await tell(op, [host])
    return result


@workflow(RerunCloudInit, queue=queue)
async def rerun_cloud_init(op: Operation[World], message: RerunCloudInit) -> Json:
    def count_up(tx: Tx) -> Json:
        vm = inventories.must_get(tx, "VmInstanceVO", message.uuid)
        must_allow("RerunCloudInit", message.uuid, vm["state"])
        rows.update(tx, "VmInstanceVO", message.uuid, cloud_init_runs=vm["cloud_init_runs"] + 1)
        return inventories.vm(tx, message.uuid)

    result = await op.commit("rerun", count_up)
    if host := result["inventory"].get("hostUuid"):
        await tell(op, [host])
    return result
