"""State that this version of a resource did not write: of an older version of it, or of another resource that is moved here.

An upgrade goes from version to version; a move gives the id by which the resource is imported in its new place.
"""

from dataclasses import dataclass

from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Resource


@dataclass(frozen=True)
class Source:
    """What `moved` names: `provider` is an address such as `registry.terraform.io/zstackio/zstack`."""

    provider: str
    type_name: str
    state: Object


def upgraded(resource: Resource, version: int, state: Object) -> Object:
    """The state as the resource's schema has it now."""
    if version > resource.schema.version:
        raise Refused(
            "State of a newer provider",
            f"The state of this {resource.type_name} has version {version}, this provider knows "
            f"{resource.schema.version}: take the provider that wrote it, or a newer one.",
        )
    for step in range(version, resource.schema.version):
        state = resource.upgraders[step](state)
    return state


def moved(resource: Resource, source: Source) -> str:
    """The id by which the resource is imported that `source` means."""
    sources = resource.moves_from()
    if source.type_name not in sources:
        known = ", ".join(sorted(sources)) or "nothing"
        raise Refused(
            f"No {resource.type_name} can come from {source.type_name}",
            f"A {resource.type_name} can take over the state of {known}.",
        )
    found = sources[source.type_name](source.state)
    if not found:
        raise Refused(
            f"This {source.type_name} is no {resource.type_name}",
            f"Its state (of {source.provider}) does not say which one of the cloud it is.",
        )
    return found
