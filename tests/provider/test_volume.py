"""steppe_volume through real terraform: made from everything, changed, moved, grown, lost, imported, protected."""

import json
from typing import Any

import pytest

from provider.resources import Volume
from tests.provider.test_vm import hcl

pytestmark = pytest.mark.terraform
MIB = 1 << 20


def block(kind: str, attributes: dict[str, Any], name: str = "a") -> str:
    """JSON values are HCL expressions; a text that begins with `=` is one itself."""
    lines = ""
    for key, value in attributes.items():
        if value is not None:
            text = value[1:] if isinstance(value, str) and value.startswith("=") else json.dumps(value)
            lines += f"  {key} = {text}\n"
    return f'resource "steppe_{kind}" "{name}" {{\n{lines}}}\n'


def volume(attributes: dict[str, Any], name: str = "a") -> str:
    return block("volume", {"name": "data"} | attributes, name)


@pytest.fixture
def placed(land, cloud) -> dict[str, Any]:
    """A blank volume that has a file from the start."""
    return {
        "size": 64 * MIB,
        "primary_storage_uuid": land["steppe_local_storage.a"],
        "host_uuid": land["steppe_host.a"],
    }


def said(run) -> str:
    assert not run.succeeded, run.output
    return " ".join(run.output.replace("│", " ").split())


def planned(steppe) -> str:
    done = steppe.run("plan", "-no-color", "-input=false")
    return " ".join(done.output.replace("│", " ").split())


def left(cloud) -> list[Any]:
    """What volumes leave behind."""
    return [*cloud.client.query("volumes"), *cloud.client.query("volume-snapshots")]


def test_each_way_to_make_one_then_nothing_to_do_then_nothing_is_left(steppe, cloud, land, base, placed):
    where = {name: placed[name] for name in ("primary_storage_uuid", "host_uuid")}
    image = {"image_uuid": land["steppe_image.data"]} | where
    offering = land["steppe_disk_offering.a"]
    ways: dict[str, tuple[dict[str, Any], int, str]] = {
        "nowhere": ({"size": 32 * MIB}, 32 * MIB, "NotInstantiated"),
        "blank": (placed | {"description": "mine"}, 64 * MIB, "Ready"),
        "offering": ({"disk_offering_uuid": offering}, 1024 * MIB, "NotInstantiated"),
        "larger": ({"disk_offering_uuid": offering, "size": 1025 * MIB}, 1025 * MIB, "NotInstantiated"),
        "image": (image, 64 * MIB, "Ready"),
        "grown": (image | {"size": 80 * MIB}, 80 * MIB, "Ready"),
        "copy": ({"snapshot_uuid": "=steppe_volume_snapshot.s.uuid"}, 64 * MIB, "Ready"),
        "far": ({"snapshot_uuid": "=steppe_volume_snapshot.s.uuid", "host_uuid": land["steppe_host.b"]}, 64 * MIB, "Ready"),
    }  # fmt: skip
    snapshot = block("volume_snapshot", {"name": "s", "volume_uuid": "=steppe_volume.blank.uuid"}, "s")
    steppe.write(snapshot + "".join(volume(attributes, name) for name, (attributes, _, _) in ways.items()))
    steppe.must_apply()
    assert steppe.plan() == {}
    for name, (attributes, size, status) in ways.items():
        state = steppe.state()[f"steppe_volume.{name}"]
        seen = cloud.only("volumes", uuid=state["uuid"])
        assert (state["size"], state["status"]) == (seen["size"], seen["status"]) == (size, status), name
        assert state["host_uuid"] == attributes.get("host_uuid"), "a wish stays a wish"
        expected = None if status == "NotInstantiated" else attributes.get("host_uuid", land["steppe_host.a"])
        assert state["running_host_uuid"] == expected, name
        assert state["device_path"] == f"/dev/disk/by-id/virtio-{state['uuid'][:20]}"
    done = steppe.destroy()
    assert done.succeeded, done.output
    assert left(cloud) == []


UPDATES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"name": "renamed"}),
    ({}, {"description": "now with"}),
    ({"description": "with"}, {"description": None}),
    ({}, {"size": 96 * MIB}),
    ({}, {"expunge": False}),
    ({}, {"state": "Disabled"}),
    ({}, {"deletion_protection": True}),
    ({}, {"timeouts": {"update": "7h"}}),
]


@pytest.mark.parametrize("where", [True, False], ids=["with a file", "without"])
@pytest.mark.parametrize(
    ("before", "after"), UPDATES, ids=lambda one: "-".join(f"{k}:{v!s:.12}" for k, v in one.items())
)
def test_a_change_in_place(steppe, cloud, placed, before, after, where):
    first = (placed if where else {"size": placed["size"]}) | before
    steppe.write(volume(first))
    steppe.must_apply()
    uuid = cloud.only("volumes")["uuid"]
    steppe.write(volume(first | after))
    assert steppe.plan() == {"steppe_volume.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_volume.a"]
    for name, value in after.items():
        assert state[name] == (value | {"create": None, "delete": None} if name == "timeouts" else value)
    assert cloud.only("volumes", uuid=uuid)["size"] == state["size"]
    if state["expunge"] is False or state["deletion_protection"]:
        steppe.write(volume(first))  # leave the cloud empty
        steppe.must_apply()


def test_another_source_or_storage_makes_a_new_one_and_taking_it_back_does_not(steppe, cloud, land, placed):
    image = {"image_uuid": land["steppe_image.data"]} | placed | {"size": None}
    steppe.write(volume(image))
    steppe.must_apply()
    for name, value in {
        "image_uuid": land["steppe_image.a"],
        "disk_offering_uuid": land["steppe_disk_offering.a"],
        "primary_storage_uuid": "0" * 32,
    }.items():
        one = image | {name: value} | ({"image_uuid": None} if name == "disk_offering_uuid" else {})
        steppe.write(volume(one))
        assert steppe.plan() == {"steppe_volume.a": ["delete", "create"]}, name
        assert [[name]] == steppe.planned("steppe_volume.a")["replace_paths"]
    steppe.write(volume({"size": 64 * MIB}))  # source, storage and host taken back
    assert steppe.plan() == {}


def test_it_is_moved_in_place_with_its_snapshots_and_the_plan_says_so(steppe, cloud, land, placed):
    snapshot = block("volume_snapshot", {"name": "s", "volume_uuid": "=steppe_volume.a.uuid"})
    steppe.write(volume(placed) + snapshot)
    steppe.must_apply()
    before = steppe.state()
    there = land["steppe_host.b"]
    steppe.write(volume(placed | {"host_uuid": there, "size": 96 * MIB}) + snapshot)
    assert steppe.plan() == {"steppe_volume.a": ["update"]}
    text = planned(steppe)
    assert "Volume data will be moved with its snapshot" in text
    assert "From host host to host b: offline copy of 0." in text
    steppe.must_apply()
    assert steppe.plan() == {}
    after = steppe.state()
    assert after["steppe_volume.a"]["running_host_uuid"] == there and after["steppe_volume.a"]["size"] == 96 * MIB
    for uuid in (before["steppe_volume.a"]["uuid"], before["steppe_volume_snapshot.a"]["uuid"]):
        assert cloud.only("primary-storage/local-storage/resource-refs", resourceUuid=uuid)["hostUuid"] == there
    assert after["steppe_volume_snapshot.a"]["uuid"] == before["steppe_volume_snapshot.a"]["uuid"]
    # Somebody else moves it; a wish that is met already changes nothing but the state, and one taken back nothing.
    uuid = after["steppe_volume.a"]["uuid"]
    path, dest = f"/primary-storage/local-storage/volumes/{uuid}", {"destHostUuid": placed["host_uuid"]}
    cloud.client.action(path, "localStorageMigrateVolume", dest, timeout=60)
    steppe.write(volume(placed | {"size": 96 * MIB}) + snapshot)
    assert steppe.plan() == {"steppe_volume.a": ["update"]} and "will be moved" not in planned(steppe)
    steppe.must_apply()
    steppe.write(volume(placed | {"size": 96 * MIB, "host_uuid": None}) + snapshot)
    assert steppe.plan() == {}


def test_what_the_server_would_refuse_of_a_move_is_refused_in_the_plan(steppe, cloud, land, base, placed):
    here, there = land["steppe_host.a"], land["steppe_host.b"]
    steppe.write(volume({"size": MIB}))
    steppe.must_apply()
    steppe.write(volume({"size": MIB, "host_uuid": there, "primary_storage_uuid": None}))
    text = said(steppe.run("plan", "-no-color"))
    assert "Volume data cannot be moved" in text and "It has no file yet" in text and "host_uuid = " in text
    vm = hcl(base | {"host_uuid": here})
    attachment = block("volume_attachment", {"volume_uuid": "=steppe_volume.b.uuid", "vm_uuid": "=steppe_vm.a.uuid"})
    steppe.write(volume({"size": MIB}) + volume(placed, "b") + vm + attachment)
    steppe.must_apply()
    assert steppe.plan() == {}
    steppe.write(volume({"size": MIB}) + volume(placed | {"host_uuid": there}, "b") + vm + attachment)
    text = said(steppe.run("plan", "-no-color"))
    assert f"Volume data cannot be moved to host {there}" in text
    assert "is attached to VM vm" in text and "moves with its VM" in text
    steppe.write(volume({"size": MIB}) + volume(placed | {"host_uuid": "0" * 32}, "b") + vm)
    assert "there is no HostVO" in said(steppe.run("plan", "-no-color"))
    steppe.write(volume({"size": MIB}) + volume(placed, "b") + vm)
    steppe.must_apply()
    cloud.client.action(f"/hosts/{there}", "changeHostState", {"stateEvent": "disable"}, timeout=30)
    steppe.write(volume({"size": MIB}) + volume(placed | {"host_uuid": there}, "b") + vm)
    assert "is Disabled, it must be Enabled" in said(steppe.run("plan", "-no-color"))
    cloud.client.action(f"/hosts/{there}", "changeHostState", {"stateEvent": "enable"}, timeout=30)


def test_shrinking_is_refused_in_the_plan_whoever_made_it_large(steppe, cloud, placed):
    steppe.write(volume(placed))
    steppe.must_apply()
    steppe.write(volume(placed | {"size": 32 * MIB}))
    text = said(steppe.run("plan", "-no-color"))
    assert "Volume data cannot shrink" in text and f"set size to at least {64 * MIB}" in text and "size = " in text
    uuid = cloud.only("volumes")["uuid"]
    cloud.client.action(f"/volumes/data/resize/{uuid}", "resizeDataVolume", {"size": 80 * MIB}, timeout=30)
    steppe.write(volume(placed))
    assert f"set size to at least {80 * MIB}" in said(steppe.run("plan", "-no-color"))
    steppe.write(volume(placed | {"size": 80 * MIB}))
    assert steppe.plan() == {}


def test_a_volume_that_was_deleted_outside_is_planned_anew(steppe, cloud, placed):
    snapshot = block("volume_snapshot", {"name": "s", "volume_uuid": "=steppe_volume.a.uuid"})
    steppe.write(volume(placed) + snapshot)
    steppe.must_apply()
    uuid = cloud.only("volumes")["uuid"]
    cloud.client.delete("DeleteDataVolume", f"/volumes/{uuid}", timeout=30)
    assert steppe.plan() == {"steppe_volume.a": ["create"], "steppe_volume_snapshot.a": ["create"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert steppe.state()["steppe_volume.a"]["uuid"] != uuid
    cloud.client.action(f"/volumes/{uuid}", "expungeDataVolume", {}, timeout=30)


def test_import_then_nothing_to_do(steppe, cloud, land, base, placed):
    image = {"image_uuid": land["steppe_image.data"], "description": "d"} | placed | {"size": None}
    vm = hcl(base | {"host_uuid": land["steppe_host.a"]})
    text = volume(image) + volume({"size": MIB}, "b") + vm
    text += block("volume_attachment", {"volume_uuid": "=steppe_volume.a.uuid", "vm_uuid": "=steppe_vm.a.uuid"})
    text += block("volume_snapshot", {"name": "s", "volume_uuid": "=steppe_vm.a.root_volume_uuid"})
    steppe.write(text)
    steppe.must_apply()
    steppe.must_apply()  # now the state knows that the volume is attached
    before = steppe.state()
    (steppe.directory / "terraform.tfstate").unlink()
    for address, state in before.items():
        done = steppe.run("import", "-no-color", address, state["uuid"])
        assert done.succeeded, done.output
    assert steppe.plan() == {}
    after = steppe.state()
    for kind in ("volume", "volume_attachment", "volume_snapshot"):
        assert after[f"steppe_{kind}.a"] == before[f"steppe_{kind}.a"]
    root = steppe.run("import", "-no-color", "steppe_volume.root", before["steppe_vm.a"]["root_volume_uuid"])
    assert not root.succeeded
    steppe.write(text + volume({"size": MIB}, "root"))
    root = said(steppe.run("import", "-no-color", "steppe_volume.root", before["steppe_vm.a"]["root_volume_uuid"]))
    assert "is the root volume of VM" in root
    steppe.write(text)


def test_a_protected_volume_is_neither_destroyed_nor_replaced(steppe, cloud, land, placed):
    wished = placed | {"deletion_protection": True}
    steppe.write(volume(wished))
    steppe.must_apply()
    assert "steppe_volume data is protected" in said(steppe.run("plan", "-destroy", "-no-color"))
    steppe.write(volume(wished | {"disk_offering_uuid": land["steppe_disk_offering.b"], "size": None}))
    assert "A change of disk_offering_uuid needs a new one" in said(steppe.run("plan", "-no-color"))
    steppe.write(volume(wished | {"host_uuid": land["steppe_host.b"]}))
    assert steppe.plan() == {"steppe_volume.a": ["update"]}, "it may be moved"
    assert "is protected" in said(steppe.apply("-replace=steppe_volume.a"))
    assert cloud.only("volumes")["status"] == "Ready"
    steppe.write(volume(placed))
    steppe.must_apply()


def test_snapshots_that_others_took_are_not_deleted_with_it(steppe, cloud, base, placed):
    steppe.write(volume(placed) + hcl(base))
    steppe.must_apply()
    state = steppe.state()
    owners = {"volume data": state["steppe_volume.a"]["uuid"], "VM vm": state["steppe_vm.a"]["root_volume_uuid"]}
    made = [
        cloud.client.create("CreateVolumeSnapshot", f"/volumes/{uuid}/volume-snapshots", {"name": "backup"}, timeout=30)
        for uuid in owners.values()
    ]
    text = said(steppe.destroy())
    for owner, snapshot in zip(owners, made, strict=True):
        assert f"{owner} has snapshots that Terraform did not take" in text
        assert f"backup ({snapshot['uuid']})" in text
    assert cloud.only("vm-instances")["state"] == "Running"
    steppe.write(volume(placed | {"expunge": False}) + hcl(base))
    steppe.must_apply()
    steppe.write(hcl(base))
    steppe.must_apply()
    kept = cloud.only("volumes", uuid=owners["volume data"])
    assert kept["status"] == "Deleted", "it can be recovered, with its snapshot"
    cloud.client.action(f"/volumes/{kept['uuid']}", "expungeDataVolume", {}, timeout=30)
    cloud.client.delete("DeleteVolumeSnapshot", f"/volume-snapshots/{made[1]['uuid']}", timeout=60)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"disk_offering_uuid": "0" * 32}, ["SYS.1003", "disk_offering_uuid = "]),
        ({"snapshot_uuid": "0" * 32}, ["SYS.1003", "snapshot_uuid"]),
        ({"size": 1000}, ["1000 is not a multiple of 512", "size = 1000"]),
        ({"size": 0}, ["0 is not between 1", "size = 0"]),
        ({}, ["must say how large the volume is"]),
        ({"disk_offering_uuid": "0" * 32, "image_uuid": "0" * 32}, ["exclude each other", "image_uuid = "]),
        ({"size": MIB, "host_uuid": "0" * 32}, ["Missing primary_storage_uuid", "on which the volume is made"]),
        ({"size": MIB, "primary_storage_uuid": "0" * 32}, ["Missing host_uuid"]),
        ({"image_uuid": "0" * 32}, ["Missing host_uuid", "on the host that is named"]),
        ({"size": MIB, "primary_storage_uuid": "0" * 32, "host_uuid": "0" * 32}, ["SYS.1003", "_uuid = "]),
        ({"size": 1 << 50, "primary_storage_uuid": "HERE", "host_uuid": "HERE"}, ["PS.1000", "are free"]),
        ({"size": MIB, "primary_storage_uuid": "HERE", "host_uuid": "HERE", "image_uuid": "HERE"}, ["has 67108864 bytes"]),
    ],
)  # fmt: skip
def test_bad_input_is_refused_at_its_attribute_and_leaves_nothing(steppe, cloud, land, placed, attributes, words):
    here = placed | {"image_uuid": land["steppe_image.data"]}
    steppe.write(volume({name: here[name] if value == "HERE" else value for name, value in attributes.items()}))
    text = said(steppe.apply())
    for word in words:
        assert word in text, text
    assert steppe.state() == {} and left(cloud) == []


def test_every_attribute_is_changed_by_a_test_here():
    """A new attribute needs a case above."""
    cases = {name for _, after in UPDATES for name in after}
    elsewhere = {"disk_offering_uuid", "image_uuid", "snapshot_uuid", "primary_storage_uuid", "host_uuid"}
    settable = {name for name, one in Volume.schema.attributes.items() if one.required or one.optional}
    assert settable == cases | elsewhere
