"""Resource identity, as Terraform 1.12 and later use it. No such core was at hand: a client of the protocol asks instead."""

from typing import Any

from provider.framework.types import STRING, UNKNOWN, object_of
from provider.main import Steppe
from provider.wire import tfplugin6_pb2 as pb
from provider.wire import values
from tests.provider.wire.core import Core, given

ZONE = next(one for one in Steppe.resources if one.type_name == "steppe_zone").schema.type
IDENTITY = object_of({"uuid": STRING})


def zone(**attributes: Any) -> pb.DynamicValue:
    return given(ZONE, **attributes)


def identity(data: pb.ResourceIdentityData) -> Any:
    return values.decode(data.identity_data, IDENTITY)


def test_every_resource_has_an_identity_its_uuid_where_it_has_one(ask: Core):
    schemas = ask("GetResourceIdentitySchemas").identity_schemas
    resources = {one.type_name: one for one in Steppe.resources}
    assert set(schemas) == set(resources)
    for name, one in schemas.items():
        names = tuple(attribute.name for attribute in one.identity_attributes)
        assert names == (("uuid",) if "uuid" in resources[name].schema.attributes else resources[name].identity), name
        for attribute in one.identity_attributes:
            assert (attribute.type, attribute.required_for_import) == (b'"string"', True) and attribute.description


def test_identity_goes_along_through_the_life_of_a_resource(ask: Core, cloud):
    nothing, wished = values.encode(None, ZONE), zone(name="zone")
    of_zone = {"type_name": "steppe_zone"}
    planned = ask("PlanResourceChange", **of_zone, prior_state=nothing, proposed_new_state=wished, config=wished)
    assert not planned.HasField("planned_identity"), "nobody knows it before it is made"
    assert values.decode(planned.planned_state, ZONE)["uuid"] is UNKNOWN
    made = ask(
        "ApplyResourceChange", **of_zone, prior_state=nothing, planned_state=planned.planned_state, config=wished
    )
    known = cloud.only("zones", name="zone")["uuid"]
    assert identity(made.new_identity) == {"uuid": known}

    read = ask("ReadResource", **of_zone, current_state=made.new_state, current_identity=made.new_identity)
    assert identity(read.new_identity) == {"uuid": known}
    state = values.decode(read.new_state, ZONE)
    renamed = values.encode(state | {"name": "region"}, ZONE)
    update = ask(
        "PlanResourceChange", **of_zone, prior_state=read.new_state, proposed_new_state=renamed,
        config=zone(name="region"), prior_identity=read.new_identity,
    )  # fmt: skip
    assert identity(update.planned_identity) == {"uuid": known}

    imported = ask("ImportResourceState", **of_zone, identity=read.new_identity)
    (one,) = imported.imported_resources
    assert identity(one.identity) == {"uuid": known} and values.decode(one.state, ZONE)["name"] == "zone"
    (again,) = ask("ImportResourceState", **of_zone, id=known).imported_resources
    assert again.state == one.state and again.identity == one.identity

    raw = pb.RawState(json=f'{{"uuid": "{known}", "older": 1}}'.encode())
    upgraded = ask("UpgradeResourceIdentity", **of_zone, version=0, raw_identity=raw)
    assert identity(upgraded.upgraded_identity) == {"uuid": known}

    gone = ask("ApplyResourceChange", **of_zone, prior_state=read.new_state, planned_state=nothing, config=nothing)
    assert not gone.diagnostics and not gone.HasField("new_identity")
    absent = ask("ReadResource", **of_zone, current_state=read.new_state)
    assert not absent.HasField("new_identity") and values.decode(absent.new_state, ZONE) is None


def test_an_import_by_an_empty_identity_is_refused(ask: Core):
    empty = pb.ResourceIdentityData(identity_data=values.encode({"uuid": None}, IDENTITY))
    (complaint,) = ask("ImportResourceState", type_name="steppe_zone", identity=empty).diagnostics
    assert complaint.detail == "An import of steppe_zone needs the identity's uuid."
