"""A simple noun through its whole life, by REST: the shape all simple nouns share."""

from uuid import uuid4

import pytest


async def test_a_zone_lives_and_dies(api):
    zone = await api.create("/zones", name="z1", description="first")
    assert set(zone) == {"uuid", "name", "description", "state", "type", "createDate", "lastOpDate"}
    assert (zone["state"], zone["type"]) == ("Enabled", "zstack")
    path = f"/v1/zones/{zone['uuid']}"

    status, body = await api.run("PUT", f"{path}/actions", {"updateZone": {"name": "z2"}})
    assert (status, body["inventory"]["name"], body["inventory"]["description"]) == (200, "z2", "first")
    status, body = await api.run("PUT", f"{path}/actions", {"changeZoneState": {"stateEvent": "disable"}})
    assert body["inventory"]["state"] == "Disabled"
    assert (await api.http.get(path)).json()["inventories"] == [body["inventory"]]

    assert await api.run("DELETE", path) == (200, {})
    assert (await api.http.get(path)).json() == {"inventories": []}


async def test_deleting_what_is_absent_is_a_success(api):
    assert await api.run("DELETE", f"/v1/zones/{uuid4().hex}") == (200, {})


async def test_the_caller_may_choose_the_uuid_once(api):
    uuid = uuid4().hex
    assert (await api.create("/zones", name="z", resourceUuid=uuid))["uuid"] == uuid
    error = await api.refusal("POST", "/v1/zones", {"params": {"name": "y", "resourceUuid": uuid}})
    assert "exists already" in error["details"]
    assert (await api.http.get(f"/v1/zones/{uuid}")).json()["inventories"][0]["name"] == "z"


async def test_what_is_referred_to_must_exist(api):
    params = {"name": "c", "hypervisorType": "KVM", "zoneUuid": "0" * 32}
    error = await api.refusal("POST", "/v1/clusters", {"params": params}, code="SYS.1003")
    assert error["field"] == "zoneUuid"
    assert "there is no ZoneVO " + "0" * 32 in error["details"]
    await api.refusal("PUT", f"/v1/zones/{'0' * 32}/actions", {"updateZone": {"name": "x"}}, code="SYS.1003")


async def test_what_others_need_stays(api):
    zone = await api.create("/zones", name="z")
    cluster = await api.create("/clusters", name="c", hypervisorType="KVM", zoneUuid=zone["uuid"])
    error = await api.refusal("DELETE", f"/v1/zones/{zone['uuid']}", code="SYS.1006")
    assert "still has Cluster: c" in error["details"]
    assert await api.run("DELETE", f"/v1/clusters/{cluster['uuid']}") == (200, {})
    assert await api.run("DELETE", f"/v1/zones/{zone['uuid']}") == (200, {})


async def test_a_cluster_is_of_one_hypervisor(api):
    zone = await api.create("/zones", name="z")
    params = {"name": "c", "hypervisorType": "kvm", "zoneUuid": zone["uuid"]}
    error = await api.refusal("POST", "/v1/clusters", {"params": params})
    assert "'KVM' or 'Simulator'" in error["details"]


async def test_offerings_have_sizes(api):
    offering = await api.create("/instance-offerings", name="small", cpuNum=2, cpuSpeed=1000, memorySize=1 << 30)
    assert (offering["cpuNum"], offering["memorySize"], offering["type"]) == (2, 1 << 30, "UserVm")
    assert offering["allocatorStrategy"] == "DefaultHostAllocatorStrategy"
    disk = await api.create("/disk-offerings", name="10g", diskSize=10 << 30)
    assert (disk["diskSize"], disk["allocatorStrategy"]) == (10 << 30, "DefaultPrimaryStorageAllocationStrategy")
    assert disk["state"] == "Enabled"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpuNum", 0),
        ("cpuNum", 1025),
        ("cpuSpeed", 0),
        ("memorySize", 16 * 1024**2 - 1),
        ("memorySize", 2**63),
        ("type", "X"),
    ],
)
async def test_sizes_out_of_bounds_are_refused(api, field, value):
    params = {"name": "o", "cpuNum": 1, "cpuSpeed": 1000, "memorySize": 1 << 30} | {field: value}
    error = await api.refusal("POST", "/v1/instance-offerings", {"params": params})
    assert error["field"] == field


async def test_tags_come_and_go_with_their_resource(api):
    zone = await api.create("/zones", name="z", userTags=["a", "b"])
    body = (await api.http.get("/v1/user-tags?sort=tag&fields=tag,resourceType,resourceUuid")).json()
    expected = [{"tag": tag, "resourceType": "ZoneVO", "resourceUuid": zone["uuid"]} for tag in ("a", "b")]
    assert body["inventories"] == expected
    await api.run("DELETE", f"/v1/zones/{zone['uuid']}")
    assert (await api.http.get("/v1/user-tags")).json() == {"inventories": []}


async def test_tags_may_stand_beside_the_parameters(api):
    status, _ = await api.run("POST", "/v1/zones", {"params": {"name": "z"}, "userTags": ["x"]})
    assert status == 200
    assert [tag["tag"] for tag in (await api.http.get("/v1/user-tags")).json()["inventories"]] == ["x"]


async def test_an_unknown_system_tag_is_refused_before_anything_is_stored(api):
    error = await api.refusal("POST", "/v1/zones", {"params": {"name": "z"}, "systemTags": ["colour::red"]})
    assert "colour::red" in error["details"]
    assert (await api.http.get("/v1/zones")).json() == {"inventories": []}
