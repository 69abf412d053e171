"""`wait_for` of steppe_vm through real terraform. Simulated guests ask DHCP and metadata once at each boot, and never phone
home; that real guests are waited for is tried by the journeys."""

import pytest

from tests.provider.test_vm import hcl, vms
from tests.provider.test_volume import said

pytestmark = pytest.mark.terraform


@pytest.mark.parametrize("mark", ["running", "dhcp", "metadata"])
def test_a_new_vm_and_each_start_are_waited_for(steppe, cloud, base, mark):
    waiting = base | {"wait_for": mark, "wait_timeout": "60s"}
    steppe.write(hcl(waiting))
    steppe.must_apply()
    assert steppe.plan() == {}
    progress = cloud.client.get(f"/vm-instances/{vms(cloud)[0]['uuid']}/boot-progress")
    assert progress["state"] == "Running" and progress["dhcpAcks"] == progress["metadataReads"] == 1
    for power in ("stopped", "running"):
        steppe.write(hcl(waiting | {"power_state": power}))
        steppe.must_apply()
        assert steppe.plan() == {}
    reboots = waiting | {"user_data": "#!/bin/sh\n", "user_data_on_change": "reboot"}
    steppe.write(hcl(reboots))
    steppe.must_apply()
    assert steppe.plan() == {}


def test_who_never_calls_is_kept_told_of_and_made_anew(steppe, cloud, base):
    waiting = base | {"wait_for": "cloud_init", "wait_timeout": "2s", "deletion_protection": True}
    steppe.write(hcl(waiting))
    text = said(steppe.apply())
    assert "VM vm did not come up within 2s" in text and 'wait_for = "cloud_init"' in text
    assert "its address was given to it by DHCP; it has read metadata; its cloud-init has not called" in text
    first = vms(cloud)[0]["uuid"]
    assert steppe.state()["steppe_vm.a"]["uuid"] == first, "it is there to be looked at"
    assert steppe.plan() == {"steppe_vm.a": ["delete", "create"]}
    steppe.write(hcl(waiting | {"wait_for": "dhcp"}))
    steppe.must_apply()
    assert steppe.plan() == {} and vms(cloud)[0]["uuid"] != first
    steppe.write(hcl(waiting | {"wait_for": None}))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.write(hcl(base))
    steppe.must_apply()


def test_a_start_that_is_not_seen_leaves_the_vm_as_it_is(steppe, cloud, base):
    waiting = base | {"wait_for": "cloud_init", "wait_timeout": "1s", "power_state": "stopped"}
    steppe.write(hcl(waiting))
    steppe.must_apply()
    steppe.write(hcl(waiting | {"power_state": "running"}))
    assert "VM vm did not come up within 1s" in said(steppe.apply())
    assert steppe.plan() == {} and vms(cloud)[0]["state"] == "Running"


def test_a_restart_and_a_move_are_waited_for_too(steppe, cloud, base, land):
    vm = base | {"allow_restart": True, "wait_timeout": "60s", "host_uuid": land["steppe_host.a"]}
    steppe.write(hcl(vm | {"wait_for": "dhcp"}))
    steppe.must_apply()
    changes = {"console_mode": "spice"}, {"host_uuid": land["steppe_host.b"]}
    for change in changes:
        never = {"wait_for": "cloud_init", "wait_timeout": "1s"}
        steppe.write(hcl(vm | never | change))
        assert "VM vm did not come up within 1s" in said(steppe.apply())
    other = {"console_mode": "vnc", "host_uuid": land["steppe_host.a"]}
    steppe.write(hcl(vm | other | {"wait_for": "metadata"}))
    steppe.must_apply()
    assert steppe.plan() == {} and vms(cloud)[0]["hostUuid"] == land["steppe_host.a"]


def test_ctrl_c_ends_the_waiting_and_keeps_the_vm(steppe, cloud, base):
    steppe.write(hcl(base | {"wait_for": "cloud_init", "wait_timeout": "10m"}))
    run = steppe.interrupt(
        ["apply", "-auto-approve", "-no-color", "-input=false"],
        lambda: [one["state"] for one in vms(cloud)] == ["Running"],
    )
    assert not run.succeeded and len(vms(cloud)) <= 1
    if vms(cloud):
        assert steppe.state()["steppe_vm.a"]["uuid"] == vms(cloud)[0]["uuid"]


def test_what_can_never_be_seen_is_told_in_the_plan(steppe, cloud, land, base):
    steppe.write(hcl(base | {"network_uuids": [land["steppe_network.b"]], "wait_for": "dhcp"}))
    done = steppe.run("plan", "-no-color")
    assert "wait_for = dhcp would never end" in done.output and "has no service DHCP" in done.output
    assert not done.succeeded
    steppe.write("")
