"""Tags of resources that exist."""

import pytest

from controlplane.contract.error import ApiError


async def refusal(awaitable):
    with pytest.raises(ApiError) as failure:
        await awaitable
    return failure.value.error


async def test_a_system_tag_is_stored_verbatim_once(cloud):
    vm = await cloud.vm()
    tag = {"resourceType": "VmInstanceVO", "resourceUuid": vm["uuid"], "tag": "userdata::a: 1\\nb: '::'"}
    first = await cloud.call("CreateSystemTag", **tag)
    assert (first["tag"], first["type"], first["inherent"]) == (tag["tag"], "System", False)
    assert (await cloud.call("CreateSystemTag", **tag))["uuid"] == first["uuid"]
    assert (await refusal(cloud.call("CreateSystemTag", **(tag | {"tag": "userdata::other"})))).code == "SYS.1007"
    changed = await cloud.call("UpdateSystemTag", uuid=first["uuid"], tag="userdata::new")
    assert changed["tag"] == "userdata::new"
    assert (await refusal(cloud.call("UpdateSystemTag", uuid=first["uuid"], tag="sshkey::x"))).code == "SYS.1007"
    await cloud.call("DeleteTag", uuid=first["uuid"])
    assert await cloud.call("DeleteTag", uuid=first["uuid"]) == {}
    assert await cloud.find("SystemTagVO", resource_uuid=vm["uuid"]) == []


async def test_bad_system_tags(cloud):
    vm = await cloud.vm()
    good = {"resourceType": "VmInstanceVO", "resourceUuid": vm["uuid"], "tag": "sshkey::k"}
    for change, code in (
        ({"resourceType": "SofaVO"}, "SYS.1007"),
        ({"resourceUuid": "f" * 32}, "SYS.1003"),
        ({"tag": "colour::red"}, "SYS.1007"),
        ({"tag": "hostname::-"}, "SYS.1007"),
        ({"tag": f"staticIp::{'f' * 32}::10.0.0.9"}, "SYS.1007"),
        ({"tag": f"staticIp::{cloud.l3}::10.0.255.254"}, "SYS.1007"),
        ({"resourceType": "ZoneVO", "resourceUuid": cloud.zone}, "SYS.1007"),
    ):
        assert (await refusal(cloud.call("CreateSystemTag", **(good | change)))).code == code, change


async def test_user_tags_are_free_text(cloud):
    tag = await cloud.call("CreateUserTag", resourceType="ZoneVO", resourceUuid=cloud.zone, tag="anything, at all")
    (found,) = await cloud.call("QueryUserTag")
    assert found == tag
    await cloud.call("DeleteTag", uuid=tag["uuid"])
    assert await cloud.call("QueryUserTag") == []
