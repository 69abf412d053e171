"""Tags of resources that exist: what is stored, what is refused, and what a running VM is served from then on."""

import base64
import email

import pytest

from controlplane.contract.error import ApiError

A, B = (
    f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{code * 10}{code[:3]} {name}"
    for code, name in (("GFhY", "a"), ("GJiY", "b"))
)
BLOB_A, BLOB_B = A.split()[1], B.split()[1]


async def refusal(awaitable):
    with pytest.raises(ApiError) as failure:
        await awaitable
    return failure.value.error


def on(vm, tag):
    return {"resourceType": "VmInstanceVO", "resourceUuid": vm["uuid"], "tag": tag}


def served(cloud, vm):
    """What the VM's host says to it now."""
    snapshot = cloud.sims[vm["hostUuid"]].network.snapshot
    (found,) = (one for one in snapshot.instances if one.vm_uuid == vm["uuid"])
    return found


def data(instance):
    return base64.b64decode(instance.user_data_base64).decode()


async def test_a_system_tag_is_stored_verbatim_once(cloud):
    vm = await cloud.vm()
    tag = on(vm, "userdata::a: 1\\nb: '::'")
    first = await cloud.call("CreateSystemTag", **tag)
    assert (first["tag"], first["type"], first["inherent"]) == (tag["tag"], "System", False)
    assert (await cloud.call("CreateSystemTag", **tag))["uuid"] == first["uuid"]
    assert (await refusal(cloud.call("CreateSystemTag", **(tag | {"tag": "userdata::other"})))).code == "SYS.1007"
    changed = await cloud.call("UpdateSystemTag", uuid=first["uuid"], tag="userdata::new")
    assert changed["tag"] == "userdata::new"
    assert (await refusal(cloud.call("UpdateSystemTag", uuid=first["uuid"], tag=f"sshkey::{A}"))).code == "SYS.1007"
    await cloud.call("DeleteTag", uuid=first["uuid"])
    assert await cloud.call("DeleteTag", uuid=first["uuid"]) == {}
    assert await cloud.find("SystemTagVO", resource_uuid=vm["uuid"]) == []


async def test_bad_system_tags(cloud):
    vm = await cloud.vm()
    good = on(vm, f"sshkey::{A}")
    for change, code in (
        ({"resourceType": "SofaVO"}, "SYS.1007"),
        ({"resourceUuid": "f" * 32}, "SYS.1003"),
        ({"tag": "colour::red"}, "SYS.1007"),
        ({"tag": "hostname::-"}, "SYS.1007"),
        ({"tag": f"staticIp::{'f' * 32}::10.0.0.9"}, "SYS.1007"),
        ({"tag": f"staticIp::{cloud.l3}::10.0.255.254"}, "SYS.1007"),
        ({"tag": "sshkey::ssh-rsa"}, "SYS.1007"),
        ({"tag": f"sshkey::{A[:-20]}"}, "SYS.1007"),
        ({"tag": "userdata::#cloud-config\\n  a: [\\n"}, "SYS.1007"),
        ({"tag": "userdata::" + "x" * (64 * 1024)}, "SYS.1007"),
        ({"tag": "userdata::a\0b"}, "SYS.1007"),
        ({"tag": "userdata::\ud800"}, "SYS.1007"),
        ({"tag": "rootPassword::"}, "SYS.1007"),
        ({"tag": "metadataTokens::maybe"}, "SYS.1007"),
        ({"tag": "cpuMode::fast"}, "SYS.1007"),
        ({"tag": f"iso::{cloud.iso}"}, "SYS.1006"),
        ({"tag": "bootOrder::CdRom"}, "SYS.1006"),
        ({"resourceType": "ZoneVO", "resourceUuid": cloud.zone}, "SYS.1007"),
    ):
        assert (await refusal(cloud.call("CreateSystemTag", **(good | change)))).code == code, change
    assert await cloud.find("SystemTagVO", resource_uuid=vm["uuid"]) == []


async def test_a_broken_text_is_refused_with_its_place_and_an_odd_one_is_told(cloud):
    vm = await cloud.vm()
    error = await refusal(cloud.call("CreateSystemTag", **on(vm, "userdata::users:\\n  - name: x\\n   groups: y\\n")))
    assert "line 3, column 4" in error.details
    made = await cloud.answer("CreateSystemTag", **on(vm, "userdata::pakages: [vim]\\n"))
    (warned,) = made["warnings"]
    assert warned == {
        "tag": "userdata",
        "details": 'user data, line 1, column 1: pakages is no key that cloud-init knows, did you mean "packages"?',
    }
    changed = await cloud.answer("UpdateSystemTag", uuid=made["inventory"]["uuid"], tag="userdata::packages: [vim]")
    assert "warnings" not in changed
    born = await cloud.answer("CreateVmInstance", **cloud.standard(), systemTags=["userdata::packages: vim"])
    (warned,) = born["warnings"]
    assert warned["details"] == "user data, line 1, column 11: packages should be a list, it is text"


async def test_inherent_tags_belong_to_the_system(cloud):
    vm = await cloud.vm(imageUuid=cloud.iso, rootDiskOfferingUuid=cloud.disk)
    (tag,) = await cloud.find("SystemTagVO", resource_uuid=vm["uuid"], inherent=True)
    for call in (
        cloud.call("UpdateSystemTag", uuid=tag["uuid"], tag=f"iso::{'f' * 32}"),
        cloud.call("DeleteTag", uuid=tag["uuid"]),
        cloud.vm(systemTags=[f"iso::{cloud.iso}"]),
    ):
        assert (await refusal(call)).code == "SYS.1006"
    assert await cloud.find("SystemTagVO", resource_uuid=vm["uuid"], inherent=True) == [tag]


async def test_host_names_are_unique_among_vms_of_a_default_network(cloud):
    await cloud.vm(systemTags=["hostname::web"])
    other = await cloud.vm()
    assert (await refusal(cloud.call("CreateSystemTag", **on(other, "hostname::web")))).code == "SYS.1007"
    assert (await refusal(cloud.vm(systemTags=["hostname::web"]))).code == "SYS.1007"
    tag = await cloud.call("CreateSystemTag", **on(other, "hostname::db"))
    assert (await refusal(cloud.call("UpdateSystemTag", uuid=tag["uuid"], tag="hostname::web"))).code == "SYS.1007"


async def test_a_running_vm_is_served_anew_when_the_job_ends(cloud):
    vm = await cloud.vm(systemTags=["userdata::#!/bin/sh\\necho one"])
    assert data(served(cloud, vm)) == "#!/bin/sh\necho one"
    (tag,) = await cloud.find("SystemTagVO", resource_uuid=vm["uuid"])
    await cloud.call("UpdateSystemTag", uuid=tag["uuid"], tag="userdata::#!/bin/sh\\necho two")
    assert data(served(cloud, vm)) == "#!/bin/sh\necho two"
    await cloud.call("DeleteTag", uuid=tag["uuid"])
    assert data(served(cloud, vm)) == ""
    await cloud.call("CreateSystemTag", **on(vm, "hostname::web"))
    strict = await cloud.answer("CreateSystemTag", **on(vm, "metadataTokens::required"))
    told = {one["tag"]: one["details"] for one in strict["warnings"]}
    assert "gets 401" in told["metadataTokens"]
    await cloud.call("CreateSystemTag", **on(vm, "rootPassword::geheim: {[#"))
    told = served(cloud, vm)
    assert (told.hostname, told.tokens) == ("web", "required")
    assert '"root:geheim: {[#"' in data(told)


async def test_keys_come_and_go(cloud):
    vm = await cloud.vm(systemTags=[f"sshkey::{A}"])
    assert served(cloud, vm).public_keys == [A]
    await cloud.call("CreateSystemTag", **on(vm, f"sshkey::{B}"))
    assert served(cloud, vm).public_keys == [A, B]
    first, second = await cloud.find("SystemTagVO", resource_uuid=vm["uuid"], order_by=("create_date",))
    await cloud.call("DeleteTag", uuid=first["uuid"])
    told = served(cloud, vm)
    assert told.public_keys == [B]
    assert BLOB_A in revocation(told) and BLOB_B not in revocation(told), "cloud-init itself never takes a key away"
    await cloud.call("UpdateSystemTag", uuid=second["uuid"], tag=f"sshkey::{A}")
    told = served(cloud, vm)
    assert BLOB_B in revocation(told) and BLOB_A not in revocation(told), "given again, it is revoked no more"


def revocation(instance):
    parts = email.message_from_string(data(instance)).get_payload()
    (script,) = (part for part in parts if part.get_filename() == "revoked-keys")
    return script.get_payload(decode=True).decode()


@pytest.mark.parametrize("running", [True, False])
async def test_a_rerun_is_a_new_instance_id(cloud, running):
    vm = await cloud.vm()
    assert served(cloud, vm).instance_id == vm["uuid"]
    if not running:
        await cloud.call("StopVmInstance", uuid=vm["uuid"])
    for _ in range(2):
        assert (await cloud.call("RerunCloudInit", uuid=vm["uuid"]))["uuid"] == vm["uuid"]
    if not running:
        vm = await cloud.call("StartVmInstance", uuid=vm["uuid"])
    assert served(cloud, vm).instance_id == f"{vm['uuid']}-2"
    await cloud.call("DestroyVmInstance", uuid=vm["uuid"])
    assert (await refusal(cloud.call("RerunCloudInit", uuid=vm["uuid"]))).code == "SYS.1006"
    assert (await refusal(cloud.call("RerunCloudInit", uuid="f" * 32))).code == "SYS.1003"


async def test_a_freed_address_never_brings_the_old_owners_data(cloud):
    first = await cloud.vm(systemTags=["userdata::#!secret of the first"])
    await cloud.call("DestroyVmInstance", uuid=first["uuid"])
    second = await cloud.vm(systemTags=[f"staticIp::{cloud.l3}::{first['vmNics'][0]['ip']}"])
    assert second["vmNics"][0]["ip"] == first["vmNics"][0]["ip"]
    for sim in cloud.sims.values():
        assert first["uuid"] not in sim.network.snapshot.model_dump_json()
    assert data(served(cloud, second)) == ""


async def test_user_tags_are_free_text_on_every_resource(cloud):
    vm = await cloud.vm()
    resources = {
        "ZoneVO": cloud.zone, "ClusterVO": cloud.cluster, "HostVO": cloud.hosts[0], "PrimaryStorageVO": cloud.storage,
        "ImageVO": cloud.image, "InstanceOfferingVO": cloud.offering, "DiskOfferingVO": cloud.disk,
        "L2NetworkVO": cloud.l2, "L3NetworkVO": cloud.l3, "VmInstanceVO": vm["uuid"], "VmNicVO": vm["vmNics"][0]["uuid"],
        "VolumeVO": vm["rootVolumeUuid"], "IpRangeVO": (await cloud.call("QueryIpRange"))[0]["uuid"],
    }  # fmt: skip
    for resource_type, uuid in resources.items():
        tag = await cloud.call("CreateUserTag", resourceType=resource_type, resourceUuid=uuid, tag="anything, at all")
        assert await cloud.call("QueryUserTag") == [tag]
        again = await cloud.call("CreateUserTag", resourceType=resource_type, resourceUuid=uuid, tag=tag["tag"])
        assert again == tag and await cloud.call("QueryUserTag") == [tag]
        await cloud.call("DeleteTag", uuid=tag["uuid"])
    assert await cloud.call("QueryUserTag") == []


async def test_tags_go_with_their_resource(cloud):
    for api, delete, parameters in (
        ("CreateZone", "DeleteZone", {}),
        ("CreateDiskOffering", "DeleteDiskOffering", {"diskSize": 1 << 30}),
        ("CreateL3Network", "DeleteL3Network", {"l2NetworkUuid": cloud.l2}),
    ):
        made = await cloud.call(api, name="short-lived", userTags=["note"], **parameters)
        assert [tag["resource_uuid"] for tag in await cloud.find("UserTagVO")] == [made["uuid"]]
        await cloud.call(delete, uuid=made["uuid"])
        assert await cloud.find("UserTagVO") == []
