"""Resource identity (Terraform 1.12): what tells a resource from all others, beside its state; imports can name it.

It is one attribute of the resource, `Resource.identity`, which never changes while the resource lives. What is not known yet
has no identity yet. Resources without that attribute have none. There has been one version of it so far.
"""

from collections.abc import Iterable
from typing import Any

from provider.framework.diagnostics import Refused
from provider.framework.resource import Resource
from provider.framework.types import Type, Value, object_of
from provider.wire import messages, values
from provider.wire import tfplugin6_pb2 as pb


def schemas(resources: Iterable[Resource]) -> dict[str, pb.ResourceIdentitySchema]:
    return {one.type_name: _schema(one) for one in resources if one.identity}


def of(resource: Resource, state: Value) -> pb.ResourceIdentityData | None:
    """The identity of what has that state."""
    if not resource.identity or not isinstance(state, dict) or not isinstance(state[resource.identity], str):
        return None
    return _data(resource, state[resource.identity])


def identifier(resource: Resource, request: Any) -> str:
    """What an import names: an id, or an identity."""
    if not request.HasField("identity") or not resource.identity:
        return str(request.id)
    given = values.decode(request.identity.identity_data, _type(resource)) or {}
    found = given.get(resource.identity)
    if not isinstance(found, str) or not found:
        raise Refused(
            "Incomplete identity", f"An import of {resource.type_name} needs the identity's {resource.identity}."
        )
    return found


def upgraded(resource: Resource, raw: bytes) -> pb.ResourceIdentityData | None:
    """A stored identity, as this version has it."""
    if not resource.identity:
        return None
    return of(resource, values.from_json(raw, _type(resource)))


def _schema(resource: Resource) -> pb.ResourceIdentitySchema:
    assert resource.identity
    attribute = resource.schema.attributes[resource.identity]
    member = pb.ResourceIdentitySchema.IdentityAttribute(
        name=resource.identity,
        type=messages.spelled(attribute.type),
        required_for_import=True,
        description=attribute.description,
    )
    return pb.ResourceIdentitySchema(identity_attributes=[member])


def _type(resource: Resource) -> Type:
    assert resource.identity
    return object_of({resource.identity: resource.schema.attributes[resource.identity].type})


def _data(resource: Resource, value: str) -> pb.ResourceIdentityData:
    return pb.ResourceIdentityData(identity_data=values.encode({resource.identity: value}, _type(resource)))
