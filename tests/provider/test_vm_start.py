"""What a VM starts with, through real terraform: drives, boot order, modes; what the plan says, and who restarts the guest."""

import pytest

from tests.provider.test_vm import hcl

pytestmark = pytest.mark.terraform
INSTALL = ["CdRom", "HardDisk"]


def on_host(cloud):
    """The only domain, as its agent tells of it."""
    (domain,) = cloud.on_hosts("/v1/vms")
    return domain


def settings(cloud):
    return cloud.client.get(f"/vm-instances/{cloud.only('vm-instances')['uuid']}/start-settings")


def said(steppe):
    return " ".join(steppe.run("plan", "-no-color", "-input=false").output.replace("│", " ").split())


def test_a_vm_from_an_iso_has_an_empty_disk_and_its_boot_order_is_no_drift(steppe, cloud, land, base):
    wished = base | {"image_uuid": land["steppe_image.iso"], "root_disk_size": 2 << 30}
    steppe.write(hcl(wished))
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert (state["boot_order"], state["next_boot_order"]) == (None, INSTALL)
    assert (state["iso_uuids"], state["attached_iso_uuids"]) == (None, [land["steppe_image.iso"]])
    volume = cloud.only("volumes")
    assert (volume["size"], volume["type"]) == (2 << 30, "Root")
    cloud.client.action(
        f"/vm-instances/{state['uuid']}", "rebootVmInstance", {}, timeout=60
    )  # the installation is over
    assert steppe.plan() == {}
    steppe.must_apply("-refresh-only")
    assert steppe.state()["steppe_vm.a"]["next_boot_order"] == ["HardDisk"]
    steppe.write(hcl(wished | {"iso_uuids": []}))  # and its medium may go
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert steppe.state()["steppe_vm.a"]["attached_iso_uuids"] == []
    steppe.write(hcl(wished | {"iso_uuids": [], "root_disk_size": 1 << 30}))
    assert steppe.plan() == {"steppe_vm.a": ["delete", "create"]}


def test_a_wished_iso_is_in_the_drive_at_the_first_boot_and_changes_under_the_running_guest(
    steppe,
    cloud,
    land,
    base,
):
    iso = land["steppe_image.iso"]
    once = {"iso_uuids": [iso], "boot_order_once": ["CdRom"], "boot_order": ["HardDisk", "Network"]}
    steppe.write(hcl(base | once))
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert (state["state"], state["boot_order_once"]) == ("Running", ["CdRom"])
    assert state["next_boot_order"] == ["HardDisk", "Network"]  # the one boot was the first
    token = on_host(cloud)["boot_token"]
    for isos in ([], [iso], None):
        steppe.write(hcl(base | once | {"iso_uuids": isos}))
        steppe.must_apply()
        assert steppe.plan() == {}
        wished = isos if isos is not None else [iso]
        assert steppe.state()["steppe_vm.a"]["attached_iso_uuids"] == wished
    cloud.client.delete("", f"/vm-instances/{state['uuid']}/iso", timeout=30)
    assert steppe.plan() == {}  # nothing is wished any more
    steppe.write(hcl(base | once))
    steppe.must_apply()
    cloud.client.delete("", f"/vm-instances/{state['uuid']}/iso", timeout=30)
    assert steppe.plan() == {"steppe_vm.a": ["update"]}  # what was taken out by hand is put back
    steppe.must_apply()
    assert steppe.state()["steppe_vm.a"]["attached_iso_uuids"] == [iso]
    assert on_host(cloud)["boot_token"] == token, "no restart for a medium"


def test_what_cannot_be_attached_is_refused_and_nothing_is_left(steppe, cloud, land, base):
    steppe.write(hcl(base | {"iso_uuids": [land["steppe_image.a"]]}))
    done = steppe.apply()
    assert not done.succeeded
    assert "an ISO is needed" in " ".join(done.output.split())
    assert cloud.client.query("vm-instances") == []
    steppe.write(hcl(base | {"boot_order": ["HardDisk", "HardDisk"]}))
    assert "HardDisk is given more than once." in " ".join(steppe.run("plan", "-no-color").output.split())
    steppe.write("")


def test_without_consent_nothing_restarts_and_what_waits_is_named(steppe, cloud, base):
    steppe.write(hcl(base))
    steppe.must_apply()
    token = on_host(cloud)["boot_token"]
    wished = {"cpu_mode": "host-passthrough", "console_mode": "spice", "boot_order": INSTALL}
    steppe.write(hcl(base | wished))
    text = said(steppe)
    assert "VM vm gets its new boot_order, console_mode, cpu_mode at its next start" in text
    assert "set allow_restart = true" in text
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert state["restart_required"] == ["boot_order", "cpu_mode", "console_mode"]
    assert (state["running_cpu_mode"], state["running_console_mode"]) == ("none", "vnc")
    assert on_host(cloud)["boot_token"] == token
    # Somebody restarts it: the facts follow, and there is nothing to do.
    cloud.client.action(f"/vm-instances/{state['uuid']}", "rebootVmInstance", {}, timeout=60)
    assert steppe.plan() == {}
    steppe.must_apply("-refresh-only")
    state = steppe.state()["steppe_vm.a"]
    assert state["restart_required"] == []
    assert (state["running_cpu_mode"], state["running_console_mode"]) == ("maximum", "spice")  # this host has no KVM


def test_with_consent_the_apply_restarts_and_the_plan_says_so(steppe, cloud, base):
    allowed = base | {"allow_restart": True}
    steppe.write(hcl(allowed))
    steppe.must_apply()
    token = on_host(cloud)["boot_token"]
    steppe.write(hcl(allowed | {"console_mode": "vncAndSpice"}))
    text = said(steppe)
    assert "VM vm will be restarted" in text
    assert "For its new console_mode; allow_restart is true." in text
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert (state["restart_required"], state["running_console_mode"]) == ([], "vncAndSpice")
    assert on_host(cloud)["boot_token"] != token
    # The mode that waited before consent was given is made up for.
    steppe.write(hcl(base | {"console_mode": "vnc"}))
    steppe.must_apply()
    assert steppe.state()["steppe_vm.a"]["restart_required"] == ["console_mode"]
    steppe.write(hcl(allowed | {"console_mode": "vnc"}))
    assert "VM vm will be restarted" in said(steppe)
    steppe.must_apply()
    assert steppe.plan() == {}
    assert steppe.state()["steppe_vm.a"]["running_console_mode"] == "vnc"


def test_a_stopped_vm_takes_everything_at_its_start(steppe, cloud, land, base):
    stopped = base | {"power_state": "stopped"}
    steppe.write(hcl(stopped))
    steppe.must_apply()
    wished = {"cpu_mode": "host-model", "iso_uuids": [land["steppe_image.iso"]], "boot_order_once": INSTALL}
    steppe.write(hcl(stopped | wished))
    assert "next start" not in said(steppe)
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert (state["running_cpu_mode"], state["restart_required"], state["next_boot_order"]) == (None, [], INSTALL)
    steppe.write(hcl(base | wished))
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert (state["running_cpu_mode"], state["next_boot_order"]) == ("host-model", ["HardDisk"])


@pytest.mark.parametrize("how", ["stopped", "waits", "restarts"])
def test_another_offering_keeps_the_vm(steppe, cloud, land, base, how):
    more = {"stopped": {"power_state": "stopped"}, "waits": {}, "restarts": {"allow_restart": True}}[how]
    steppe.write(hcl(base | more))
    steppe.must_apply()
    before = cloud.only("vm-instances")
    larger = {"instance_offering_uuid": land["steppe_instance_offering.b"]}
    steppe.write(hcl(base | more | larger))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    text = said(steppe)
    assert ("gets its new instance_offering_uuid at its next start" in text) == (how == "waits")
    assert ("will be restarted" in text) == (how == "restarts")
    steppe.must_apply()
    assert steppe.plan() == {}
    state, after = steppe.state()["steppe_vm.a"], cloud.only("vm-instances")
    offering = cloud.only("instance-offerings", uuid=larger["instance_offering_uuid"])
    assert (after["uuid"], after["state"]) == (before["uuid"], before["state"])
    assert (state["cpu_num"], state["memory_size"]) == (after["cpuNum"], after["memorySize"])
    assert state["instance_offering_uuid"] == offering["uuid"]
    assert state["restart_required"] == (["instance_offering_uuid"] if how == "waits" else [])
    assert after["cpuNum"] == (before["cpuNum"] if how == "waits" else offering["cpuNum"])


def test_a_boot_order_that_somebody_else_set_is_put_right(steppe, cloud, base):
    steppe.write(hcl(base | {"boot_order": INSTALL, "boot_order_once": ["Network"]}))
    steppe.must_apply()
    uuid = cloud.only("vm-instances")["uuid"]
    cloud.client.action(f"/vm-instances/{uuid}", "setVmBootOrder", {"bootOrder": ["Network"]}, timeout=30)
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert settings(cloud)["bootOrder"] == INSTALL
    assert steppe.plan() == {}
    cloud.client.action(f"/vm-instances/{uuid}", "setVmBootOrder", {"bootOrderOnce": ["HardDisk"]}, timeout=30)
    assert steppe.plan() == {}
    steppe.write(hcl(base | {"boot_order": ["HardDisk"], "boot_order_once": ["Network"]}))
    steppe.must_apply()  # what others wish for the next boot stays
    assert (settings(cloud)["bootOrder"], settings(cloud)["bootOrderOnce"]) == (["HardDisk"], ["HardDisk"])
