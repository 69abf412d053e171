"""The audit record of a call: who asked for what, on what, from where. Its outcome follows when the job ends."""

from typing import Any

from controlplane.contract.base import Api, Create
from controlplane.contract.error import ApiError
from controlplane.contract.parse import wire_name
from controlplane.operations.run import derive
from controlplane.rules import audit as rule
from controlplane.services.registry import Caller
from controlplane.store import audit as record
from controlplane.workflows.world import World

Entry = dict[str, Any]


def entry(caller: Caller, message: Api, job: str | None = None) -> Entry:
    resource_type, resource = _subject(message, job)
    secrets = {wire_name(name) for name in message.secrets}
    text = rule.shown(message.wire(), secrets)
    return _who(caller, message.api_name()) | {
        "job_uuid": job,
        "resource_uuid": resource,
        "resource_type": resource_type,
        "request": text,
    }


def _who(caller: Caller, api: str) -> Entry:
    account = {"account_uuid": caller.account_uuid or None, "account_name": caller.account_name or None}
    nothing = dict.fromkeys(("job_uuid", "resource_uuid", "resource_type", "request"))
    return {"api_name": api, "client_ip": caller.address or None, **account, **nothing}


def _subject(message: Api, job: str | None) -> tuple[str | None, str | None]:
    if isinstance(message, Create):
        return message.creates, message.resource_uuid or (derive(job, message.creates) if job else None)
    if targets := message.targets():
        return targets[0].resource_type[:64], targets[0].uuid
    first = next(iter(message.references), "")
    if uuids := message.uuids(first) if first else []:
        return message.references[first], uuids[0]
    return None, getattr(message, "uuid", None)


async def refused(world: World, caller: Caller, api: type[Api], raw: dict[str, Any], error: ApiError) -> None:
    """A change whose parameters were wrong: it never became a message."""
    if api.kind == "change" and caller.account_uuid:
        row = _who(caller, api.api_name()) | {"request": rule.names(raw)}
        await world.db.write(lambda tx: record.complete(tx, row, error.error.wire()))


def action(caller: Caller, api: str, resource_type: str | None, uuid: str) -> Entry:
    """Of a call that is no API of the registry (an upload, the cancelling of a job)."""
    return _who(caller, api) | {"resource_type": resource_type, "resource_uuid": uuid}
