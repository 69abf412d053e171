"""The one way from a message to its effect, whatever door it came through.

A query or a read is answered at once, a query from the rows alone unless its noun has an answer of its own. A change becomes an
operation, or is answered at once when a secret is in it: that the caller may ask for it, that what it refers to exists for the
caller, that the chosen uuid is free, the checks of its noun and the quota are decided in the transaction that stores it, with
its audit record; a refused request leaves nothing but that. A repeated job uuid with the same request of the same account is
the same job; with another request it is refused.
"""

from typing import Any
from uuid import uuid4

from controlplane.contract.base import Api, Create, Query
from controlplane.contract.error import ApiError, invalid
from controlplane.contract.parse import wire_name
from controlplane.operations.engine import DuplicateOperation, Engine
from controlplane.rules import system_tag
from controlplane.services import audit
from controlplane.services.registry import Caller, all_answers, all_checks, all_permits, all_preparations
from controlplane.services.web_hook import WebHook
from controlplane.store import audit as record
from controlplane.store import query, rows
from controlplane.store.database import Tx
from controlplane.workflows import access, quota
from controlplane.workflows.world import World, workflows


async def dispatch(
    world: World,
    engine: Engine[World],
    caller: Caller,
    message: Api,
    job_uuid: str | None = None,
    hook: WebHook | None = None,
) -> str | dict[str, Any]:
    """The uuid of the job for a change, else the result as on the wire; raises `ApiError`."""
    if not (message.public or caller.account_uuid):
        raise ApiError("ID.1001", "this API needs a session; please log in")
    name = message.api_name()
    if isinstance(message, Query) and name not in all_answers:
        return await world.db.read(lambda tx: query.run(tx, message, caller.viewer))
    if message.kind != "change":
        if not message.public:
            _must_be_admin(caller, message)
        if message.references:
            await world.db.read(lambda tx: access.references_exist(tx, caller.viewer, message))
        return await all_answers[name](world, caller, message)
    if message.at_once:
        return await _change_at_once(world, caller, message)
    registered = workflows.get(name)
    if registered is None:
        raise ApiError("SYS.1013", f"{name} is not available in this control plane")
    uuid = job_uuid or uuid4().hex
    entry = audit.entry(caller, message, uuid)

    def take(tx: Tx) -> ApiError | None:
        try:
            _must_be_allowed(tx, caller, message)
        except ApiError as error:
            record.complete(tx, entry, error.error.wire())
            return error
        record.begun(tx, entry)
        if hook:
            hook.store(tx, uuid)
        return None

    arguments, queue = _for_the_journal(message), registered.queue(message)
    if find := registered.queue_in:
        queue = await world.db.read(lambda tx: find(tx, message))
    try:
        await engine.submit(name, arguments, uuid, queue, account=caller.account_uuid, within=take)
    except DuplicateOperation:
        error = invalid(f"the job {uuid} exists already, with another API or other parameters")
        await world.db.write(lambda tx: record.complete(tx, entry | {"job_uuid": None}, error.error.wire()))
        raise
    return uuid


async def _change_at_once(world: World, caller: Caller, message: Api) -> dict[str, Any]:
    entry = audit.entry(caller, message)

    def work(tx: Tx) -> dict[str, Any]:
        _must_be_allowed(tx, caller, message)
        result = change(tx)
        made = result.get("inventory", {}).get("uuid")
        record.complete(tx, entry if entry["resource_uuid"] else entry | {"resource_uuid": made})
        return result

    try:
        _must_be_admin(caller, message)
        change = await all_preparations[message.api_name()](world, caller, message)
        return await world.db.write(work)
    except ApiError as error:
        refusal = error.error.wire()
        await world.db.write(lambda tx: record.complete(tx, entry, refusal))
        raise


def _must_be_admin(caller: Caller, message: Api) -> None:
    if message.admin_only and not caller.is_admin:
        raise ApiError("ID.1002", f"only an administrator may call {message.api_name()}")


def _must_be_allowed(tx: Tx, caller: Caller, message: Api) -> None:
    name = message.api_name()
    _must_be_admin(caller, message)
    for permit in all_permits.get(name, ()):
        permit(tx, caller, message)
    access.references_exist(tx, caller.viewer, message)
    access.targets_are_own(tx, caller.viewer, message)
    if access.is_absent(tx, caller.viewer, message):
        return
    chosen_uuid_is_free(tx, message)
    tags_are_valid(message)
    for verify in all_checks.get(name, ()):
        verify(tx, message)
    if caller.viewer:
        quota.must_fit(tx, caller.viewer, quota.asked_by(tx, name, message))


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
