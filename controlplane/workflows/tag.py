"""What the tag APIs do, and the tags that come and go with their resource."""

from collections.abc import Callable, Iterable
from typing import Any

from controlplane.contract.error import invalid
from controlplane.contract.tag import (
    CreateSystemTag,
    CreateUserTag,
    DeleteTag,
    SystemTagInventory,
    TagInventory,
    UpdateSystemTag,
)
from controlplane.operations.interface import Operation
from controlplane.rules import ssh_key, system_tag, user_data
from controlplane.rules.vm_state import DESTROYED
from controlplane.store import allocation, ownership, rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories
from controlplane.workflows.world import World, tell, workflow

_SYSTEM, _USER = TABLES = ("SystemTagVO", "UserTagVO")
_TOLD = ("userdata", "metadataTokens")  # tags about which there may be warnings
_REVOKED = 64  # keys of one VM that are remembered


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
    """The resource is gone: with it go its tags, its owner's claim and whatever it was shared with."""
    ownership.forget(tx, resource_uuid)
    for table in (_SYSTEM, _USER):
        rows.delete_where(tx, table, resource_uuid=resource_uuid)


def must_fit(tx: Tx, resource_type: str, resource_uuid: str, tags: list[str], default_l3: str | None) -> None:
    """All tags a resource is to have: together, and beside those of other resources. Each is valid by itself."""
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


def warnings(tx: Tx, resource_uuid: str) -> dict[str, Any]:
    """The member of a result that tells what is odd about the resource's tags; nothing when nothing is."""
    tags = rows.find(tx, _SYSTEM, resource_uuid=resource_uuid, resource_type="VmInstanceVO", inherent=False)
    found = system_tag.warnings("VmInstanceVO", [row["tag"] for row in tags])
    return {"warnings": [{"tag": prefix, "details": details} for prefix, details in found]} if found else {}


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
    system_tag.must_be_valid(resource_type, text)
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
        known = _same(tx, _SYSTEM, message)
        if known:
            return _shown(tx, known) | {"existed": True}
        may_have(tx, message.resource_type, message.resource_uuid, message.tag)
        return _shown(tx, _insert(tx, _SYSTEM, uuid, message.resource_uuid, message.resource_type, message.tag))

    result = await op.commit("insert", insert)
    await _serve(op, result["inventory"])
    return result


@workflow(UpdateSystemTag, queue=lambda message: f"tag:{message.uuid}")
async def update_system_tag(op: Operation[World], message: UpdateSystemTag) -> dict[str, Any]:
    def update(tx: Tx) -> dict[str, Any]:
        row = inventories.must_get(tx, _SYSTEM, message.uuid)
        if row["inherent"]:
            raise system_tag.inherent(row["resource_type"], row["tag"])
        if system_tag.prefix(row["tag"]) != system_tag.prefix(message.tag):
            raise invalid(
                f"a {system_tag.prefix(row['tag'])}:: tag cannot become a {system_tag.prefix(message.tag)[:32]}:: tag",
                "tag",
            )
        may_have(tx, row["resource_type"], row["resource_uuid"], message.tag, message.uuid)
        rows.update(tx, _SYSTEM, message.uuid, tag=message.tag)
        _revoke_keys(tx, row)
        return _shown(tx, inventories.must_get(tx, _SYSTEM, message.uuid))

    result = await op.commit("update", update)
    await _serve(op, result["inventory"])
    return result


@workflow(CreateUserTag, queue=lambda message: f"tags:{message.resource_uuid}")
async def create_user_tag(op: Operation[World], message: CreateUserTag) -> dict[str, Any]:
    uuid = op.derive(_USER)

    def insert(tx: Tx) -> dict[str, Any]:
        known = _same(tx, _USER, message)
        row = known or _insert(tx, _USER, uuid, message.resource_uuid, message.resource_type, message.tag)
        inventory = {"inventory": TagInventory.model_validate(row).wire()}
        return inventory | ({"existed": True} if known else {})

    return await op.commit("insert", insert)


@workflow(DeleteTag)
async def delete_tag(op: Operation[World], message: DeleteTag) -> dict[str, Any]:
    def remove(tx: Tx) -> dict[str, Any] | None:
        row = rows.get(tx, _SYSTEM, message.uuid)
        if row and row["inherent"]:
            raise system_tag.inherent(row["resource_type"], row["tag"])
        rows.delete(tx, _SYSTEM, message.uuid)
        rows.delete(tx, _USER, message.uuid)
        if row is None:
            return None
        _revoke_keys(tx, row)
        return SystemTagInventory.model_validate(row).wire()

    removed = await op.commit("delete", remove)
    if removed:
        await _serve(op, removed)
    return {}


def _same(tx: Tx, table: str, message: CreateSystemTag | CreateUserTag) -> rows.Row | None:
    """The tag that the resource has already."""
    known = rows.find(tx, table, resource_uuid=message.resource_uuid)
    return next((row for row in known if row["tag"] == message.tag), None)


def _shown(tx: Tx, row: rows.Row) -> dict[str, Any]:
    inventory = {"inventory": SystemTagInventory.model_validate(row).wire()}
    return inventory | (warnings(tx, row["resource_uuid"]) if system_tag.prefix(row["tag"]) in _TOLD else {})


async def _serve(op: Operation[World], tag: dict[str, Any]) -> None:
    """After the commit: the guest of a VM that runs is told anew, when this tag decides what it is told."""
    if not system_tag.is_served(tag["resourceType"], tag["tag"]):
        return
    vm = await op.world.db.read(lambda tx: rows.get(tx, tag["resourceType"], tag["resourceUuid"]))
    if vm and vm["host_uuid"]:
        await tell(op, [vm["host_uuid"]])


def _revoke_keys(tx: Tx, before: rows.Row) -> None:
    """The keys that stood in a tag and stand in none now: cloud-init adds keys to accounts and never takes one away."""
    vm = rows.get(tx, before["resource_type"], before["resource_uuid"])
    if vm is None or system_tag.prefix(before["tag"]) != "sshkey":
        return
    left = rows.find(tx, _SYSTEM, resource_uuid=vm["uuid"], inherent=False)
    kept = _blobs(system_tag.values([row["tag"] for row in left], "sshkey"))
    gone = [*(vm["revoked_keys"] or "").split(), *_blobs([system_tag.value(before["tag"])])]
    remembered = [blob for blob in dict.fromkeys(gone) if blob not in kept][-_REVOKED:]
    rows.update(tx, "VmInstanceVO", vm["uuid"], revoked_keys="\n".join(remembered))


def _blobs(texts: list[str]) -> list[str]:
    return [blob for line in user_data.public_keys(texts) if (blob := ssh_key.blob(line))]
