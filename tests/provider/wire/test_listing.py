"""List resources, as `terraform query` (1.14) uses them: every resource that has a query is found by it, and by its filters."""

import json
import threading
from typing import Any

import pytest

from controlplane.contract import queryable
from controlplane.contract.base import Query
from controlplane.contract.registry import apis
from provider.framework.resource import Context
from provider.framework.types import STRING, object_of
from provider.main import Steppe
from provider.resources import quota
from provider.wire import values
from tests.provider.stack import PARTS, with_vm
from tests.provider.wire.core import Core, given, told

WITHOUT_UUID = """
resource "steppe_account" "a" {
  name                = "team"
  password_wo         = "a password of the team"
  password_wo_version = 1
}
resource "steppe_account" "b" {
  name                = "other team"
  password_wo         = "a password of the team"
  password_wo_version = 1
}
resource "steppe_quota" "a" {
  account_uuid = steppe_account.a.uuid
  name         = "vm.num"
  value        = 7
}
resource "steppe_instance_offering" "a" {
  name        = "small"
  cpu_num     = 1
  memory_size = 67108864
}
resource "steppe_resource_share" "a" {
  resource_uuid = steppe_instance_offering.a.uuid
  account_uuids = [steppe_account.a.uuid, steppe_account.b.uuid]
}
resource "steppe_global_config" "a" {
  category = "kvm"
  name     = "vm.cpuMode"
  value    = "host-model"
}
"""
VOLUMES = """
resource "steppe_volume" "a" {
  count                = 12
  name                 = "data"
  size                 = 1024 * 1024
  primary_storage_uuid = steppe_local_storage.a.uuid
  host_uuid            = steppe_host.a.uuid
}
"""
LISTS = {one.type_name: one for one in Steppe.list_resources}
IDENTITY = object_of({"uuid": STRING})


def listed(ask: Core, type_name: str, *, limit: int = 100, whole: bool = False, **config: Any) -> list[Any]:
    schema = LISTS[type_name].schema
    fields = {"type_name": type_name, "config": given(schema.type, **config)}
    assert not ask("ValidateListResourceConfig", **fields).diagnostics
    events = list(ask.stream("ListResource", **fields, limit=limit, include_resource_object=whole))
    assert [told(one.diagnostic) for one in events if one.diagnostic] == []
    return events


def uuid_of(event: Any) -> str:
    return values.decode(event.identity.identity_data, IDENTITY)["uuid"]


@pytest.mark.terraform
def test_what_terraform_made_is_found_and_is_what_an_import_would_be(ask, steppe, cloud):
    steppe.write(with_vm(cloud) + PARTS)
    steppe.must_apply()
    steppe.must_apply("-refresh-only")  # the volume has its file since it was attached
    state = steppe.state()
    assert {address.partition(".")[0] for address in state} <= set(LISTS)
    for address, made in state.items():
        type_name = address.partition(".")[0]
        mine = [one for one in listed(ask, type_name, whole=True) if uuid_of(one) == made["uuid"]]
        assert len(mine) == 1, address
        (event,) = mine
        assert event.display_name == made.get("name", made.get("tag", "data")), address
        schema = next(one for one in Steppe.resources if one.type_name == type_name).schema
        (imported,) = ask("ImportResourceState", type_name=type_name, id=made["uuid"]).imported_resources
        assert values.decode(event.resource_object, schema.type) == values.decode(imported.state, schema.type)
        bare = next(one for one in listed(ask, type_name) if uuid_of(one) == made["uuid"])
        assert not bare.HasField("resource_object")
        filters = {name for name in LISTS[type_name].schema.attributes if made.get(name) and name != "name_pattern"}
        for name in filters - {"conditions"}:
            found = [uuid_of(one) for one in listed(ask, type_name, **{name: made[name]})]
            assert made["uuid"] in found, (address, name)
            assert not listed(ask, type_name, **{name: "0" * 32}), (address, name)


@pytest.mark.terraform
def test_what_many_of_them_need_is_fetched_together(steppe, cloud):
    steppe.write(with_vm(cloud) + VOLUMES)
    steppe.must_apply()
    client = cloud.client
    config = dict.fromkeys(LISTS["steppe_volume"].schema.attributes)
    before = client._transport.sent
    found = list(LISTS["steppe_volume"].list(Context(client, threading.Event(), {}), config, whole=True))
    assert [one.state["host_uuid"] for one in found] == [steppe.state()["steppe_host.a"]["uuid"]] * 12
    assert client._transport.sent - before <= 4


@pytest.mark.terraform
def test_parts_of_others_are_not_listed(ask, steppe, cloud):
    steppe.write(with_vm(cloud) + PARTS)
    steppe.must_apply()
    assert [one.display_name for one in listed(ask, "steppe_volume")] == ["data"], "a root volume is part of its VM"
    inherent = [one["tag"] for one in cloud.client.query("system-tags") if one["inherent"]]
    assert not {one.display_name for one in listed(ask, "steppe_system_tag")} & set(inherent)


def test_conditions_patterns_and_the_limit(ask, cloud):
    for index in range(5):
        cloud.client.create("CreateZone", "/zones", {"name": f"zone {index}"}, timeout=30)
    try:
        assert len(listed(ask, "steppe_zone", name_pattern="zone _")) == 5
        assert [one.display_name for one in listed(ask, "steppe_zone", name="zone 3")] == ["zone 3"]
        names = [one.display_name for one in listed(ask, "steppe_zone", conditions=["name?=zone 1,zone 4"])]
        assert names == ["zone 1", "zone 4"]
        assert len(listed(ask, "steppe_zone", limit=2)) == 2
        wanted = {"type_name": "steppe_zone", "config": given(LISTS["steppe_zone"].schema.type)}
        stream = ask.stream("ListResource", **wanted)
        assert next(stream).display_name == "zone 0"
        stream.cancel()  # as Terraform does when it has enough
        assert len(list(ask.stream("ListResource", type_name="steppe_zone"))) == 5, "a block without `config`"
    finally:
        for one in cloud.client.query("zones"):
            cloud.client.delete("DeleteZone", f"/zones/{one['uuid']}", timeout=30)


@pytest.mark.terraform
def test_what_has_no_uuid_is_listed_by_what_tells_it(ask, steppe, cloud):
    steppe.write(WITHOUT_UUID)
    steppe.must_apply()
    state = steppe.state()
    account, offering = (state[f"steppe_{one}.a"]["uuid"] for one in ("account", "instance_offering"))
    for type_name, identity, name in (
        ("steppe_quota", {"account_uuid": account, "name": "vm.num"}, f"{account}/vm.num"),
        ("steppe_resource_share", {"resource_uuid": offering}, offering),
        ("steppe_global_config", {"category": "kvm", "name": "vm.cpuMode"}, "kvm/vm.cpuMode"),
    ):
        (event,) = listed(ask, type_name, whole=True, **identity)
        known = object_of(dict.fromkeys(identity, STRING))
        assert values.decode(event.identity.identity_data, known) == identity and event.display_name == name
        schema = next(one for one in Steppe.resources if one.type_name == type_name).schema
        imported = ask("ImportResourceState", type_name=type_name, identity=event.identity).imported_resources
        assert [one.state for one in imported] == [event.resource_object]
        found = values.decode(event.resource_object, schema.type)
        assert {one: found[one] for one in state[f"{type_name}.a"]} == state[f"{type_name}.a"]
    assert len(listed(ask, "steppe_global_config")) == len(cloud.client.query("global-configurations"))
    assert {one.display_name for one in listed(ask, "steppe_quota", account_uuid=account)} == {
        f"{account}/{name}" for name in quota.NAMES
    }


def test_what_is_wrong_is_said_where_it_is_written(ask):
    schema = LISTS["steppe_vm"].schema
    wrong = given(schema.type, host_uuid="h1", conditions=["state Running"])
    complaints = ask("ValidateListResourceConfig", type_name="steppe_vm", config=wrong).diagnostics
    assert {one.attribute.steps[0].attribute_name for one in complaints} == {"host_uuid", "conditions"}
    odd = given(schema.type, conditions=["colour=blue"])
    (event,) = ask.stream("ListResource", type_name="steppe_vm", config=odd)
    (complaint,) = told(event.diagnostic)
    assert "colour" in complaint


def test_every_filter_is_a_field_of_the_query():
    for name, one in LISTS.items():
        queries = (api for api in apis.values() if issubclass(api, Query))
        query = next(api for api in queries if api.route.path.strip("/") == one.collection)
        known = queryable.fields(queryable.table_name(query.resource))
        unknown = {filter_ for filter_, field in one.fields.items() if field not in known}
        assert not unknown, f"{name}: these belong into its `unqueryable`"


def test_the_schemas_are_offered(ask):
    metadata, schema = ask("GetMetadata"), ask("GetProviderSchema")
    assert {one.type_name for one in metadata.list_resources} == schema.list_resource_schemas.keys() == LISTS.keys()
    attributes = {one.name: one for one in schema.list_resource_schemas["steppe_vm"].block.attributes}
    assert json.loads(attributes["conditions"].type) == ["list", "string"]
    assert all(one.optional for one in attributes.values())
