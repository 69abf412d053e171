"""Checks of tags: the resource exists, the text is one the resource may have."""

from controlplane.contract.error import invalid, not_found
from controlplane.contract.tag import CreateSystemTag, CreateUserTag
from controlplane.services.registry import checks
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.tag import may_have

_TYPES = (
    "ZoneVO", "ClusterVO", "HostVO", "PrimaryStorageVO", "BackupStorageVO", "ImageVO", "InstanceOfferingVO",
    "DiskOfferingVO", "L2NetworkVO", "L3NetworkVO", "IpRangeVO", "VmInstanceVO", "VmNicVO", "VolumeVO",
)  # fmt: skip


@checks(CreateSystemTag)
def system_tag_is_valid(tx: Tx, message: CreateSystemTag) -> None:
    _must_exist(tx, message.resource_type, message.resource_uuid)
    known = rows.find(tx, "SystemTagVO", resource_uuid=message.resource_uuid)
    if message.tag not in {row["tag"] for row in known}:
        may_have(tx, message.resource_type, message.resource_uuid, message.tag)


@checks(CreateUserTag)
def tagged_resource_exists(tx: Tx, message: CreateUserTag) -> None:
    _must_exist(tx, message.resource_type, message.resource_uuid)


def _must_exist(tx: Tx, resource_type: str, uuid: str) -> None:
    if resource_type not in _TYPES:
        raise invalid(f"resourceType {resource_type!r} is unknown; there are {', '.join(_TYPES)}", "resourceType")
    if rows.get(tx, resource_type, uuid) is None:
        raise not_found(f"there is no {resource_type} {uuid}", "resourceUuid")
