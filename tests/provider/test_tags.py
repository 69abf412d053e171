"""Tags as resources, and the default tags of the provider block."""

import pytest

from tests.provider.test_vm import KEYS, hcl, vms

pytestmark = pytest.mark.terraform


def tag(kind: str, resource: str, resource_type: str, text: str, name: str = "t") -> str:
    return (
        f'resource "steppe_{kind}_tag" "{name}" {{\n  resource_uuid = {resource}\n'
        f'  resource_type = "{resource_type}"\n  tag = "{text}"\n}}\n'
    )


def tags(cloud, kind: str) -> list[str]:
    found = cloud.client.query(f"{kind}-tags")
    return sorted(one["tag"] for one in found if not one.get("inherent"))


def test_system_tags_live_beside_the_vm(steppe, cloud, base):
    text = hcl(base | {"hostname": "h"}) + tag("system", "steppe_vm.a.uuid", "VmInstanceVO", f"sshkey::{KEYS[0]}")
    steppe.write(text)
    steppe.must_apply()
    assert steppe.plan() == {}
    assert tags(cloud, "system") == ["hostname::h", f"sshkey::{KEYS[0]}"]
    first = steppe.state()["steppe_system_tag.t"]["uuid"]
    steppe.write(text.replace(KEYS[0], KEYS[1]).replace('"vm"', '"renamed"'))
    assert steppe.plan() == {"steppe_system_tag.t": ["update"], "steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {} and steppe.state()["steppe_system_tag.t"]["uuid"] == first
    assert tags(cloud, "system") == ["hostname::h", f"sshkey::{KEYS[1]}"]
    steppe.run("state", "rm", "steppe_system_tag.t")
    refused = steppe.apply()
    assert "The tag exists" in refused.output and first in refused.output
    done = steppe.run("import", "-no-color", "steppe_system_tag.t", first)
    assert done.succeeded, done.output
    assert steppe.plan() == {}
    cloud.client.delete("DeleteTag", f"/tags/{first}", timeout=10)
    assert steppe.plan() == {"steppe_system_tag.t": ["create"]}
    steppe.write(hcl(base | {"hostname": "h"}))
    steppe.must_apply()
    assert tags(cloud, "system") == ["hostname::h"]


def test_a_user_tag_is_made_replaced_imported_and_removed(steppe, cloud):
    zone = 'resource "steppe_zone" "z" {\n  name = "z"\n}\n'
    steppe.write(zone + tag("user", "steppe_zone.z.uuid", "ZoneVO", "blue"))
    steppe.must_apply()
    assert steppe.plan() == {} and tags(cloud, "user") == ["blue"]
    uuid = steppe.state()["steppe_user_tag.t"]["uuid"]
    steppe.run("state", "rm", "steppe_user_tag.t")
    assert steppe.run("import", "-no-color", "steppe_user_tag.t", uuid).succeeded
    assert steppe.plan() == {}
    steppe.write(zone + tag("user", "steppe_zone.z.uuid", "ZoneVO", "green"))
    assert steppe.plan() == {"steppe_user_tag.t": ["delete", "create"]}
    steppe.must_apply()
    assert tags(cloud, "user") == ["green"]
    steppe.write(zone + tag("user", "steppe_zone.z.uuid", "HostVO", "green"))
    failed = steppe.apply()
    assert "SYS.1003" in failed.output and "resource_uuid" in failed.output


def test_default_tags_are_put_on_everything(steppe, cloud, base):
    steppe.write('provider "steppe" {\n  default_tags = ["team::blue", "mine"]\n}\n' + hcl(base))
    steppe.must_apply()
    assert steppe.plan() == {} and tags(cloud, "user") == ["mine", "team::blue"]
    (vm,) = vms(cloud)
    assert {one["resourceUuid"] for one in cloud.client.query("user-tags")} == {vm["uuid"]}
    steppe.destroy()
    assert tags(cloud, "user") == []
