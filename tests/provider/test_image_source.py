"""Images that are made from volumes and snapshots, and groups of snapshots, through real terraform."""

import pytest

from tests.provider.test_vm import hcl
from tests.provider.test_volume import block, placed, said, volume
from tests.provider.test_volume_snapshot import snapshot
from tools.dev.cloud import ROOT as TREE

pytestmark = pytest.mark.terraform
__all__ = ["placed"]
ROOT = "=steppe_vm.a.root_volume_uuid"


def image(source, of=ROOT, name="made", **more):
    return block("image", {"name": name, source: of} | more, name)


def test_an_image_of_a_root_volume_and_a_vm_from_it(steppe, cloud, land, base):
    stopped = hcl(base | {"power_state": "stopped"})
    steppe.write(stopped + image("root_volume_uuid", guest_os_type="Debian 12"))
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_image.made"]
    assert (state["media_type"], state["format"], state["status"]) == ("RootVolumeTemplate", "qcow2", "Ready")
    assert state["image_store_uuids"] == [land["steppe_image_store.a"]] and state["guest_os_type"] == "Debian 12"
    assert state["url"] == f"volume://{steppe.state()['steppe_vm.a']['root_volume_uuid']}"

    steppe.write(stopped + image("root_volume_uuid", description="golden", platform="Other"))
    assert steppe.plan() == {"steppe_image.made": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}

    copy = hcl(base | {"name": "copy"}, "copy").replace(f'"{base["image_uuid"]}"', "steppe_image.made.uuid")
    steppe.write(stopped + image("root_volume_uuid", description="golden", platform="Other") + copy)
    steppe.must_apply()
    assert steppe.plan() == {} and cloud.only("vm-instances", name="copy")["state"] == "Running"

    steppe.write(stopped + image("root_volume_uuid", description="golden", platform="Other"))
    steppe.must_apply()
    assert steppe.run("state", "rm", "steppe_image.made").succeeded
    done = steppe.run("import", "-no-color", "steppe_image.made", state["uuid"])
    assert done.succeeded, done.output
    assert steppe.plan() == {"steppe_image.made": ["update"]}, "nobody knows where it came from, and it stays"
    steppe.must_apply()
    assert steppe.plan() == {} and cloud.only("images", name="made")["uuid"] == state["uuid"]


def test_of_a_snapshot_while_the_vm_runs_and_of_a_data_volume(steppe, cloud, base, placed):
    vm = hcl(base)
    text = vm + snapshot("s", "steppe_vm.a.root_volume_uuid") + volume(placed)
    steppe.write(text + image("snapshot_uuid", "=steppe_volume_snapshot.s.uuid", "one"))
    steppe.must_apply()
    assert steppe.plan() == {} and cloud.only("vm-instances")["state"] == "Running"
    assert steppe.state()["steppe_image.one"]["media_type"] == "RootVolumeTemplate"
    both = image("snapshot_uuid", "=steppe_volume_snapshot.s.uuid", "one")
    both += image("volume_uuid", "=steppe_volume.a.uuid", "two", platform="Other", guest_os_type="data")
    steppe.write(text + both)
    steppe.must_apply()
    assert steppe.plan() == {}
    two = steppe.state()["steppe_image.two"]
    assert (two["media_type"], two["platform"], two["guest_os_type"]) == ("DataVolumeTemplate", "Other", "data")
    steppe.write(text + both.replace("volume_uuid = steppe_volume.a.uuid", f"volume_uuid = {ROOT[1:]}"))
    assert steppe.plan() == {"steppe_image.two": ["delete", "create"]}
    steppe.write(text + both)


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        (
            {"root_volume_uuid": "0" * 32, "volume_uuid": "0" * 32},
            "root_volume_uuid and volume_uuid exclude each other",
        ),
        ({}, "Where does the image come from? Exactly one of url, root_volume_uuid, snapshot_uuid, volume_uuid"),
        ({"url": "https://x/x", "image_store_uuids": ["0" * 32]}, "An image from a url needs format"),
        ({"url": "https://x/x", "format": "raw"}, "An image from a url needs image_store_uuids"),
        ({"snapshot_uuid": "0" * 32, "format": "raw"}, "leave it out with snapshot_uuid"),
    ],
)
def test_one_source_and_what_goes_with_it(steppe, attributes, complaint):
    steppe.write(block("image", {"name": "i"} | attributes))
    ((_, detail, _),) = steppe.complaints()
    assert complaint in detail


def test_a_running_vm_is_told_to_be_stopped_first(steppe, cloud, base):
    steppe.write(hcl(base) + image("root_volume_uuid"))
    assert "Running" in said(steppe.apply())
    assert cloud.client.query("images", name="made") == []
    steppe.write(hcl(base))


def group(**more):
    attached = "=[steppe_volume_attachment.a]"
    return block("volume_snapshot_group", {"name": "g", "root_volume_uuid": ROOT, "depends_on": attached} | more)


def test_a_group_of_all_disks_at_one_instant(steppe, cloud, land, base, placed):
    on_b = base | {"host_uuid": land["steppe_host.b"]}
    disks = volume(placed | {"host_uuid": land["steppe_host.b"]})
    disks += block("volume_attachment", {"vm_uuid": "=steppe_vm.a.uuid", "volume_uuid": "=steppe_volume.a.uuid"})
    steppe.write(hcl(on_b) + disks + group())
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()
    made, vm = state["steppe_volume_snapshot_group.a"], state["steppe_vm.a"]
    assert [one["volume_type"] for one in made["snapshots"]] == ["Root", "Data"] and made["snapshot_count"] == 2
    assert made["snapshots"][0]["volume_uuid"] == vm["root_volume_uuid"] and made["vm_uuid"] == vm["uuid"]

    steppe.write(hcl(on_b) + disks + group(timeouts={"delete": "5h"}))
    assert steppe.plan() == {"steppe_volume_snapshot_group.a": ["update"]}
    steppe.must_apply()
    assert steppe.run("state", "rm", "steppe_volume_snapshot_group.a").succeeded
    done = steppe.run("import", "-no-color", "steppe_volume_snapshot_group.a", made["uuid"])
    assert done.succeeded, done.output
    steppe.write(hcl(on_b) + disks + group())
    assert steppe.plan() == {}

    steppe.write(hcl(on_b) + disks + group(name="another"))
    assert steppe.plan() == {"steppe_volume_snapshot_group.a": ["delete", "create"]}
    steppe.must_apply()
    (one, two) = cloud.client.query("volume-snapshots")
    cloud.client.delete("DeleteVolumeSnapshot", f"/volume-snapshots/{one['uuid']}", timeout=60)
    assert steppe.plan() == {}, "what others deleted of it is not taken again: the instant is past"
    cloud.client.delete("DeleteVolumeSnapshot", f"/volume-snapshots/{two['uuid']}", timeout=60)
    assert steppe.plan() == {"steppe_volume_snapshot_group.a": ["create"]}
    steppe.must_apply()
    steppe.write(hcl(on_b) + disks)
    steppe.must_apply()
    assert cloud.client.query("volume-snapshots") == cloud.client.query("volume-snapshots/group") == []


def test_the_example(steppe, cloud, base):
    """A simulated guest reads its metadata; that a real one's cloud-init calls is tried by a journey."""
    wished = {name: base[name] for name in ("image_uuid", "instance_offering_uuid")}
    wished |= {"network_uuid": base["network_uuids"][0], "wait_for": "metadata"}
    steppe.environment |= {f"TF_VAR_{name}": value for name, value in wished.items()}
    (steppe.directory / "main.tf").write_text((TREE / "examples/golden-image/main.tf").read_text())
    steppe.must_apply()
    assert steppe.plan() == {}
    states = {one["name"]: one["state"] for one in cloud.client.query("vm-instances")}
    assert states == dict.fromkeys(("builder", "web-1", "web-2"), "Running")
    said_ = " ".join(steppe.run("output", "-no-color").output.split())
    assert 'boots_from = tolist([ "HardDisk", ])' in said_ and "snapshots = 1" in said_
