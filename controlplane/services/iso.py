"""Checks of the ISO APIs, and the ISO images a VM could take."""

from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.image import DeleteImage, ImageInventory
from controlplane.contract.iso import AttachIsoToVmInstance, DetachIsoFromVmInstance, GetCandidateIsoForAttachingVm
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import ownership, rows
from controlplane.store.database import Tx
from controlplane.store.relations import fill
from controlplane.workflows import cd_drive, inventories, iso
from controlplane.workflows.world import World


@checks(AttachIsoToVmInstance)
def may_attach(tx: Tx, message: AttachIsoToVmInstance) -> None:
    iso.check_attach(tx, message)


@checks(DetachIsoFromVmInstance)
def may_detach(tx: Tx, message: DetachIsoFromVmInstance) -> None:
    iso.to_detach(tx, message)


@checks(DeleteImage)
def no_vm_needs_it(tx: Tx, message: DeleteImage) -> None:
    """With `Enforcing` it goes all the same: its VMs then start with an empty drive."""
    if message.delete_mode == "Permissive" and (vms := cd_drive.users(tx, message.uuid)):
        raise refused(
            f"image {message.uuid} is attached as ISO to {inventories.listed(vms)}; detach it first "
            "(DetachIsoFromVmInstance)"
        )


@answers(GetCandidateIsoForAttachingVm)
async def candidates(world: World, caller: Caller, message: GetCandidateIsoForAttachingVm) -> dict[str, Any]:
    def find(tx: Tx) -> list[dict[str, Any]]:
        has = set(cd_drive.attached(tx, message.vm_instance_uuid).values())
        images = rows.find(tx, "ImageVO", media_type="ISO", status="Ready", state="Enabled", order_by=("create_date",))
        free = [image for image in ownership.seen(tx, caller.viewer, "ImageVO", images) if image["uuid"] not in has]
        found = fill(tx, "ImageVO", free)
        return [ImageInventory.model_validate(image).wire() for image in found]

    return {"inventories": await world.db.read(find)}
