"""Resource identity (Terraform 1.12): what tells a resource from all others, beside its state; imports can name it.

It is the attributes `Resource.identity`, texts that never change while the resource lives. What is not known yet has no
identity yet. There has been one version of it so far.
"""

from collections.abc import Iterable
from typing import Any

from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Resource
from provider.framework.types import Type, Value, object_of
from provider.wire import messages, values
from provider.wire import tfplugin6_pb2 as pb


def schemas(resources: Iterable[Resource]) -> dict[str, pb.ResourceIdentitySchema]:
    return {one.type_name: _schema(one) for one in resources if one.identity}


def of(resource: Resource, state: Value) -> pb.ResourceIdentityData | None:
    """The identity of what has that state."""
    if not resource.identity or not isinstance(state, dict):
        return None
    found = {name: state.get(name) for name in resource.identity}
    if not all(isinstance(value, str) for value in found.values()):
        return None
    return pb.ResourceIdentityData(identity_data=values.encode(found, _type(resource)))


def parts(resource: Resource, identifier: str) -> Object:
    """The attributes that an id to import by consists of."""
    if not resource.identity:
        return {}
    return dict(zip(resource.identity, identifier.split("/", len(resource.identity) - 1), strict=True))


def identifier(resource: Resource, request: Any) -> str:
    """What an import names: an id, or an identity."""
    if not request.HasField("identity") or not resource.identity:
        return str(request.id)
    given = values.decode(request.identity.identity_data, _type(resource)) or {}
    for name in resource.identity:
        if not isinstance(given.get(name), str) or not given[name]:
            raise Refused("Incomplete identity", f"An import of {resource.type_name} needs the identity's {name}.")
    return "/".join(given[name] for name in resource.identity)


def upgraded(resource: Resource, raw: bytes) -> pb.ResourceIdentityData | None:
    """A stored identity, as this version has it."""
    return of(resource, values.from_json(raw, _type(resource))) if resource.identity else None


def _schema(resource: Resource) -> pb.ResourceIdentitySchema:
    attributes = resource.schema.attributes
    members = [
        pb.ResourceIdentitySchema.IdentityAttribute(
            name=name,
            type=messages.spelled(attributes[name].type),
            required_for_import=True,
            description=attributes[name].description,
        )
        for name in resource.identity
    ]
    return pb.ResourceIdentitySchema(identity_attributes=members)


def _type(resource: Resource) -> Type:
    return object_of({name: resource.schema.attributes[name].type for name in resource.identity})
