"""What an account may touch: what it refers to must be visible to it, what it changes must be its own.

Somebody else's resource is not there: not found where it must exist, silently absent where absence is a success. Only what
is visible without being one's own (it is shared) may be said to be so.
"""

from controlplane.contract.base import Api, Delete, Target
from controlplane.contract.error import ApiError, not_found
from controlplane.contract.parse import wire_name
from controlplane.store import ownership, tables
from controlplane.store.database import Tx
from controlplane.store.ownership import Viewer


def references_exist(tx: Tx, viewer: Viewer, message: Api) -> None:
    """Raises SYS.1003."""
    for field, resource in message.references.items():
        for uuid in message.uuids(field):
            if not ownership.sees(tx, viewer, resource, uuid):
                raise _missing(message, field, resource, uuid)


def targets_are_own(tx: Tx, viewer: Viewer, message: Api) -> None:
    """Raises SYS.1003, or ID.1002 for what is shared with the viewer."""
    if viewer is None:
        return
    for target in _existing(message):
        if ownership.owns(tx, viewer, target.resource_type, target.uuid):
            continue
        if ownership.sees(tx, viewer, target.resource_type, target.uuid):
            raise ApiError("ID.1002", f"{target.resource_type} {target.uuid} is shared: only its owner changes it")
        if not _may_be_absent(message, target):
            raise _missing(message, *target)


def is_absent(tx: Tx, viewer: Viewer, message: Api) -> bool:
    """What the call would delete is there, but not for this account."""
    return viewer is not None and any(
        ownership.sees(tx, None, target.resource_type, target.uuid)
        and not ownership.sees(tx, viewer, target.resource_type, target.uuid)
        for target in _existing(message)
        if _may_be_absent(message, target)
    )


def _existing(message: Api) -> list[Target]:
    """A caller may name any type of resource for a tag; which of them there are is judged elsewhere."""
    return [target for target in message.targets() if target.resource_type in tables.metadata.tables]


def _may_be_absent(message: Api, target: Target) -> bool:
    return target.field not in message.references and (isinstance(message, Delete) or target.field in message.changes)


def _missing(message: Api, field: str, resource: str, uuid: str) -> ApiError:
    wire = wire_name(field)
    return not_found(f"field[{wire}] of {message.api_name()}: there is no {resource} {uuid}", wire)
