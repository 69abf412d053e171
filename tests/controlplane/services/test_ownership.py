"""An account sees and changes what is its own, uses what is shared with it, and finds nothing else; on both databases."""

import asyncio

import pytest

from controlplane.contract.error import ApiError
from controlplane.contract.registry import apis
from controlplane.services.dispatch import dispatch
from controlplane.services.registry import Caller
from controlplane.store import ownership, rows
from tests.controlplane.cloud import Cloud, cloud

SEEN = ("VmInstance", "VmNic", "Volume", "SystemTag", "UserTag", "LocalStorageResourceRef", "AccountResourceRef")


class Tenants:
    """Two accounts on a cloud whose offerings, image and network are everybody's."""

    def __init__(self, made: Cloud) -> None:
        self.made = made

    async def join(self, name):
        account = await self.made.call("CreateAccount", name=name, password="0" * 128)
        return Caller(account["uuid"], account_name=name, address="192.0.2.7")

    async def vm(self, caller, name="vm", **parameters):
        made = self.made
        offered = {"instanceOfferingUuid": made.offering, "imageUuid": made.image, "l3NetworkUuids": [made.l3]}
        return await made.call("CreateVmInstance", caller=caller, name=name, **{**offered, **parameters})

    async def names(self, caller, api, *conditions, key="name"):
        wanted = [dict(zip(("name", "op", "value"), one, strict=True)) for one in conditions]
        return [row.get(key) for row in await self.made.call(api, caller=caller, conditions=wanted)]

    async def refused(self, code, api, caller, **parameters):
        with pytest.raises(ApiError) as refusal:
            await self.made.call(api, caller=caller, **parameters)
        assert refusal.value.error.code == code, refusal.value
        return refusal.value.error


@pytest.fixture
async def tenants(tmp_path, db):
    async with cloud(tmp_path, hosts=1, db=db) as made:
        own = made.world.db.write
        for image in (made.image, made.iso):
            await own(lambda tx, image=image: ownership.give(tx, "36c27e8ff05c4780bf6d2fa65700f22e", "ImageVO", image))
        shared = [made.offering, made.image, made.disk, made.l3]
        await made.call("ShareResource", resourceUuids=shared, toPublic=True)
        found = Tenants(made)
        found.alice, found.bob = await found.join("alice"), await found.join("bob")
        yield found


async def test_what_one_account_has_no_other_sees(tenants):
    tags = {"systemTags": ["userdata::secret"], "userTags": ["mine"]}
    vm = await tenants.vm(tenants.alice, dataDiskOfferingUuids=[tenants.made.disk], **tags)
    for noun in SEEN:
        own = await tenants.made.call(f"Query{noun}", caller=tenants.alice)
        assert own, noun
        assert await tenants.made.call(f"Query{noun}", caller=tenants.bob) == [], noun
        assert len(await tenants.made.call(f"Query{noun}")) >= len(own), noun
    assert len(vm["allVolumes"]) == 2
    assert (await tenants.made.call("QueryVmInstance", caller=tenants.bob, count=True)) == {"total": 0}


async def test_what_is_not_visible_meets_no_condition(tenants):
    await tenants.vm(tenants.alice, "alices", systemTags=["hostname::alices"])
    for api, field in (
        ("QueryL3Network", "vmNic.vmInstance.name"),
        ("QueryImage", "volume.vmInstance.name"),
        ("QueryInstanceOffering", "vmInstance.name"),
    ):
        condition = (field, "=", "alices")
        assert len(await tenants.names(tenants.alice, api, condition)) == 1, api
        assert await tenants.names(tenants.bob, api, condition) == [], api
    for tag in (("__systemTag__", "like", "flatNetwork%"), ("__userTag__", "=", "private")):
        assert await tenants.names(tenants.bob, "QueryL3Network", tag) == []
    # The host is the administrator's: its address cannot be found out by asking.
    ip = ("host.managementIp", "like", "%")
    assert await tenants.names(tenants.alice, "QueryVmInstance", ip) == []
    assert await tenants.names(_admin(), "QueryVmInstance", ip) == ["alices"]


async def test_what_belongs_to_another_is_not_found(tenants):
    vm = await tenants.vm(tenants.alice, systemTags=["hostname::a"], userTags=["t"])
    uuid, made = vm["uuid"], tenants.made
    for api in ("StartVmInstance", "StopVmInstance", "RebootVmInstance", "UpdateVmInstance", "ExpungeVmInstance"):
        error = await tenants.refused("SYS.1003", api, tenants.bob, uuid=uuid)
        nowhere = await tenants.refused("SYS.1003", api, tenants.bob, uuid="0" * 32)
        assert error.details.replace(uuid, "0" * 32) == nowhere.details
    await tenants.refused("SYS.1003", "GetVmConsoleAddress", tenants.bob, uuid=uuid)
    for api in ("CreateSystemTag", "CreateUserTag"):
        tag = {"resourceType": "VmInstanceVO", "resourceUuid": uuid, "tag": "hostname::b"}
        await tenants.refused("SYS.1003", api, tenants.bob, **tag)
    (tag,) = await made.call("QuerySystemTag", caller=tenants.alice)
    await tenants.refused("SYS.1003", "UpdateSystemTag", tenants.bob, uuid=tag["uuid"], tag="hostname::b")


async def test_volumes_and_snapshots_are_their_accounts_own(tenants):
    made, alice, bob = tenants.made, tenants.alice, tenants.bob
    vm = await tenants.vm(alice)
    disk = await made.call("CreateDataVolume", caller=alice, name="data", diskSize=1 << 30)
    uuid = disk["uuid"]
    foreign = {"volumeUuid": uuid, "vmInstanceUuid": vm["uuid"]}
    await tenants.refused("SYS.1003", "AttachDataVolumeToVm", bob, **foreign)
    await made.call("AttachDataVolumeToVm", caller=alice, **foreign)
    snapshot = await made.call("CreateVolumeSnapshot", caller=alice, name="s", volumeUuid=uuid)
    for api, given in (
        ("DetachDataVolumeFromVm", {"uuid": uuid}),
        ("ResizeDataVolume", {"uuid": uuid, "size": 2 << 30}),
        ("CreateVolumeSnapshot", {"name": "mine", "volumeUuid": uuid}),
        ("RevertVolumeFromSnapshot", {"uuid": snapshot["uuid"]}),
        ("SetVmBootOrder", {"uuid": vm["uuid"], "bootOrder": ["CdRom"]}),
        ("RequestConsoleAccess", {"vmInstanceUuid": vm["uuid"]}),
        ("AttachIsoToVmInstance", {"vmInstanceUuid": vm["uuid"], "isoUuid": made.iso}),
    ):
        await tenants.refused("SYS.1003", api, bob, **given)
    assert await made.call("DeleteDataVolume", caller=bob, uuid=uuid) == {}
    assert await made.call("DeleteVolumeSnapshot", caller=bob, uuid=snapshot["uuid"]) == {}
    assert await made.call("QueryVolumeSnapshot", caller=bob) == []
    assert [row["uuid"] for row in await made.call("QueryVolumeSnapshot", caller=alice)] == [snapshot["uuid"]]
    assert (await made.get("VolumeVO", uuid))["vm_instance_uuid"] == vm["uuid"]
    quota = {"identityUuid": alice.account_uuid, "name": "volume.data.num", "value": 1}
    await made.call("UpdateQuota", **quota)
    error = await tenants.refused("ID.1003", "CreateDataVolume", alice, name="more", diskSize=1 << 30)
    assert "volume.data.num" in error.details


async def test_deleting_what_belongs_to_another_is_deleting_nothing(tenants):
    vm = await tenants.vm(tenants.alice, systemTags=["hostname::a"], userTags=["t"])
    made, before = tenants.made, tenants.made.seen()
    tags = [row["uuid"] for noun in ("System", "User") for row in await made.call(f"Query{noun}Tag")]
    assert await made.call("DestroyVmInstance", caller=tenants.bob, uuid=vm["uuid"]) == {}
    assert await made.call("DeleteImage", caller=tenants.bob, uuid=made.iso) == {}
    for tag in tags:
        assert await made.call("DeleteTag", caller=tenants.bob, uuid=tag) == {}
    assert (await made.get("VmInstanceVO", vm["uuid"]))["state"] == "Running"
    assert (await made.get("ImageVO", made.iso))["status"] == "Ready"
    left = [row["uuid"] for noun in ("System", "User") for row in await made.call(f"Query{noun}Tag")]
    assert (left, made.seen()) == (tags, before)
    await made.call("DestroyVmInstance", caller=tenants.alice, uuid=vm["uuid"])
    assert (await made.get("VmInstanceVO", vm["uuid"]))["state"] == "Destroyed"


async def test_what_is_shared_is_used_and_not_changed(tenants):
    made = tenants.made
    assert await tenants.names(tenants.bob, "QueryImage") == ["template"]
    await tenants.refused("ID.1002", "UpdateImage", tenants.bob, uuid=made.image, name="mine")
    await tenants.refused("ID.1002", "DeleteImage", tenants.bob, uuid=made.image)
    error = await tenants.refused("ID.1002", "CreateUserTag", tenants.bob, **_tag("ImageVO", made.image))
    assert "shared" in error.details
    await made.call("RevokeResourceSharing", resourceUuids=[made.offering], toPublic=True)
    await tenants.refused_vm()
    await made.call("ShareResource", resourceUuids=[made.offering], accountUuids=[tenants.alice.account_uuid])
    await tenants.refused_vm()
    await tenants.vm(tenants.alice)
    (share,) = await made.call("QuerySharedResource", caller=tenants.alice, conditions=[_is("toPublic", "false")])
    assert share["resourceUuid"] == made.offering
    await made.call("RevokeResourceSharing", resourceUuids=[made.offering], all=True)
    await tenants.refused("SYS.1003", "CreateVmInstance", tenants.alice, **tenants.plan())


def _tag(kind, uuid):
    return {"resourceType": kind, "resourceUuid": uuid, "tag": "x"}


def _is(name, value):
    return {"name": name, "op": "=", "value": value}


def _plan(self):
    made = self.made
    return {
        "name": "vm",
        "instanceOfferingUuid": made.offering,
        "imageUuid": made.image,
        "l3NetworkUuids": [made.l3],
    }


async def _refused_vm(self):
    error = await self.refused("SYS.1003", "CreateVmInstance", self.bob, **self.plan())
    assert error.field == "instanceOfferingUuid"


Tenants.plan, Tenants.refused_vm = _plan, _refused_vm


async def test_only_an_owner_shares_and_no_vm_is(tenants):
    vm = await tenants.vm(tenants.alice)
    to = {"accountUuids": [tenants.bob.account_uuid]}
    await tenants.refused("SYS.1003", "ShareResource", tenants.bob, resourceUuids=[vm["uuid"]], **to)
    await tenants.refused("SYS.1003", "ShareResource", tenants.alice, resourceUuids=[tenants.made.image], **to)
    await tenants.refused("SYS.1006", "ShareResource", tenants.alice, resourceUuids=[vm["uuid"]], **to)
    nobody = {"resourceUuids": [tenants.made.image], "accountUuids": ["0" * 32]}
    assert (await tenants.refused("SYS.1003", "ShareResource", _admin(), **nobody)).field == "accountUuids"
    await tenants.refused("SYS.1007", "ShareResource", _admin(), resourceUuids=[tenants.made.image])


def _admin():
    return Caller("36c27e8ff05c4780bf6d2fa65700f22e", is_admin=True)


async def test_what_is_deleted_leaves_no_owner_and_no_share(tenants):
    made = tenants.made
    vm = await tenants.vm(tenants.alice, dataDiskOfferingUuids=[made.disk])
    await made.call("DestroyVmInstance", caller=tenants.alice, uuid=vm["uuid"])
    await made.call("ExpungeVmInstance", caller=tenants.alice, uuid=vm["uuid"])
    left = await made.find("AccountResourceRefVO", account_uuid=tenants.alice.account_uuid)
    assert [row["resource_type"] for row in left] == ["VolumeVO"]  # the data volume, detached from its VM
    offering = await made.call("CreateInstanceOffering", name="o", cpuNum=1, memorySize=1 << 30)
    await made.call("ShareResource", resourceUuids=[offering["uuid"]], toPublic=True)
    await made.call("DeleteInstanceOffering", uuid=offering["uuid"])
    assert not await made.find("SharedResourceVO", resource_uuid=offering["uuid"])


async def test_what_a_deleted_account_had_is_the_administrators(tenants):
    vm = await tenants.vm(tenants.alice)
    uuid = tenants.alice.account_uuid
    await tenants.made.call("CreateAccessKey", caller=tenants.alice)
    await tenants.made.call("DeleteAccount", uuid=uuid)
    assert (await tenants.made.get("VmInstanceVO", vm["uuid"]))["state"] == "Running"
    owner = await tenants.made.world.db.read(lambda tx: ownership.owner(tx, vm["uuid"]))
    assert owner == "36c27e8ff05c4780bf6d2fa65700f22e"
    for table in ("AccessKeyVO", "SessionVO"):
        assert not await tenants.made.find(table, account_uuid=uuid)
    assert not await tenants.made.find("QuotaVO", identity_uuid=uuid)
    await tenants.refused("SYS.1006", "DeleteAccount", _admin(), uuid="36c27e8ff05c4780bf6d2fa65700f22e")


async def test_an_account_sees_only_itself_and_gives_itself_no_right(tenants):
    alice, bob = tenants.alice, tenants.bob
    assert await tenants.names(alice, "QueryAccount") == ["alice"]
    await tenants.refused("SYS.1003", "UpdateAccount", alice, uuid=bob.account_uuid, name="x")
    await tenants.refused("SYS.1003", "CreateAccessKey", alice, accountUuid=bob.account_uuid)
    await tenants.refused("SYS.1003", "GetAccountQuotaUsage", alice, uuid=bob.account_uuid)
    quota = {"identityUuid": alice.account_uuid, "name": "vm.num", "value": 10**6}
    await tenants.refused("ID.1002", "UpdateQuota", alice, **quota)
    await tenants.refused("ID.1002", "CreateAccount", alice, name="x", password="0" * 128, type="SystemAdmin")
    assert len(set(await tenants.names(alice, "QueryQuota", key="identityUuid"))) == 1
    assert (await tenants.made.call("UpdateAccount", caller=alice, uuid=alice.account_uuid, name="al"))["name"] == "al"
    error = await tenants.refused("SYS.1007", "UpdateAccount", alice, uuid=alice.account_uuid, name="bob")
    assert error.field == "name"


async def test_a_system_admin_is_an_administrator(tenants):
    account = await tenants.made.call("CreateAccount", name="root", password="0" * 128, type="SystemAdmin")
    viewer = await tenants.made.world.db.read(lambda tx: ownership.viewer(tx, account["uuid"]))
    assert viewer is None
    assert not await tenants.made.find("QuotaVO", identity_uuid=account["uuid"])


async def test_a_quota_is_refused_with_its_numbers(tenants):
    await _limit(tenants, "vm.memorySize", (1 << 30) + 1)
    await tenants.vm(tenants.alice)
    error = await tenants.refused("ID.1003", "CreateVmInstance", tenants.alice, **tenants.plan())
    assert (
        error.details
        == f"quota vm.memorySize would be exceeded: limit {(1 << 30) + 1}, used {1 << 30}, asked {1 << 30}"
    )
    await tenants.vm(tenants.bob)
    (vm,) = await tenants.made.call("QueryVmInstance", caller=tenants.alice)
    await tenants.made.call("StopVmInstance", caller=tenants.alice, uuid=vm["uuid"])
    await tenants.vm(tenants.alice, "second")
    await tenants.refused("ID.1003", "StartVmInstance", tenants.alice, uuid=vm["uuid"])


async def _limit(tenants, name, value):
    await tenants.made.call("UpdateQuota", identityUuid=tenants.alice.account_uuid, name=name, value=value)


async def test_calls_side_by_side_do_not_exceed_a_quota(tenants):
    await _limit(tenants, "vm.num", 2)
    ends = await asyncio.gather(*(tenants.vm(tenants.alice, f"vm{n}") for n in range(6)), return_exceptions=True)
    refused = [end.error for end in ends if isinstance(end, ApiError)]
    assert len(refused) == 4, ends
    assert {(error.cause or error).code for error in refused} == {"ID.1003"}
    usage = (await tenants.made.call("GetAccountQuotaUsage", caller=tenants.alice))["usages"]
    used = {one["name"]: one["used"] for one in usage}
    assert (used["vm.num"], used["vm.totalNum"], used["vm.cpuNum"]) == (2, 2, 2)
    assert used["volume.capacity"] == 2 << 30
    assert len(await tenants.made.find("VmInstanceVO")) == 2


async def test_a_quota_that_does_not_exist(tenants):
    error = await tenants.refused("SYS.1007", "UpdateQuota", _admin(), **_quota(tenants.alice.account_uuid, "vm.numb"))
    assert "vm.num" in error.details
    admins = _quota("36c27e8ff05c4780bf6d2fa65700f22e", "vm.num")
    await tenants.made.world.db.write(
        lambda tx: rows.insert(tx, "AccountVO", uuid=admins["identityUuid"], name="admin", type="SystemAdmin")
    )
    await tenants.refused("SYS.1007", "UpdateQuota", _admin(), **admins)


def _quota(account, name):
    return {"identityUuid": account, "name": name, "value": 1}


async def test_what_could_be_attached_is_told_of_the_callers_own(tenants):
    made, iso = tenants.made, tenants.made.iso
    vms = {one: await tenants.vm(one) for one in (tenants.alice, tenants.bob)}
    volumes = {
        one: await made.call("CreateDataVolume", caller=one, name="data", diskSize=1 << 20)
        for one in (tenants.alice, tenants.bob)
    }

    async def uuids(caller, api, **of):
        return [found["uuid"] for found in await made.call(api, caller=caller, **of)]

    for one, other in ((tenants.alice, tenants.bob), (tenants.bob, tenants.alice)):
        vm, volume = {"vmInstanceUuid": vms[one]["uuid"]}, {"volumeUuid": volumes[one]["uuid"]}
        assert await uuids(one, "GetVmAttachableDataVolume", **vm) == [volumes[one]["uuid"]]
        assert await uuids(one, "GetDataVolumeAttachableVm", **volume) == [vms[one]["uuid"]]
        assert await uuids(one, "GetCandidateIsoForAttachingVm", **vm) == [], "nobody shared the ISO"
        await tenants.refused("SYS.1003", "GetVmAttachableDataVolume", other, **vm)
        await tenants.refused("SYS.1003", "GetDataVolumeAttachableVm", other, **volume)
        await tenants.refused("SYS.1003", "GetCandidateIsoForAttachingVm", other, **vm)
    assert len(await made.call("GetVmAttachableDataVolume", vmInstanceUuid=vms[tenants.bob]["uuid"])) == 2
    await made.call("ShareResource", resourceUuids=[iso], accountUuids=[tenants.alice.account_uuid])
    candidates = "GetCandidateIsoForAttachingVm"
    assert await uuids(tenants.alice, candidates, vmInstanceUuid=vms[tenants.alice]["uuid"]) == [iso]
    assert await uuids(tenants.bob, candidates, vmInstanceUuid=vms[tenants.bob]["uuid"]) == []


async def test_an_administrators_api_is_refused_to_others(cloud):
    stranger = Caller("a" * 32)
    for name, api in apis.items():
        if api.public or not api.admin_only:
            continue
        given = dict.fromkeys(api.model_fields, "0" * 32)
        message = api.model_construct(
            **{key: value for key, value in given.items() if key not in ("system_tags", "user_tags")}
        )
        with pytest.raises(ApiError) as refusal:
            await dispatch(cloud.world, cloud.engine, stranger, message)
        assert refusal.value.error.code == "ID.1002", name


def test_every_change_that_is_open_to_accounts_says_what_it_changes():
    """Else nothing would keep an account from others' resources."""
    for name, api in apis.items():
        if api.admin_only or api.public or api.kind != "change":
            continue
        own = {field for field, kind in api.references.items() if field == "uuid"} | set(api.changes)
        makes = getattr(api, "creates", "")
        dynamic = name in ("CreateSystemTag", "CreateUserTag", "DeleteTag", "ShareResource", "RevokeResourceSharing")
        assert own or makes or dynamic, name
        named = {field for field in api.model_fields if field.endswith(("uuid", "uuids")) and field != "resource_uuid"}
        judged = {*api.references, *api.changes}
        of_those = {
            "user_uuid",
            "backup_storage_uuids",
            "default_l3_network_uuid",
            "iso_uuid",
        }  # of what was judged already
        assert dynamic or named - judged <= of_those, (name, named - judged)
