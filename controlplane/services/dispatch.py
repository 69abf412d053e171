"""The one way from a message to its effect, whatever door it came through.

A query or a read is answered at once, a query from the rows alone unless its noun has an answer of its own. A change becomes an operation: that what it refers to exists, that the chosen
uuid is free and the checks of its noun are decided in the transaction that stores the operation, so a refused request
leaves nothing. A repeated job uuid with the same request is the same job; with another request it is refused.
"""

from typing import Any
from uuid import uuid4

from controlplane.contract.base import Api, Create, Query
from controlplane.contract.error import ApiError, invalid, not_found
from controlplane.contract.parse import wire_name
from controlplane.operations.engine import Engine
from controlplane.rules import system_tag
from controlplane.services.registry import Caller, all_answers, all_checks
from controlplane.store import query, rows
from controlplane.store.database import Tx
from controlplane.workflows.world import World, workflows


async def dispatch(
    world: World, engine: Engine[World], caller: Caller, message: Api, job_uuid: str | None = None
) -> str | dict[str, Any]:
    """The uuid of the job for a change, else the result as on the wire; raises `ApiError`."""
    if not (message.public or caller.account_uuid):
        raise ApiError("ID.1001", "this API needs a session; please log in")
    name = message.api_name()
    if isinstance(message, Query) and name not in all_answers:
        return await world.db.read(lambda tx: query.run(tx, message))
    if message.kind != "change":
        if message.references:
            await world.db.read(lambda tx: references_exist(tx, message))
        return await all_answers[name](world, caller, message)
    registered = workflows.get(name)
    if registered is None:
        raise ApiError("SYS.1013", f"{name} is not available in this control plane")

    def check(tx: Tx) -> None:
        references_exist(tx, message)
        chosen_uuid_is_free(tx, message)
        tags_are_valid(message)
        for verify in all_checks.get(name, ()):
            verify(tx, message)

    uuid = job_uuid or uuid4().hex
    queue = registered.queue(message)
    if find := registered.queue_in:
        queue = await world.db.read(lambda tx: find(tx, message))
    await engine.submit(name, _for_the_journal(message), uuid=uuid, queue=queue, within=check)
    return uuid


def references_exist(tx: Tx, message: Api) -> None:
    for field, resource in message.references.items():
        value = getattr(message, field)
        for uuid in [value] if isinstance(value, str) else value or ():
            if rows.get(tx, resource, uuid) is None:
                wire = wire_name(field)
                raise not_found(f"field[{wire}] of {message.api_name()}: there is no {resource} {uuid}", wire)


def chosen_uuid_is_free(tx: Tx, message: Api) -> None:
    if not (isinstance(message, Create) and message.resource_uuid and message.creates):
        return
    if rows.get(tx, message.creates, message.resource_uuid):
        detail = f"field[resourceUuid] of {message.api_name()}: {message.resource_uuid} exists already"
        raise invalid(detail, "resourceUuid")


def tags_are_valid(message: Api) -> None:
    if isinstance(message, Create) and message.system_tags:
        tags = system_tag.joined(message.creates, message.system_tags)
        for tag in tags:
            system_tag.must_be_valid(message.creates, tag)
        system_tag.must_be_single(message.creates, tags)


def _for_the_journal(message: Api) -> dict[str, Any]:
    return message.wire() | {wire_name(name): "" for name in message.secrets}
