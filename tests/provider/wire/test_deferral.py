"""Deferred changes (experimental in Terraform 1.11, so a client of the protocol asks): what cannot be done yet is left for a
later plan where Terraform can wait, and is an error or is tried where it cannot."""

import time
from typing import Any

import pytest

from provider.framework.types import UNKNOWN
from provider.main import Steppe
from provider.wire import tfplugin6_pb2 as pb
from provider.wire import values
from tests.provider.wire.core import Core, given, told

pytestmark = pytest.mark.terraform
SCHEMAS = {one.type_name: one.schema for one in Steppe.resources}
WAITS = pb.ClientCapabilities(deferral_allowed=True)


def plan(ask: Core, type_name: str, *, waits: bool = True, prior: Any = None, **attributes: Any) -> Any:
    schema = SCHEMAS[type_name]
    wished = dict.fromkeys(schema.attributes) | attributes
    proposed = wished if prior is None else {n: prior[n] if wished[n] is None else wished[n] for n in wished}
    return ask(
        "PlanResourceChange", type_name=type_name, prior_state=values.encode(prior, schema.type),
        proposed_new_state=values.encode(proposed, schema.type), config=values.encode(wished, schema.type),
        client_capabilities=WAITS if waits else pb.ClientCapabilities(),
    )  # fmt: skip


@pytest.fixture
def host_down(cloud, land):
    """Both hosts hang until the control plane has seen it; they are up again before anything else happens."""

    def status() -> set[str]:
        return {one["status"] for one in cloud.client.query("hosts")}

    def until(wanted: set[str]) -> None:
        deadline = time.monotonic() + 240
        while status() != wanted:
            assert time.monotonic() < deadline, f"hosts are {status()}"
            time.sleep(0.2)

    with cloud.frozen_hosts():
        until({"Disconnected"})
        yield land["steppe_host.a"]
    until({"Connected"})


def test_what_needs_a_host_waits_for_it(ask, base, land, host_down):
    vm = dict(base.items()) | {"host_uuid": host_down}
    answer = plan(ask, "steppe_vm", **vm)
    assert answer.deferred.reason == pb.Deferred.ABSENT_PREREQ
    assert told(answer.diagnostics) == [
        "VM vm waits for its host: Host host is Disconnected. It is left for a later plan and apply."
    ]
    planned = values.decode(answer.planned_state, SCHEMAS["steppe_vm"].type)
    assert planned["host_uuid"] == host_down and planned["ip"] is UNKNOWN
    anywhere = plan(ask, "steppe_vm", **base)
    assert anywhere.deferred.reason == pb.Deferred.ABSENT_PREREQ
    assert "No host is up there." in told(anywhere.diagnostics)[0]
    volume = {"name": "data", "size": 1 << 20, "primary_storage_uuid": land["steppe_local_storage.a"]}
    assert plan(ask, "steppe_volume", **volume, host_uuid=host_down).HasField("deferred")
    assert not plan(ask, "steppe_volume", name="data", size=1 << 20).HasField("deferred"), "it needs no host yet"
    # A Terraform that cannot wait is told at the apply, as ever.
    assert not plan(ask, "steppe_vm", waits=False, **vm).HasField("deferred")
    assert not plan(ask, "steppe_zone", name="z").HasField("deferred")


def test_a_server_whose_agent_has_not_enrolled_is_waited_for(ask, cloud, land):
    wished = {"name": "new", "cluster_uuid": land["steppe_cluster.a"]}
    answer = plan(ask, "steppe_host", **wished, management_ip="127.0.71.99")
    assert answer.deferred.reason == pb.Deferred.ABSENT_PREREQ
    (said,) = told(answer.diagnostics)
    assert said.startswith("No agent has enrolled from 127.0.71.99") and "left for a later plan" in said
    # A Terraform that cannot wait tries it, and is told before.
    tried = plan(ask, "steppe_host", waits=False, **wished, management_ip="127.0.71.99")
    assert not tried.HasField("deferred") and told(tried.diagnostics)[0].endswith("The apply needs that.")
    for known in (cloud.addresses[0], UNKNOWN):
        answer = plan(ask, "steppe_host", **wished, management_ip=known)
        assert not answer.HasField("deferred") and not answer.diagnostics


def test_nothing_waits_when_the_host_is_up_or_not_known_yet(ask, base, land):
    for host in (land["steppe_host.a"], UNKNOWN, None):
        answer = plan(ask, "steppe_vm", **base, host_uuid=host)
        assert not answer.HasField("deferred") and not answer.diagnostics


def test_everything_waits_for_a_provider_that_is_not_configured_yet(ask):
    """Its endpoint comes from a resource that is made by the same apply."""
    unknown = given(Steppe.schema.type, endpoint=UNKNOWN)
    refused = ask("ConfigureProvider", config=unknown)
    assert [one.summary for one in refused.diagnostics] == ["endpoint is not known yet"]
    assert not ask("ConfigureProvider", config=unknown, client_capabilities=WAITS).diagnostics
    reason = pb.Deferred.PROVIDER_CONFIG_UNKNOWN
    planned = plan(ask, "steppe_zone", name="z")
    assert planned.deferred.reason == reason
    assert values.decode(planned.planned_state, SCHEMAS["steppe_zone"].type)["uuid"] is UNKNOWN

    zone = given(SCHEMAS["steppe_zone"].type, uuid="0" * 32, name="z")
    read = ask("ReadResource", type_name="steppe_zone", current_state=zone, client_capabilities=WAITS)
    assert read.deferred.reason == reason and read.new_state == zone
    imported = ask("ImportResourceState", type_name="steppe_zone", id="0" * 32, client_capabilities=WAITS)
    assert imported.deferred.reason == reason
    assert values.decode(imported.imported_resources[0].state, SCHEMAS["steppe_zone"].type) is UNKNOWN
    source = next(one for one in Steppe.data_sources if one.type_name == "steppe_zone").schema
    found = ask(
        "ReadDataSource", type_name="steppe_zone", config=given(source.type, name="z"), client_capabilities=WAITS
    )
    assert found.deferred.reason == reason
    assert values.decode(found.state, source.type) == dict.fromkeys(source.attributes, UNKNOWN) | {"name": "z"}
    access = Steppe.ephemeral_resources[0].schema
    opened = ask(
        "OpenEphemeralResource", type_name="steppe_console_access", config=given(access.type, vm_uuid="0" * 32)
    )
    assert opened.deferred.reason == reason and values.decode(opened.result, access.type)["url"] is UNKNOWN
    action = next(one for one in Steppe.actions if one.type_name == "steppe_vm_reboot").schema
    acted = ask("PlanAction", action_type="steppe_vm_reboot", config=given(action.type, vm_uuid="0" * 32))
    assert acted.deferred.reason == reason
    assert not ask("ConfigureProvider", config=given(Steppe.schema.type), client_capabilities=WAITS).diagnostics
    assert not plan(ask, "steppe_zone", name="z").HasField("deferred")
