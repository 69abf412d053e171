"""steppe_volume_attachment and the data sources about volumes, through real terraform."""

import time

import pytest

from tests.provider.test_vm import hcl
from tests.provider.test_volume import MIB, block, placed, said, volume

pytestmark = pytest.mark.terraform
__all__ = ["placed"]


def attachment(volume_name="a", vm="a", name="a", **more):
    uuids = {"volume_uuid": f"=steppe_volume.{volume_name}.uuid", "vm_uuid": f"=steppe_vm.{vm}.uuid"}
    return block("volume_attachment", uuids | more, name)


def disks(cloud):
    """Volumes of each VM, by the hosts' own words."""
    return {vm["uuid"]: sorted(one["uuid"] for one in vm["spec"]["disks"]) for vm in cloud.on_hosts("/v1/vms")}


@pytest.mark.parametrize("power", ["running", "stopped"])
def test_attach_go_on_detach(steppe, cloud, base, land, power):
    """A volume without a file gets one where the VM is; the next plans are empty; detaching keeps the data."""
    vm = hcl(base | {"power_state": power})
    steppe.write(vm + volume({"size": MIB}) + attachment())
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()
    made, uuid = state["steppe_volume_attachment.a"], state["steppe_volume.a"]["uuid"]
    seen = cloud.only("volumes", uuid=uuid)
    assert (seen["vmInstanceUuid"], seen["status"]) == (state["steppe_vm.a"]["uuid"], "Ready")
    assert (made["uuid"], made["device_id"], made["device_path"]) == (uuid, 1, f"/dev/disk/by-id/virtio-{uuid[:20]}")
    steppe.write(vm.replace('"vm"', '"renamed"') + volume({"size": MIB}) + attachment(timeouts={"delete": "5m"}))
    assert steppe.plan() == {"steppe_vm.a": ["update"], "steppe_volume_attachment.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {} and cloud.only("volumes", uuid=uuid)["lastAttachDate"] == seen["lastAttachDate"]
    steppe.write(vm + volume({"size": MIB}))
    steppe.must_apply()
    assert steppe.plan() == {}
    after = cloud.only("volumes", uuid=uuid)
    assert "vmInstanceUuid" not in after and after["status"] == "Ready"
    steppe.must_apply()  # what changed outside of a volume's own resource is in the state from the next apply on
    state = steppe.state()["steppe_volume.a"]
    assert state["vm_uuid"] is None and state["running_host_uuid"] in (land["steppe_host.a"], land["steppe_host.b"])


def test_drift_and_others(steppe, cloud, base, land):
    here = {"host_uuid": land["steppe_host.a"]}
    vms = hcl(base | here) + hcl(base | here | {"name": "other"}, "b")
    steppe.write(vms + volume({"size": MIB}) + attachment())
    steppe.must_apply()
    state = steppe.state()
    uuid, other = state["steppe_volume.a"]["uuid"], state["steppe_vm.b"]["uuid"]
    cloud.client.delete("DetachDataVolumeFromVm", f"/volumes/{uuid}/vm-instances", timeout=30)
    assert steppe.plan() == {"steppe_volume_attachment.a": ["create"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    # In another VM by somebody else's hand: it stays there.
    cloud.client.delete("DetachDataVolumeFromVm", f"/volumes/{uuid}/vm-instances", timeout=30)
    cloud.client.create("AttachDataVolumeToVm", f"/volumes/{uuid}/vm-instances/{other}", {}, timeout=30)
    assert steppe.plan() == {"steppe_volume_attachment.a": ["create"]}
    assert f"is attached to VM {other} already" in said(steppe.apply())
    steppe.write(vms + volume({"size": MIB}) + attachment(vm="b"))
    text = said(steppe.apply())
    assert "The volume is attached" in text and f"import {uuid}" in text
    assert steppe.run("import", "-no-color", "steppe_volume_attachment.a", uuid).succeeded
    assert steppe.plan() == {}
    steppe.write(vms + volume({"size": MIB}) + attachment(vm="a"))
    assert steppe.plan() == {"steppe_volume_attachment.a": ["delete", "create"]}
    steppe.must_apply()
    assert steppe.plan() == {} and cloud.only("volumes", uuid=uuid)["vmInstanceUuid"] == state["steppe_vm.a"]["uuid"]
    gone = steppe.run("import", "-no-color", "steppe_volume_attachment.b", "0" * 32)
    assert not gone.succeeded


def test_a_new_vm_gets_the_volume_of_the_old_one(steppe, cloud, base, land):
    here = base | {"host_uuid": land["steppe_host.a"]}
    steppe.write(hcl(here) + volume({"size": MIB}) + attachment())
    steppe.must_apply()
    before = steppe.state()
    steppe.write(hcl(here | {"image_uuid": land["steppe_image.b"]}) + volume({"size": MIB}) + attachment())
    assert steppe.plan() == {"steppe_vm.a": ["delete", "create"], "steppe_volume_attachment.a": ["delete", "create"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    after = steppe.state()
    assert after["steppe_volume.a"]["uuid"] == before["steppe_volume.a"]["uuid"]
    assert after["steppe_vm.a"]["uuid"] != before["steppe_vm.a"]["uuid"]


def test_the_volume_goes_where_its_vm_goes(steppe, cloud, base, land):
    def configuration(host):
        vm = hcl(base | {"host_uuid": land[host], "allow_restart": True})
        return vm + volume({"size": MIB}) + attachment()

    steppe.write(configuration("steppe_host.a"))
    steppe.must_apply()
    steppe.write(configuration("steppe_host.b"))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    steppe.must_apply()
    assert steppe.state()["steppe_volume.a"]["running_host_uuid"] == land["steppe_host.b"]


def test_a_volume_on_another_host_is_refused_with_what_to_do(steppe, base, land, placed):
    vm = hcl(base | {"host_uuid": land["steppe_host.b"]})
    steppe.write(vm + volume(placed) + attachment())
    text = said(steppe.apply())
    assert "AttachDataVolumeToVm failed" in text and "move one of them first" in text
    steppe.write(vm + volume(placed) + attachment(volume_uuid="0" * 32))
    assert "SYS.1003" in said(steppe.apply())


def test_destroying_a_vm_keeps_data_volumes_that_others_attached(steppe, cloud, base):
    path = "/global-configurations/vm/dataVolume.deleteOnVmDestroy"
    cloud.client.action(path, "updateGlobalConfig", {"value": "true"}, timeout=10)
    try:
        steppe.write(hcl(base))
        steppe.must_apply()
        vm = steppe.state()["steppe_vm.a"]["uuid"]
        made = cloud.client.create("CreateDataVolume", "/volumes/data", {"name": "x", "diskSize": MIB}, timeout=30)
        cloud.client.create("AttachDataVolumeToVm", f"/volumes/{made['uuid']}/vm-instances/{vm}", {}, timeout=30)
        done = steppe.destroy()
        assert done.succeeded, done.output
        assert cloud.only("volumes")["status"] == "Ready"
        cloud.client.delete("DeleteDataVolume", f"/volumes/{made['uuid']}", timeout=30)
        cloud.client.action(f"/volumes/{made['uuid']}", "expungeDataVolume", {}, timeout=30)
    finally:
        cloud.client.action(path, "updateGlobalConfig", {"value": "false"}, timeout=10)


def test_ctrl_c_cancels_and_the_next_apply_starts_clean(steppe, cloud, base):
    steppe.write(hcl(base) + volume({"size": MIB}))
    steppe.must_apply()
    steppe.write(hcl(base) + volume({"size": MIB}) + attachment())

    def begun() -> bool:
        return "vmInstanceUuid" in cloud.only("volumes", type="Data")

    with cloud.frozen_hosts():
        process = steppe.start("apply", "-auto-approve", "-no-color")
        deadline = time.monotonic() + 60
        while not begun():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(2)
        while "Interrupt" not in process.stdout.readline():
            assert time.monotonic() < deadline
        time.sleep(0.5)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Stopped on request" in output, output
    assert "steppe_volume_attachment.a" not in steppe.state() and not begun()
    steppe.must_apply()
    assert steppe.plan() == {}


def test_a_killed_apply_is_taken_up_by_the_next(plugin, cloud, base):
    plugin.write(hcl(base) + volume({"size": MIB}))
    plugin.must_apply()
    plugin.write(hcl(base) + volume({"size": MIB}) + attachment())
    with cloud.frozen_hosts():
        process = plugin.start("apply", "-auto-approve", "-no-color")
        deadline = time.monotonic() + 60
        while "vmInstanceUuid" not in cloud.only("volumes", type="Data"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=30)
    plugin.must_apply()
    assert plugin.plan() == {}
    assert plugin.state()["steppe_volume_attachment.a"]["vm_uuid"] == plugin.state()["steppe_vm.a"]["uuid"]


def test_data_sources(steppe, cloud, base, land, placed):
    vm = hcl(base | {"host_uuid": land["steppe_host.a"]})
    text = vm + volume(placed) + volume({"size": MIB}, "b") + attachment("b")
    text += block("volume_snapshot", {"name": "s", "volume_uuid": "=steppe_volume.a.uuid"})
    steppe.write(text)
    steppe.must_apply()
    steppe.write(
        text
        + 'data "steppe_volume" "by_uuid" { uuid = steppe_volume.a.uuid }\n'
        + 'data "steppe_volume_snapshot" "by_name" { name = "s" }\n'
        + 'data "steppe_volumes" "all" { conditions = ["type=Data"] }\n'
        + 'data "steppe_volume_attachments" "all" {}\n'
        + 'data "steppe_volume_snapshots" "of" { conditions = ["volumeUuid=${steppe_volume.a.uuid}"] }\n'
        + 'data "steppe_volume_migratable_hosts" "of" { volume_uuid = steppe_volume.a.uuid }\n'
        + 'data "steppe_volume_migratable_hosts" "root" { volume_uuid = steppe_vm.a.root_volume_uuid }\n'
        + 'data "steppe_query" "s" { resource = "VolumeSnapshot" }\n'
    )
    steppe.must_apply()
    assert steppe.plan() == {}
    steppe.must_apply()
    state = steppe.state()
    one, snapshot = state["steppe_volume.a"], state["steppe_volume_snapshot.a"]
    looked = state["data.steppe_volume.by_uuid"]
    facts = set(looked) - {"host_uuid"}  # looked up, it is a fact
    assert {name: looked[name] for name in facts} == {name: one[name] for name in facts}
    assert looked["host_uuid"] == looked["running_host_uuid"] == land["steppe_host.a"]
    found = state["data.steppe_volume_snapshot.by_name"]
    assert found == {name: snapshot[name] for name in found}
    assert len(state["data.steppe_volumes.all"]["volumes"]) == 2
    (attached,) = state["data.steppe_volume_attachments.all"]["volume_attachments"]
    assert attached["vm_uuid"] == state["steppe_vm.a"]["uuid"]
    assert state["data.steppe_volume_snapshots.of"]["volume_snapshots"] == [found]
    assert state["data.steppe_query.s"]["uuids"] == [snapshot["uuid"]]
    for name in ("of", "root"):
        hosts = state[f"data.steppe_volume_migratable_hosts.{name}"]
        assert [host["uuid"] for host in hosts["hosts"]] == [land["steppe_host.b"]]
        (excluded,) = hosts["excluded"]
        assert (excluded["host_uuid"], excluded["reason"]) == (land["steppe_host.a"], "the volume lies there already")
    steppe.write(text + 'data "steppe_volume_migratable_hosts" "none" { volume_uuid = "%s" }\n' % ("0" * 32))
    assert "SYS.1003" in said(steppe.run("plan", "-no-color"))
    steppe.write(text)
