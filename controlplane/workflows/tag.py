"""What the tag APIs do, and the tags that come and go with their resource."""

from collections.abc import Callable, Iterable
from typing import Any

from controlplane.contract.error import invalid, refused
from controlplane.contract.tag import (
    CreateSystemTag,
    CreateUserTag,
    DeleteTag,
    SystemTagInventory,
    TagInventory,
    UpdateSystemTag,
)
from controlplane.operations.interface import Operation
from controlplane.rules import system_tag
from controlplane.rules.vm_state import DESTROYED
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories
from controlplane.workflows.world import World, workflow

_SYSTEM, _USER = "SystemTagVO", "UserTagVO"


def store(
    tx: Tx, uuid: str, resource_type: str, tags: Iterable[str], user_tags: Iterable[str], derive: Callable[[str], str]
) -> None:
    """The tags of a new resource, checked before."""
    for table, kind, texts in ((_SYSTEM, "System", tags), (_USER, "User", user_tags)):
        for text in dict.fromkeys(texts):
            _insert(tx, table, derive(f"{kind} tag {text}"), uuid, resource_type, text)


def store_inherent(tx: Tx, uuid: str, resource_uuid: str, resource_type: str, text: str) -> None:
    _insert(tx, _SYSTEM, uuid, resource_uuid, resource_type, text, inherent=True)


def remove_all(tx: Tx, resource_uuid: str) -> None:
    for table in (_SYSTEM, _USER):
        rows.delete_where(tx, table, resource_uuid=resource_uuid)


def must_fit(tx: Tx, resource_type: str, resource_uuid: str, tags: list[str], default_l3: str | None) -> None:
    """All tags a resource is to have: each by itself, together, and beside those of other resources."""
    for text in tags:
        system_tag.must_be_valid(resource_type, text)
    system_tag.must_be_single(resource_type, tags)
    for text in tags:
        if resource_type != "VmInstanceVO" or system_tag.prefix(text) != "hostname":
            continue
        others = [uuid for uuid in allocation.resources_tagged(tx, text) if uuid != resource_uuid]
        found = rows.find(tx, "VmInstanceVO", uuid=others, default_l3_network_uuid=default_l3) if others else []
        same = [vm for vm in found if vm["state"] != DESTROYED]  # a destroyed VM has its name back when it is recovered
        if same:
            raise invalid(
                f"VM {same[0]['name']} ({same[0]['uuid']}) on the same default L3 network has the host name "
                f"{system_tag.value(text)!r} already",
                "systemTags",
            )


def _insert(
    tx: Tx, table: str, uuid: str, resource_uuid: str, resource_type: str, text: str, inherent: bool = False
) -> rows.Row:
    kind = "System" if table == _SYSTEM else "User"
    return rows.insert(
        tx,
        table,
        uuid=uuid,
        resource_uuid=resource_uuid,
        resource_type=resource_type,
        tag=text,
        type=kind,
        inherent=inherent,
    )


# -- APIs ------------------------------------------------------------------------------------------------------------


def may_have(tx: Tx, resource_type: str, resource_uuid: str, text: str, replaces: str | None = None) -> None:
    """May the resource have this system tag besides those it has (without `replaces`, a tag's uuid)?"""
    own = rows.find(tx, _SYSTEM, resource_uuid=resource_uuid, inherent=False)
    others = [row["tag"] for row in own if row["uuid"] != replaces and row["tag"] != text]
    vm = rows.get(tx, "VmInstanceVO", resource_uuid) if resource_type == "VmInstanceVO" else None
    must_fit(tx, resource_type, resource_uuid, [*others, text], vm["default_l3_network_uuid"] if vm else None)
    if vm and system_tag.prefix(text) == "staticIp":
        l3_uuid, ip = system_tag.static_ip(text)
        nics = rows.find(tx, "VmNicVO", vm_instance_uuid=resource_uuid, l3_network_uuid=l3_uuid)
        if not nics:
            raise invalid(f"the VM has no NIC on L3 network {l3_uuid}", "tag")
        used = rows.find_one(tx, "UsedIpVO", l3_network_uuid=l3_uuid, ip=ip)
        if used and used["uuid"] not in {nic["used_ip_uuid"] for nic in nics}:
            raise invalid(f"address {ip} of L3 network {l3_uuid} is in use", "tag")


@workflow(CreateSystemTag, queue=lambda message: f"tags:{message.resource_uuid}")
async def create_system_tag(op: Operation[World], message: CreateSystemTag) -> dict[str, Any]:
    uuid = op.derive(_SYSTEM)

    def insert(tx: Tx) -> dict[str, Any]:
        known = rows.find(tx, _SYSTEM, resource_uuid=message.resource_uuid)
        row = next((row for row in known if row["tag"] == message.tag), None)
        if row is None:
            may_have(tx, message.resource_type, message.resource_uuid, message.tag)
            row = _insert(tx, _SYSTEM, uuid, message.resource_uuid, message.resource_type, message.tag)
        return {"inventory": SystemTagInventory.model_validate(row).wire()}

    return await op.commit("insert", insert)


@workflow(UpdateSystemTag, queue=lambda message: f"tag:{message.uuid}")
async def update_system_tag(op: Operation[World], message: UpdateSystemTag) -> dict[str, Any]:
    def update(tx: Tx) -> dict[str, Any]:
        row = inventories.must_get(tx, _SYSTEM, message.uuid)
        if row["inherent"]:
            raise refused(f"tag {row['tag']!r} is inherent: the system keeps it")
        if system_tag.prefix(row["tag"]) != system_tag.prefix(message.tag):
            raise invalid(f"a {system_tag.prefix(row['tag'])}:: tag cannot become {message.tag[:60]!r}", "tag")
        may_have(tx, row["resource_type"], row["resource_uuid"], message.tag, message.uuid)
        rows.update(tx, _SYSTEM, message.uuid, tag=message.tag)
        changed = inventories.must_get(tx, _SYSTEM, message.uuid)
        return {"inventory": SystemTagInventory.model_validate(changed).wire()}

    return await op.commit("update", update)


@workflow(CreateUserTag)
async def create_user_tag(op: Operation[World], message: CreateUserTag) -> dict[str, Any]:
    uuid = op.derive(_USER)

    def insert(tx: Tx) -> dict[str, Any]:
        row = _insert(tx, _USER, uuid, message.resource_uuid, message.resource_type, message.tag)
        return {"inventory": TagInventory.model_validate(row).wire()}

    return await op.commit("insert", insert)


@workflow(DeleteTag)
async def delete_tag(op: Operation[World], message: DeleteTag) -> dict[str, Any]:
    def remove(tx: Tx) -> dict[str, Any]:
        row = rows.get(tx, _SYSTEM, message.uuid)
        if row and row["inherent"]:
            raise refused(f"tag {row['tag']!r} is inherent: it goes when its resource goes")
        rows.delete(tx, _SYSTEM, message.uuid)
        rows.delete(tx, _USER, message.uuid)
        return {}

    return await op.commit("delete", remove)
