"""A change of a VM's `host_uuid` through real terraform: what the plan says and refuses, what the apply does."""

import pytest

from tests.provider.acceptance.proxy import before
from tests.provider.stack import VM, everything

pytestmark = pytest.mark.terraform
OTHER = """
resource "steppe_host" "b" {
  name          = "other"
  management_ip = "%s"
  cluster_uuid  = steppe_cluster.a.uuid
}
"""
HERE, THERE = "steppe_host.a.uuid", "steppe_host.b.uuid"


def configuration(cloud, host=HERE, **attributes):
    """Both hosts are there before the storage comes, so that both have a part of it."""
    base = everything(cloud).replace("[steppe_host.a]", "[steppe_host.a, steppe_host.b]") + OTHER % cloud.addresses[1]
    lines = "".join(f"  {name} = {value}\n" for name, value in attributes.items())
    vm = VM.replace(f"host_uuid              = {HERE}", f"host_uuid = {host}\n{lines}")
    assert host in vm
    return base + vm


def lies_on(cloud, state):
    uuid = state["steppe_vm.a"]["root_volume_uuid"]
    return cloud.only("primary-storage/local-storage/resource-refs", resourceUuid=uuid)["hostUuid"]


def test_a_running_vm_is_moved_when_it_may_be_restarted(steppe, cloud):
    steppe.write(configuration(cloud))
    steppe.must_apply()
    before = steppe.state()["steppe_vm.a"]

    steppe.write(configuration(cloud, THERE))
    refused = steppe.run("plan", "-no-color", "-input=false")
    assert not refused.succeeded
    assert "VM vm would have to be restarted" in refused.output
    assert "Set allow_restart = true" in " ".join(refused.output.split())

    steppe.write(configuration(cloud, THERE, allow_restart="true"))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    said = " ".join(steppe.run("plan", "-no-color", "-input=false").output.split())
    assert "VM vm will be stopped, moved and started again" in said
    assert "From host host to other: offline copy of 0.2 MiB." in said
    steppe.must_apply()
    state = steppe.state()
    after = state["steppe_vm.a"]
    assert after["running_host_uuid"] == after["host_uuid"] == state["steppe_host.b"]["uuid"] == lies_on(cloud, state)
    for name in ("uuid", "ip", "mac", "root_volume_uuid", "state"):
        assert after[name] == before[name], name
    assert steppe.plan() == {}
    asked = sorted(cloud.client.query("audits", resourceUuid=before["uuid"]), key=lambda audit: audit["id"])
    done = [audit["apiName"] for audit in asked if '"dryRun": true' not in audit["request"]]
    assert done[-4:] == ["LocalStorageMigrateVm", "StopVmInstance", "LocalStorageMigrateVm", "StartVmInstance"]
    assert '"prepare": true' in asked[-4]["request"], "it runs on while the images are brought"


def test_a_running_vm_moves_while_it_runs_when_cloud_and_configuration_say_so(steppe, cloud):
    steppe.write(configuration(cloud))
    steppe.must_apply()
    before = cloud.only("vm-instances")

    steppe.write(configuration(cloud, THERE, migrate_running="true"))
    refused = steppe.run("plan", "-no-color", "-input=false")
    assert not refused.succeeded and "liveMigrationWithStorage.allow" in refused.output
    entry = "/global-configurations/localStoragePrimaryStorage/liveMigrationWithStorage.allow"
    cloud.client.action(entry, "updateGlobalConfig", {"value": "true"}, timeout=30)
    try:
        assert steppe.plan() == {"steppe_vm.a": ["update"]}
        said = " ".join(steppe.run("plan", "-no-color", "-input=false").output.split())
        assert "VM vm will be moved while it runs" in said
        assert "From host host to other: copy of" in said
        steppe.must_apply()
        assert steppe.plan() == {}
    finally:
        cloud.client.action(entry, "updateGlobalConfig", {"value": "false"}, timeout=30)
    after, state = cloud.only("vm-instances"), steppe.state()
    assert after["hostUuid"] == state["steppe_host.b"]["uuid"] == lies_on(cloud, state)
    assert (after["uuid"], after["state"]) == (before["uuid"], "Running")
    stops = cloud.client.query("audits", apiName="StopVmInstance", resourceUuid=after["uuid"])
    assert stops == []


def test_a_stopped_vm_is_just_moved_and_may_be_started_with_it(steppe, cloud):
    steppe.write(configuration(cloud, power_state='"stopped"'))
    steppe.must_apply()
    steppe.write(configuration(cloud, THERE, power_state='"stopped"'))
    assert "VM vm will be moved" in steppe.run("plan", "-no-color", "-input=false").output
    steppe.must_apply()
    state = steppe.state()
    assert (state["steppe_vm.a"]["state"], lies_on(cloud, state)) == ("Stopped", state["steppe_host.b"]["uuid"])
    assert steppe.plan() == {}
    steppe.write(configuration(cloud, HERE))
    steppe.must_apply()
    state = steppe.state()
    assert (state["steppe_vm.a"]["state"], lies_on(cloud, state)) == ("Running", state["steppe_host.a"]["uuid"])
    assert steppe.plan() == {}


def test_a_vm_that_moved_and_could_not_start_goes_back_when_the_wish_does(steppe, cloud, monkeypatch):
    steppe.write(configuration(cloud))
    steppe.must_apply()
    here, other = (steppe.state()[f"steppe_host.{name}"]["uuid"] for name in "ab")

    def state_of_other(event):
        cloud.client.action(f"/hosts/{other}", "changeHostState", {"stateEvent": event}, timeout=30)

    with before(cloud.endpoint) as proxy:
        monkeypatch.setenv("STEPPE_ENDPOINT", proxy.endpoint)
        proxy.disturb(1, lambda: state_of_other("disable"), of=b"startVmInstance")
        steppe.write(configuration(cloud, THERE, allow_restart="true"))
        failed = steppe.apply()
        monkeypatch.setenv("STEPPE_ENDPOINT", cloud.endpoint)
    assert not failed.succeeded and lies_on(cloud, steppe.state()) == other, failed.output
    steppe.write(configuration(cloud, allow_restart="true"))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert lies_on(cloud, steppe.state()) == here == steppe.state()["steppe_vm.a"]["running_host_uuid"]
    assert steppe.plan() == {}
    state_of_other("enable")


def test_what_the_server_would_refuse_is_refused_in_the_plan(steppe, cloud):
    steppe.write(configuration(cloud))
    steppe.must_apply()
    other = steppe.state()["steppe_host.b"]["uuid"]
    cloud.client.action(f"/hosts/{other}", "changeHostState", {"stateEvent": "disable"}, timeout=30)
    steppe.write(configuration(cloud, THERE, allow_restart="true"))
    refused = steppe.run("plan", "-no-color", "-input=false")
    assert not refused.succeeded
    said = " ".join(refused.output.split())
    assert f"VM vm cannot be moved to host {other}" in said
    assert "is Disabled, it must be Enabled" in said
    cloud.client.action(f"/hosts/{other}", "changeHostState", {"stateEvent": "enable"}, timeout=30)
