"""steppe_volume_snapshot through real terraform: chains, deletion in any order, drift."""

import pytest

from tests.provider.test_vm import hcl
from tests.provider.test_volume import block, placed, said, volume

pytestmark = pytest.mark.terraform
__all__ = ["placed"]


def snapshot(name, of="steppe_volume.a.uuid", after=None, **more):
    order = {"depends_on": f"=[steppe_volume_snapshot.{after}]"} if after else {}
    return block("volume_snapshot", {"name": name, "volume_uuid": f"={of}"} | more | order, name)


def test_a_chain_and_the_deletion_of_its_middle(steppe, cloud, placed):
    one, two, three = snapshot("one"), snapshot("two", after="one"), snapshot("three", after="two")
    steppe.write(volume(placed) + one + two + three)
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()
    uuids = {name: state[f"steppe_volume_snapshot.{name}"]["uuid"] for name in ("one", "two", "three")}
    assert state["steppe_volume_snapshot.three"]["parent_uuid"] == uuids["two"]
    assert state["steppe_volume_snapshot.three"]["latest"] is True
    assert state["steppe_volume_snapshot.one"]["tree_uuid"] == state["steppe_volume_snapshot.three"]["tree_uuid"]
    steppe.write(volume(placed) + one + snapshot("three", after="one"))
    assert steppe.plan() == {"steppe_volume_snapshot.two": ["delete"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert cloud.only("volume-snapshots", uuid=uuids["three"])["parentUuid"] == uuids["one"]
    done = steppe.destroy()
    assert done.succeeded, done.output
    assert cloud.client.query("volumes") == cloud.client.query("volume-snapshots") == []


def test_of_a_running_vm_renamed_in_place_and_made_anew_for_another_volume(steppe, cloud, base, placed):
    vm = hcl(base)
    root = "steppe_vm.a.root_volume_uuid"
    steppe.write(vm + volume(placed) + snapshot("s", root))
    steppe.must_apply()
    assert steppe.plan() == {}
    first = cloud.only("volume-snapshots")
    assert first["volumeType"] == "Root" and cloud.only("vm-instances")["state"] == "Running"
    steppe.write(vm + volume(placed) + snapshot("s", root, description="before the upgrade", timeouts={"delete": "5h"}))
    assert steppe.plan() == {"steppe_volume_snapshot.s": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {} and cloud.only("volume-snapshots")["description"] == "before the upgrade"
    steppe.write(vm + volume(placed) + snapshot("s"))
    assert steppe.plan() == {"steppe_volume_snapshot.s": ["delete", "create"]}
    steppe.must_apply()
    assert cloud.only("volume-snapshots")["volumeType"] == "Data"


def test_what_others_deleted_is_planned_anew_and_what_is_gone_needs_no_deleting(steppe, cloud, placed):
    steppe.write(volume(placed) + snapshot("s"))
    steppe.must_apply()
    uuid = cloud.only("volume-snapshots")["uuid"]
    cloud.client.delete("DeleteVolumeSnapshot", f"/volume-snapshots/{uuid}", timeout=30)
    assert steppe.plan() == {"steppe_volume_snapshot.s": ["create"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    volume_uuid = cloud.only("volumes")["uuid"]
    cloud.client.delete("DeleteDataVolume", f"/volumes/{volume_uuid}", timeout=30)
    done = steppe.destroy()
    assert done.succeeded, done.output
    cloud.client.action(f"/volumes/{volume_uuid}", "expungeDataVolume", {}, timeout=30)
    assert cloud.client.query("volume-snapshots") == []


def test_a_snapshot_of_nothing_is_refused(steppe, cloud, placed):
    steppe.write(block("volume_snapshot", {"name": "s", "volume_uuid": "0" * 32}))
    text = said(steppe.apply())
    assert "SYS.1003" in text and "volume_uuid = " in text
    steppe.write(volume({"size": 512}) + snapshot("s"))
    assert "is NotInstantiated, it must be Ready" in said(steppe.apply())


def test_default_tags_are_put_on_volumes_and_snapshots(steppe, cloud, placed):
    head = 'provider "steppe" {\n  default_tags = ["team::blue"]\n}\n'
    steppe.write(head + volume(placed) + snapshot("s"))
    steppe.must_apply()
    assert steppe.plan() == {}
    tagged = {one["resourceUuid"] for one in cloud.client.query("user-tags")}
    assert tagged == {cloud.only("volumes")["uuid"], cloud.only("volume-snapshots")["uuid"]}
