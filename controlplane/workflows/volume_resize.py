"""Growing volumes, of running guests too.

Room is taken first, then the file grows. A file that grew and whose operation failed all the same is cut back, unless the
guest has written beyond its old end by then: then it stays larger than the record says, which the next resize mends.
"""

import logging
from typing import Any

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.contract.volume import ResizeDataVolume, ResizeRootVolume
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import must_allow
from controlplane.rules.volume import whole_sectors
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories, volume_rows
from controlplane.workflows.vm import on_host
from controlplane.workflows.volume_rows import NOT_INSTANTIATED, READY, claim, let_go, name_of
from controlplane.workflows.volume_spec import put_volume, volume_spec
from controlplane.workflows.world import World, workflow

_HOST = 300.0
_RESIZING = "Resizing"
Json = dict[str, Any]
log = logging.getLogger("steppe.volume")


def _queue(tx: Tx, message: Any) -> str:
    return volume_rows.queue(tx, message.uuid)


async def _resize(op: Operation[World], message: ResizeRootVolume | ResizeDataVolume) -> Json:
    uuid, size = message.uuid, whole_sectors(message.size)

    def begin(tx: Tx) -> Json:
        volume, ref = check_resize(tx, message), rows.get(tx, "LocalStorageResourceRefVO", uuid)
        if volume["status"] == NOT_INSTANTIATED or ref is None:
            return {"host_uuid": None, "before": volume["size"]}
        generation = claim(tx, volume, _RESIZING)
        more = size - ref["size"]
        if not allocation.take_disk(tx, ref["primary_storage_uuid"], ref["host_uuid"], more):
            raise ApiError("PS.1000", f"host {ref['host_uuid']} has no {more} more bytes for {name_of(volume)}")
        rows.update(tx, "LocalStorageResourceRefVO", uuid, size=size)
        told = volume_spec(tx, uuid) | {"generation": generation, "size": size}
        return {"host_uuid": ref["host_uuid"], "before": volume["size"], "spec": told}

    def abandon(tx: Tx, begun: Json) -> None:
        ref = rows.get(tx, "LocalStorageResourceRefVO", uuid)
        if begun["host_uuid"] and ref and ref["size"] == size:
            allocation.take_disk(tx, ref["primary_storage_uuid"], ref["host_uuid"], begun["before"] - size)
            rows.update(tx, "LocalStorageResourceRefVO", uuid, size=begun["before"])
        let_go(tx, uuid, _RESIZING)

    def finish(tx: Tx) -> Json:
        status = {"status": READY} if begun["host_uuid"] else {}
        rows.update(tx, "VolumeVO", uuid, size=size, **status)
        return volume_rows.show(tx, uuid)

    begun = await op.tx_step("begin", begin, abandon)
    if host := begun["host_uuid"]:

        async def grow() -> None:
            await put_volume(op.world, host, uuid, begun["spec"])

        async def cut() -> None:
            try:
                await put_volume(op.world, host, uuid, begun["spec"] | {"size": begun["before"], "cut": True})
            except ApiError as error:
                log.warning("volume %s stays larger than %s bytes: %s", uuid, begun["before"], error)

        await op.step("grow", on_host(op, host, grow), cut, timeout=_HOST)
    return await op.commit("finish", finish)


workflow(ResizeRootVolume, queue_in=_queue)(_resize)
workflow(ResizeDataVolume, queue_in=_queue)(_resize)


def check_resize(tx: Tx, message: ResizeRootVolume | ResizeDataVolume, settled: bool = True) -> rows.Row:
    """The volume. `settled`: the operation's turn has come, so the states of volume, VM and host count."""
    volume = volume_rows.must_get(tx, message.uuid)
    kind = "Root" if isinstance(message, ResizeRootVolume) else "Data"
    if volume["type"] != kind:
        raise invalid(f"{name_of(volume)} is a {volume['type']} volume; use Resize{volume['type']}Volume", "uuid")
    if message.size <= volume["size"]:
        raise invalid(
            f"{name_of(volume)} has {volume['size']} bytes; it only grows, so size must be more than that", "size"
        )
    if not settled:
        return volume
    volume_rows.must_be(volume, *((READY,) if kind == "Root" else (READY, NOT_INSTANTIATED)))
    if volume["vm_instance_uuid"]:
        vm = inventories.must_get(tx, "VmInstanceVO", volume["vm_instance_uuid"])
        must_allow(message.api_name(), vm["uuid"], vm["state"])
    ref = rows.get(tx, "LocalStorageResourceRefVO", message.uuid)
    host = rows.get(tx, "HostVO", ref["host_uuid"]) if ref else None
    if host and host["status"] != "Connected":
        raise refused(f"host {host['name']} ({host['uuid']}), which holds it, is {host['status']}")
    return volume
