"""Who calls: accounts, passwords, log-in, sessions.

A password arrives as a SHA-512 and is kept salted (scrypt, RFC 7914); a session's token is kept as its SHA-256, so the
database opens no door. Guessing is slowed: after five failures from one address for one account each further try waits
longer. Sessions do not grow with use; their length and number are those of the global configuration.
"""

import asyncio
import hashlib
import hmac
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from controlplane.contract.account import (
    ADMIN_UUID,
    AccountInventory,
    CreateAccount,
    DeleteAccount,
    LogInByAccount,
    LogOut,
    SessionInventory,
    UpdateAccount,
    ValidateSession,
)
from controlplane.contract.error import ApiError, invalid, refused
from controlplane.services import audit
from controlplane.services.registry import Caller, Change, answers, checks, prepares
from controlplane.services.throttle import Throttle
from controlplane.store import audit as record
from controlplane.store import ownership, rows
from controlplane.store.database import Tx
from controlplane.workflows import global_config, quota
from controlplane.workflows.world import World

_COST = {"n": 2**14, "r": 8, "p": 1}  # 16 MiB and some 50 ms for each guess
_hashers = ThreadPoolExecutor(2, "password")  # bounds what a flood of log-ins can take
_throttle = Throttle()


def seal(password_sha512: str) -> str:
    """`scrypt$<salt>$<key>`, hex; the only form in which a password is stored."""
    salt = os.urandom(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password_sha512.encode(), salt=salt, **_COST).hex()}"


def matches(password_sha512: str, sealed: str) -> bool:
    _, salt, key = sealed.split("$")
    tried = hashlib.scrypt(password_sha512.encode(), salt=bytes.fromhex(salt), **_COST)
    return hmac.compare_digest(tried, bytes.fromhex(key))


_NOBODY = seal("")  # compared with when there is no such account, so that the time tells nothing


def sha512(text: str) -> str:
    return hashlib.sha512(text.encode()).hexdigest()


def ensure_admin(tx: Tx, password: str) -> bool:
    """Create the account `admin` with this (clear text) password at the first start; True if it was created."""
    if rows.get(tx, "AccountVO", ADMIN_UUID):
        return False
    sealed = seal(sha512(password))
    rows.insert(tx, "AccountVO", uuid=ADMIN_UUID, name="admin", type="SystemAdmin", password_hash=sealed)
    return True


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def caller_of(tx: Tx, token: str, address: str = "") -> Caller:
    """The caller by a session; raises ID.1001."""
    if not token:
        raise ApiError("ID.1001", "this API needs a session; please log in")
    session = rows.find_one(tx, "SessionVO", token_hash=_hash(token))
    if session is None or session["expired_date"] <= datetime.now(UTC):
        raise ApiError("ID.1001", "the session is unknown or has expired; please log in again")
    return caller_for(tx, session["account_uuid"], token, address)


def caller_for(tx: Tx, account_uuid: str, token: str, address: str) -> Caller:
    account = rows.get(tx, "AccountVO", account_uuid)
    if account is None:
        raise ApiError("ID.1001", "the account does not exist any more")
    is_admin = ownership.viewer(tx, account_uuid) is None
    return Caller(account_uuid, token, is_admin=is_admin, address=address, account_name=account["name"])


@answers(LogInByAccount)
async def log_in(world: World, caller: Caller, message: LogInByAccount) -> dict[str, Any]:
    guesser = (message.account_name, caller.address)
    if wait := _throttle.wait(guesser, time.monotonic()):
        raise ApiError("ID.1000", f"too many failed log-ins; try again in {wait:.0f} seconds")
    account = await world.db.read(lambda tx: rows.find_one(tx, "AccountVO", name=message.account_name))
    sealed = account["password_hash"] if account else _NOBODY
    good = await asyncio.get_running_loop().run_in_executor(_hashers, matches, message.password, sealed)
    who = Caller(account["uuid"] if account else "", address=caller.address, account_name=message.account_name)
    entry = audit.entry(who, message)
    if account is None or not good:
        _throttle.failed(guesser, time.monotonic())
        error = ApiError("ID.1000", "wrong account name or password")
        if account:  # what is tried on names that do not exist would fill the record with noise
            await world.db.write(lambda tx: record.complete(tx, entry, error.error.wire()))
        raise error
    _throttle.succeeded(guesser)

    def open_session(tx: Tx) -> dict[str, Any]:
        record.complete(tx, entry)
        return {"inventory": _open(tx, account["uuid"])}

    return await world.db.write(open_session)


def _open(tx: Tx, account_uuid: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    timeout = global_config.whole(tx, "identity", "session.timeout")
    most = global_config.whole(tx, "identity", "session.maxConcurrent")
    sessions = rows.find(tx, "SessionVO", account_uuid=account_uuid)
    expired = [session["uuid"] for session in sessions if session["expired_date"] <= now]
    rows.delete_where(tx, "SessionVO", uuid=expired)
    if len(sessions) - len(expired) >= most:
        raise ApiError("ID.1003", f"the account has {most} sessions already; log out of some, or let them expire")
    token = secrets.token_hex(16)
    session = {
        "account_uuid": account_uuid,
        "user_uuid": account_uuid,
        "expired_date": now + timedelta(seconds=timeout),
    }
    row = rows.insert(tx, "SessionVO", uuid=uuid4().hex, token_hash=_hash(token), **session)
    return SessionInventory.model_validate(row | {"uuid": token}).wire()


@answers(LogOut)
async def log_out(world: World, caller: Caller, message: LogOut) -> dict[str, Any]:
    if token := message.session_uuid or caller.session_uuid:
        await world.db.write(lambda tx: rows.delete_where(tx, "SessionVO", token_hash=_hash(token)))
    return {}


@answers(ValidateSession)
async def validate_session(world: World, caller: Caller, message: ValidateSession) -> dict[str, Any]:
    try:
        await world.db.read(lambda tx: caller_of(tx, message.session_uuid))
    except ApiError:
        return {"valid": False, "validSession": False}
    return {"valid": True, "validSession": True}


@prepares(CreateAccount)
async def create_account(world: World, caller: Caller, message: CreateAccount) -> Change:
    sealed = await _sealed(message.password)
    uuid = message.resource_uuid or uuid4().hex

    def create(tx: Tx) -> dict[str, Any]:
        _name_is_free(tx, message.name, "")
        values = message.model_dump(include={"name", "description", "type"})
        row = rows.insert(tx, "AccountVO", uuid=uuid, password_hash=sealed, **values)
        if message.type == "Normal":
            quota.store(tx, uuid, lambda _label: uuid4().hex)
        return {"inventory": AccountInventory.model_validate(row).wire()}

    return create


@prepares(UpdateAccount)
async def update_account(world: World, caller: Caller, message: UpdateAccount) -> Change:
    values = message.model_dump(include={"name", "description"}, exclude_none=True)
    if message.password:
        values["password_hash"] = await _sealed(message.password)

    def update(tx: Tx) -> dict[str, Any]:
        if message.name:
            _name_is_free(tx, message.name, message.uuid)
        row = rows.update(tx, "AccountVO", message.uuid, **values)
        if message.password:
            rows.delete_where(tx, "SessionVO", account_uuid=message.uuid)
        return {"inventory": AccountInventory.model_validate(row).wire()}

    return update


async def _sealed(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_hashers, seal, password)


def _name_is_free(tx: Tx, name: str, own: str) -> None:
    other = rows.find_one(tx, "AccountVO", name=name)
    if other and other["uuid"] != own:
        raise invalid(f"field[name]: there is an account {name!r} already ({other['uuid']})", "name")


@checks(DeleteAccount)
def may_be_deleted(_tx: Tx, message: DeleteAccount) -> None:
    if message.uuid == ADMIN_UUID:
        raise refused("the account admin cannot be deleted")
