"""A VM's CD drives in the database: which ISO is in which.

An attached ISO is the VM's inherent tag `iso::<image>`, in a further drive `iso::<image>::<number of the drive>`. An image
that is gone leaves its drive empty for the host; the tag stays until the ISO is detached.
"""

from controlplane.contract.error import refused
from controlplane.rules import system_tag
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import global_config, inventories
from controlplane.workflows.tag import store_inherent

ISO_TAG = "iso"
_MOST = 3  # drives of one VM


def attached(tx: Tx, vm_uuid: str) -> dict[int, str]:
    """Number of the drive → uuid of the image."""
    return attached_by(rows.find(tx, "SystemTagVO", resource_uuid=vm_uuid))


def attached_by(tags: list[rows.Row]) -> dict[int, str]:
    """The same from all system tags of a VM."""
    found: dict[int, str] = {}
    for row in tags:
        if row["inherent"] and system_tag.prefix(row["tag"]) == ISO_TAG:
            image_uuid, _, number = system_tag.value(row["tag"]).partition("::")
            found[int(number or 0)] = image_uuid
    return dict(sorted(found.items()))


def insert(tx: Tx, vm_uuid: str, image_uuid: str, tag_uuid: str, number: int = 0) -> None:
    text = f"{ISO_TAG}::{image_uuid}" + (f"::{number}" if number else "")
    store_inherent(tx, tag_uuid, vm_uuid, "VmInstanceVO", text)


def eject(tx: Tx, vm_uuid: str, image_uuid: str) -> rows.Row | None:
    """The tag that was there."""
    for row in rows.find(tx, "SystemTagVO", resource_uuid=vm_uuid, inherent=True):
        if row["tag"].split("::")[:2] == [ISO_TAG, image_uuid]:
            rows.delete(tx, "SystemTagVO", row["uuid"])
            return row
    return None


def drives(tx: Tx, tags: list[rows.Row]) -> list[rows.Row | None]:
    """For each drive the usable image in it; from all system tags of the VM."""
    isos = attached_by(tags)
    count = max([_wanted(tx, tags), *(number + 1 for number in isos)])
    return [_usable(tx, isos[number]) if number in isos else None for number in range(count)]


def first_empty(tx: Tx, vm_uuid: str) -> int:
    """Raises SYS.1006 when every drive has its ISO."""
    tags = rows.find(tx, "SystemTagVO", resource_uuid=vm_uuid)
    isos, wanted = attached_by(tags), _wanted(tx, tags)
    for number in range(wanted):
        if number not in isos:
            return number
    images = rows.find(tx, "ImageVO", uuid=list(isos.values()))
    raise refused(
        f"the VM's {wanted} CD drive(s) are not empty: {inventories.listed(images)}; detach one first, or give the VM up "
        "to 3 drives with the system tag cdRoms:: or the global configuration vm/cdRom.number"
    )


def users(tx: Tx, image_uuid: str) -> list[rows.Row]:
    """VMs that have the ISO in a drive; destroyed ones do not count, they start without it."""
    texts = [f"{ISO_TAG}::{image_uuid}" + (f"::{number}" if number else "") for number in range(_MOST)]
    uuids = {uuid for text in texts for uuid in allocation.resources_tagged(tx, text)}
    return [vm for vm in rows.find(tx, "VmInstanceVO", uuid=uuids) if vm["state"] != "Destroyed"] if uuids else []


def _wanted(tx: Tx, tags: list[rows.Row]) -> int:
    own = system_tag.values((row["tag"] for row in tags if not row["inherent"]), "cdRoms")
    return int(own[0]) if own else global_config.whole(tx, "vm", "cdRom.number")


def _usable(tx: Tx, image_uuid: str) -> rows.Row | None:
    image = rows.get(tx, "ImageVO", image_uuid)
    return image if image and image["status"] == "Ready" else None
