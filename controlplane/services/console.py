"""Who may open a console: one-time tokens, and the sessions of pages that a token opened.

Both are kept as their SHA-256, so the database opens no console. A token is used up by its first use, whatever comes of
it. A session lasts while its page is connected and `console/proxy.idleTimeout` longer, and ends when the VM does.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from controlplane.contract.console import (
    ConsoleInventory,
    ConsolePasswordReply,
    GetVmConsolePassword,
    GetVmScreenshot,
    RequestConsoleAccess,
    ScreenshotReply,
)
from controlplane.contract.error import ApiError, Temporary, refused
from controlplane.rules.vm_state import RUNNING, must_allow
from controlplane.services.registry import Caller, answers
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows import global_config
from controlplane.workflows.inventories import must_get
from controlplane.workflows.vm_spec import console_password
from controlplane.workflows.world import World

_TABLE = "ConsoleAccessVO"


@dataclass(frozen=True)
class Access:
    """To this console of a VM that runs on this host."""

    vm_uuid: str
    vm_name: str
    host_uuid: str
    kind: str


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _running(tx: Tx, api: str, uuid: str) -> rows.Row:
    vm = must_get(tx, "VmInstanceVO", uuid)
    must_allow(api, uuid, vm["state"])
    return vm


@answers(RequestConsoleAccess)
async def request_access(world: World, caller: Caller, message: RequestConsoleAccess) -> dict[str, Any]:
    uuid, token = message.vm_instance_uuid, secrets.token_hex(16)
    kind = message.protocol or await _first_protocol(world, uuid)

    def grant(tx: Tx) -> datetime:
        vm = _running(tx, "RequestConsoleAccess", uuid)
        for old in rows.find(tx, _TABLE, vm_instance_uuid=uuid):
            if old["expired_date"] <= now():
                rows.delete(tx, _TABLE, old["uuid"])
        expiry = now() + timedelta(seconds=global_config.whole(tx, "console", "token.lifetime"))
        _insert(tx, token, "token", expiry, {"vm_instance_uuid": uuid, "host_uuid": vm["host_uuid"], "kind": kind})
        return expiry

    expiry = await world.db.write(grant)
    where = urlsplit(world.settings.public_url)
    granted = ConsoleInventory(
        vm_instance_uuid=uuid,
        protocol=kind,
        scheme=where.scheme,
        hostname=where.hostname or "",
        port=where.port or (443 if where.scheme == "https" else 80),
        token=token,
        url=f"{world.settings.public_url}/console?token={token}",
        expired_date=expiry,
    )
    return {"inventory": granted.wire()}


async def _first_protocol(world: World, uuid: str) -> str:
    vm = await world.db.read(lambda tx: _running(tx, "RequestConsoleAccess", uuid))
    status = await _ask(world, vm, "get_vm")
    if status is None or not status.consoles:
        raise refused(f"VM {vm['name']} has no screen on its host now")
    return str(status.consoles[0].protocol)


async def _ask(world: World, vm: rows.Row, call: str) -> Any:
    try:
        return await getattr(world.hosts.get(vm["host_uuid"]), call)(vm["uuid"])
    except Temporary as error:
        raise ApiError("SYS.1006", f"the host of VM {vm['name']} does not answer: {error}") from error


def _insert(tx: Tx, token: str, role: str, expiry: datetime, what: dict[str, Any]) -> None:
    rows.insert(tx, _TABLE, uuid=uuid4().hex, token_hash=_hash(token), role=role, expired_date=expiry, **what)


def redeem(tx: Tx, token: str) -> Access | None:
    """Use a token up; None when it is unknown, used or expired, or when its VM does not run there any more."""
    found = rows.find_one(tx, _TABLE, token_hash=_hash(token), role="token")
    if found is None:
        return None
    rows.delete(tx, _TABLE, found["uuid"])
    return _access(tx, found)


def open_session(tx: Tx, token: str) -> tuple[str, Access] | None:
    """A token becomes the session of a page."""
    access = redeem(tx, token)
    if access is None:
        return None
    session = secrets.token_hex(16)
    what = {"vm_instance_uuid": access.vm_uuid, "host_uuid": access.host_uuid, "kind": access.kind}
    _insert(tx, session, "session", now() + _idle(tx), what)
    return session, access


def use_session(tx: Tx, session: str, vm_uuid: str) -> Access | None:
    """The session is in use, so it lasts longer."""
    found = rows.find_one(tx, _TABLE, token_hash=_hash(session), role="session", vm_instance_uuid=vm_uuid)
    access = _access(tx, found) if found else None
    if found and access:
        rows.update(tx, _TABLE, found["uuid"], expired_date=now() + _idle(tx))
    return access


def idle_timeout(tx: Tx) -> int:
    return global_config.whole(tx, "console", "proxy.idleTimeout")


def _idle(tx: Tx) -> timedelta:
    return timedelta(seconds=idle_timeout(tx))


def _access(tx: Tx, row: rows.Row) -> Access | None:
    vm = rows.get(tx, "VmInstanceVO", row["vm_instance_uuid"])
    if row["expired_date"] <= now() or vm is None or vm["state"] != RUNNING or vm["host_uuid"] != row["host_uuid"]:
        return None
    return Access(vm["uuid"], vm["name"], vm["host_uuid"], row["kind"])


@answers(GetVmScreenshot)
async def screenshot(world: World, _caller: Caller, message: GetVmScreenshot) -> dict[str, Any]:
    vm = await world.db.read(lambda tx: _running(tx, "GetVmScreenshot", message.uuid))
    image = base64.b64encode(await _ask(world, vm, "screenshot")).decode()
    return ScreenshotReply(content_type="image/png", image=image).wire()


@answers(GetVmConsolePassword)
async def password(world: World, _caller: Caller, message: GetVmConsolePassword) -> dict[str, Any]:
    return ConsolePasswordReply(console_password=console_password(world, message.uuid)).wire()
