"""Attaching and detaching an ISO: under a running guest the medium is changed at once, after the image reached its host."""

from typing import Any

from controlplane.contract.error import invalid, refused
from controlplane.contract.iso import AttachIsoToVmInstance, DetachIsoFromVmInstance
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import RUNNING, must_allow
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import cd_drive, inventories
from controlplane.workflows.vm import on_host
from controlplane.workflows.vm_spec import ensure_isos, power_on, vm_spec
from controlplane.workflows.world import World, workflow

_COPY = 4 * 3600.0  # seconds for a large image to reach its host
Json = dict[str, Any]


def queue(message: Any) -> str:
    return f"vm:{message.vm_instance_uuid}"


def check_attach(tx: Tx, message: AttachIsoToVmInstance) -> int:
    """The drive that takes it. Raises SYS.1006, SYS.1007."""
    vm = inventories.must_get(tx, "VmInstanceVO", message.vm_instance_uuid)
    must_allow("AttachIsoToVmInstance", vm["uuid"], vm["state"])
    image = inventories.must_get(tx, "ImageVO", message.iso_uuid)
    what = f"image {image['name']} ({image['uuid']})"
    if image["media_type"] != "ISO" or image["format"] != "iso":
        raise invalid(f"{what} is a {image['media_type']} of format {image['format']}; an ISO is needed", "isoUuid")
    if image["status"] != "Ready" or image["state"] != "Enabled":
        raise refused(f"{what} is {image['status']} and {image['state']}; it must be Ready and Enabled")
    if message.iso_uuid in cd_drive.attached(tx, vm["uuid"]).values():
        raise refused(f"{what} is attached to the VM already")
    return cd_drive.first_empty(tx, vm["uuid"])


def to_detach(tx: Tx, message: DetachIsoFromVmInstance) -> str | None:
    """The image to take out, None when there is nothing to do."""
    vm = inventories.must_get(tx, "VmInstanceVO", message.vm_instance_uuid)
    must_allow("DetachIsoFromVmInstance", vm["uuid"], vm["state"])
    isos = list(cd_drive.attached(tx, vm["uuid"]).values())
    if message.iso_uuid:
        return message.iso_uuid if message.iso_uuid in isos else None
    if len(isos) > 1:
        raise invalid(f"the VM has {len(isos)} ISO images: {', '.join(isos)}; isoUuid must say which", "isoUuid")
    return isos[0] if isos else None


def _change(tx: Tx, uuid: str, change: Any) -> Json:
    """`change()` in the database, and what the host is told before and after."""
    vm = inventories.must_get(tx, "VmInstanceVO", uuid)
    rows.update(tx, "VmInstanceVO", uuid, generation=vm["generation"] + 1)
    before = vm_spec(tx, uuid)
    change()
    return {
        "host_uuid": vm["host_uuid"] if vm["state"] == RUNNING else None,
        "before": before,
        "after": vm_spec(tx, uuid),
    }


async def _tell(op: Operation[World], uuid: str, begun: Json, force: bool) -> Json:
    if host := begun["host_uuid"]:

        async def copy() -> None:
            await ensure_isos(op.world, host, uuid)

        async def insert() -> None:
            await power_on(op.world, host, uuid, begun["after"] | {"force_eject": force})

        async def as_before() -> None:
            await power_on(op.world, host, uuid, begun["before"] | {"force_eject": True})

        await op.step("copy", on_host(op, host, copy), timeout=_COPY)
        await op.step("media", on_host(op, host, insert), as_before, timeout=120)
    return await op.commit("finish", lambda tx: inventories.vm(tx, uuid))


@workflow(AttachIsoToVmInstance, queue=queue)
async def attach(op: Operation[World], message: AttachIsoToVmInstance) -> Json:
    uuid = message.vm_instance_uuid

    def begin(tx: Tx) -> Json:
        number = check_attach(tx, message)
        return _change(tx, uuid, lambda: cd_drive.insert(tx, uuid, message.iso_uuid, op.derive("tag"), number))

    def abandon(tx: Tx, _begun: Json) -> None:
        rows.delete(tx, "SystemTagVO", op.derive("tag"))

    begun = await op.tx_step("begin", begin, abandon)
    return await _tell(op, uuid, begun, force=False)


@workflow(DetachIsoFromVmInstance, queue=queue)
async def detach(op: Operation[World], message: DetachIsoFromVmInstance) -> Json:
    uuid = message.vm_instance_uuid

    def begin(tx: Tx) -> Json | None:
        image_uuid = to_detach(tx, message)
        if image_uuid is None:
            return None
        gone: list[rows.Row | None] = []
        begun = _change(tx, uuid, lambda: gone.append(cd_drive.eject(tx, uuid, image_uuid)))
        return begun | {"tag": {key: gone[0][key] for key in ("uuid", "tag")} if gone[0] else None}

    def abandon(tx: Tx, begun: Json | None) -> None:
        if begun and begun["tag"] and not rows.get(tx, "SystemTagVO", begun["tag"]["uuid"]):
            image_uuid, _, number = begun["tag"]["tag"].removeprefix(f"{cd_drive.ISO_TAG}::").partition("::")
            cd_drive.insert(tx, uuid, image_uuid, begun["tag"]["uuid"], int(number or 0))

    begun = await op.tx_step("begin", begin, abandon)
    if begun is None:
        return await op.commit("already", lambda tx: inventories.vm(tx, uuid))
    return await _tell(op, uuid, begun, message.force)
