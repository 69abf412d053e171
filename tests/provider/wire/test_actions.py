"""Actions (Terraform 1.14), asked for by a client of the protocol: planned, invoked with their progress, interrupted."""

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, optional
from provider.framework.types import BOOL, UNKNOWN
from provider.main import Steppe
from provider.wire.server import Served
from tests.provider.test_vm import hcl
from tests.provider.toy import Toy
from tests.provider.wire.core import Core, given, told

pytestmark = pytest.mark.terraform
ACTIONS = {one.type_name: one for one in Steppe.actions}
LIVE = "/global-configurations/localStoragePrimaryStorage/liveMigrationWithStorage.allow"


def boots(cloud) -> list[str]:
    return [one["boot_token"] for one in cloud.on_hosts("/v1/vms")]


def asked(type_name: str, **config: Any) -> dict[str, Any]:
    return {"action_type": type_name, "config": given(ACTIONS[type_name].schema.type, **config)}


def planned(ask: Core, type_name: str, **config: Any) -> list[str]:
    wanted = asked(type_name, **config)
    assert not ask("ValidateActionConfig", **wanted).diagnostics
    return told(ask("PlanAction", **wanted).diagnostics)


def invoked(ask: Core, type_name: str, **config: Any) -> tuple[list[str], list[str]]:
    """What was told on the way, and what was wrong in the end."""
    *steps, last = ask.stream("InvokeAction", **asked(type_name, **config))
    assert [one.WhichOneof("type") for one in steps] == ["progress"] * len(steps)
    assert last.WhichOneof("type") == "completed"
    return [one.progress.message for one in steps], told(last.completed.diagnostics)


@pytest.fixture
def vm(steppe, cloud, base, land) -> dict[str, Any]:
    """A running VM, which Terraform destroys in the end."""
    steppe.write(hcl(base | {"host_uuid": land["steppe_host.a"], "allow_restart": True}))
    steppe.must_apply()
    return cloud.only("vm-instances", uuid=steppe.state()["steppe_vm.a"]["uuid"])


def test_a_reboot_is_one_and_changes_nothing_in_terraform(ask, steppe, cloud, vm):
    before, wanted = boots(cloud), {"vm_uuid": vm["uuid"]}
    assert planned(ask, "steppe_vm_reboot", **wanted) == []
    assert boots(cloud) == before, "a plan does nothing"
    assert invoked(ask, "steppe_vm_reboot", **wanted) == (["Rebooting VM vm"], [])
    assert boots(cloud) != before
    assert cloud.only("vm-instances", uuid=vm["uuid"])["state"] == "Running"
    assert steppe.plan() == {}
    path = f"/vm-instances/{vm['uuid']}"
    cloud.client.action(path, "stopVmInstance", {}, timeout=60)
    assert planned(ask, "steppe_vm_reboot", **wanted) == ["The VM does not run: VM vm is Stopped."]
    cloud.client.action(path, "startVmInstance", {}, timeout=60)


def test_cloud_init_runs_again_with_a_reboot_or_without(ask, cloud, vm):
    def reruns() -> int:
        """How often it was asked for: part of the instance id, and in no answer."""
        with contextlib.closing(sqlite3.connect(cloud.state / "steppe.db")) as database:
            found = database.execute('SELECT cloud_init_runs FROM "VmInstanceVO" WHERE uuid = ?', (vm["uuid"],))
            return int(found.fetchone()[0])

    before, runs = boots(cloud), reruns()
    said, wrong = invoked(ask, "steppe_vm_rerun_cloud_init", vm_uuid=vm["uuid"])
    assert (said, wrong) == (["Having cloud-init run again in VM vm"], [])
    assert reruns() == runs + 1 and boots(cloud) == before
    assert invoked(ask, "steppe_vm_rerun_cloud_init", vm_uuid=vm["uuid"], reboot=True)[1] == []
    assert reruns() == runs + 2 and boots(cloud) != before


def test_a_vm_is_moved_now_and_the_plan_says_what_is_in_the_way(ask, steppe, cloud, vm, land):
    there = {"vm_uuid": vm["uuid"], "host_uuid": land["steppe_host.b"]}
    (refused,) = planned(ask, "steppe_vm_migrate", **there)
    assert "liveMigrationWithStorage.allow" in refused
    cloud.client.action(LIVE, "updateGlobalConfig", {"value": "true"}, timeout=10)
    try:
        assert planned(ask, "steppe_vm_migrate", **there) == []
        steps, wrong = invoked(ask, "steppe_vm_migrate", **there)
        assert wrong == [] and steps[0] == "Moving VM vm"
    finally:
        cloud.client.action(LIVE, "updateGlobalConfig", {"value": "false"}, timeout=10)
    moved = cloud.only("vm-instances", uuid=vm["uuid"])
    assert (moved["hostUuid"], moved["state"]) == (there["host_uuid"], "Running")
    path = f"/vm-instances/{vm['uuid']}"
    cloud.client.action(path, "stopVmInstance", {}, timeout=60)
    back = there | {"host_uuid": land["steppe_host.a"]}
    assert planned(ask, "steppe_vm_migrate", **back) == []
    assert invoked(ask, "steppe_vm_migrate", **back)[1] == []
    refs = cloud.client.query("primary-storage/local-storage/resource-refs", resourceUuid=vm["rootVolumeUuid"])
    assert [one["hostUuid"] for one in refs] == [land["steppe_host.a"]]


def test_a_snapshot_is_taken_and_the_volume_reverted_to_it(ask, cloud, vm):
    root = vm["rootVolumeUuid"]
    steps, wrong = invoked(ask, "steppe_volume_take_snapshot", volume_uuid=root, name="before", description="by hand")
    assert steps[0].startswith("Taking a snapshot of volume ") and wrong == []
    snapshot = cloud.only("volume-snapshots", volumeUuid=root)
    assert (snapshot["name"], snapshot["description"]) == ("before", "by hand")
    path = f"/vm-instances/{vm['uuid']}"
    _, wrong = invoked(ask, "steppe_volume_revert", snapshot_uuid=snapshot["uuid"])
    assert len(wrong) == 1 and "RevertVolumeFromSnapshot failed" in wrong[0], "the VM runs"
    cloud.client.action(path, "stopVmInstance", {}, timeout=60)
    assert invoked(ask, "steppe_volume_revert", snapshot_uuid=snapshot["uuid"])[1] == []
    cloud.client.delete("DeleteVolumeSnapshot", f"/volume-snapshots/{snapshot['uuid']}", timeout=60)


def test_a_host_is_reconnected(ask, cloud, land):
    steps, wrong = invoked(ask, "steppe_host_reconnect", host_uuid=land["steppe_host.a"])
    assert steps == ["Reconnecting host host"] and wrong == []
    assert cloud.only("hosts", uuid=land["steppe_host.a"])["status"] == "Connected"


def test_what_is_not_there_is_refused_where_it_is_written(ask):
    for name, one in ACTIONS.items():
        required = {key: "0" * 32 for key, attribute in one.schema.attributes.items() if attribute.required}
        (complaint,) = ask("PlanAction", **asked(name, **required)).diagnostics
        assert complaint.summary == f"Unknown {one.noun}" and complaint.attribute.steps[0].attribute_name == one.target
        assert invoked(ask, name, **required)[1] == told([complaint])
        # What another resource will have is not known in a plan.
        assert not ask("PlanAction", **asked(name, **required | {one.target: UNKNOWN})).diagnostics
        (odd,) = ask("ValidateActionConfig", **asked(name, **required | {one.target: "vm"})).diagnostics
        assert odd.attribute.steps[0].attribute_name == one.target


class Wait:
    """An action that tells what it does and waits until it is stopped."""

    type_name = "toy_wait"
    schema = Schema({"long": optional(BOOL, "")})

    def plan(self, context: Context, config: Object) -> None:
        """Nothing to see."""

    def invoke(self, context: Context, config: Object, tell: Callable[[str], None]) -> None:
        tell("waiting")
        if config["long"] is None:
            raise RuntimeError("a surprise")
        assert context.stop.wait(60)
        context.diagnostics.warning("Half done", "it was stopped")
        raise Refused("Stopped on request")


def test_ctrl_c_reaches_an_action_and_its_steps_are_told_as_they_come(tmp_path):
    toy = Toy()
    toy.actions = (Wait(),)
    served = Served(toy, f"unix:{tmp_path}/s")
    with grpc.insecure_channel(f"unix:{tmp_path}/s") as channel:
        core, type_ = Core(channel), Wait.schema.type
        core("ConfigureProvider", config=given(toy.schema.type))
        events = core.stream("InvokeAction", action_type="toy_wait", config=given(type_, long=True))
        assert next(events).progress.message == "waiting"
        assert not served.servicer.session.idle.is_set()
        core("StopProvider")
        (last,) = events
        assert told(last.completed.diagnostics) == ["Half done: it was stopped", "Stopped on request: "]
        _, broken = core.stream("InvokeAction", action_type="toy_wait", config=given(type_))
        assert "RuntimeError: a surprise" in told(broken.completed.diagnostics)[0]
    served.close()


def test_the_schemas_are_offered(ask):
    metadata, schema = ask("GetMetadata"), ask("GetProviderSchema")
    assert {one.type_name for one in metadata.actions} == schema.action_schemas.keys() == ACTIONS.keys()
    for name, one in schema.action_schemas.items():
        assert one.schema.block.description, name
        assert not any(attribute.computed for attribute in one.schema.block.attributes), "an action has no state"
