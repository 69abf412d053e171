"""Access keys: making them, and knowing a caller by the signature of a call.

`Authorization: ZStack <id>:<base64 HMAC-SHA1(secret, METHOD \\n Date \\n path from /v1)>` with a `Date` at most 15 minutes
off. The check needs the secret itself, so it cannot be kept as a hash: it is encrypted with AES-GCM under a key that is in
the state directory and not in the database. Within its window a signature can be used again: it has no nonce.
"""

import base64
import hashlib
import hmac
import os
import secrets
import string
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from controlplane.contract.access_key import CreateAccessKey, NewAccessKeyInventory
from controlplane.contract.error import ApiError, invalid
from controlplane.services.account import caller_for
from controlplane.services.registry import Caller, Change, prepares
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.world import World

WINDOW = timedelta(minutes=15)
_ALPHABET = string.ascii_letters + string.digits
_MOST = 20  # keys of one account


class Vault:
    """Encrypts secrets under `access-key.key` of the state directory, made at the first need, readable by its owner only."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "access-key.key"

    def seal(self, secret: str, access_key_id: str) -> str:
        nonce = os.urandom(12)
        return (nonce + AESGCM(self._key()).encrypt(nonce, secret.encode(), access_key_id.encode())).hex()

    def open(self, sealed: str, access_key_id: str) -> str:
        """Raises `InvalidTag` when another key file sealed it."""
        raw = bytes.fromhex(sealed)
        return AESGCM(self._key()).decrypt(raw[:12], raw[12:], access_key_id.encode()).decode()

    def _key(self) -> bytes:
        if not self._path.exists():
            fresh = self._path.with_suffix(f".{uuid4().hex}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(AESGCM.generate_key(256))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(fresh, self._path)  # the first of two wins
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return self._path.read_bytes()


@prepares(CreateAccessKey)
async def create(world: World, caller: Caller, message: CreateAccessKey) -> Change:
    account = message.account_uuid or caller.account_uuid
    if message.user_uuid not in (None, account):
        raise invalid("field[userUuid]: an account has no users besides itself", "userUuid")
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(20))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(40))
    sealed = Vault(world.settings.state_dir).seal(secret, key_id)

    def insert(tx: Tx) -> dict[str, Any]:
        if rows.count(tx, "AccessKeyVO", account_uuid=account) >= _MOST:
            raise ApiError("ID.1003", f"the account has {_MOST} access keys already; delete one first")
        values = {"account_uuid": account, "user_uuid": account, "description": message.description}
        row = rows.insert(
            tx,
            "AccessKeyVO",
            uuid=message.resource_uuid or uuid4().hex,
            access_key_id=key_id,
            sealed_secret=sealed,
            state="Enabled",
            **values,
        )
        return {"inventory": NewAccessKeyInventory.model_validate(row | {"access_key_secret": secret}).wire()}

    return insert


def caller_by_signature(tx: Tx, world: World, call: "SignedCall", address: str) -> Caller:
    """Raises ID.1000, always with the same words for an unknown key, a disabled one and a wrong signature."""
    call.must_be_fresh(datetime.now(UTC))
    row = rows.find_one(tx, "AccessKeyVO", access_key_id=call.key_id)
    try:
        secret = Vault(world.settings.state_dir).open(row["sealed_secret"], call.key_id) if row else ""
    except InvalidTag:
        secret = ""  # sealed under another node's key file
    good = hmac.compare_digest(call.signature_with(secret), call.signature)
    if row is None or not secret or not good or row["state"] != "Enabled":
        raise ApiError("ID.1000", "the access key is unknown or disabled, or the signature is wrong")
    return caller_for(tx, row["account_uuid"], "", address)


class SignedCall:
    """`path` as the client sees it; the signature covers it from `/v1` on, without the query."""

    def __init__(self, credentials: str, date: str, method: str, path: str) -> None:
        self.key_id, _, signature = credentials.partition(":")
        self.signature = signature.encode()
        self._date = date
        self._text = f"{method}\n{date}\n{path[path.index('/v1') :] if '/v1' in path else path}"

    def signature_with(self, secret: str) -> bytes:
        return base64.b64encode(hmac.new(secret.encode(), self._text.encode(), hashlib.sha1).digest())

    def must_be_fresh(self, now: datetime) -> None:
        if not self._date:
            raise ApiError("ID.1000", "a signed call needs the header Date")
        moment = _moment(self._date)
        if moment is None:
            raise ApiError("ID.1000", f"the header Date {self._date[:60]!r} is not like Tue, 24 Nov 2026 20:00:00 GMT")
        if abs(now - moment) > WINDOW:
            raise ApiError(
                "ID.1000", f"the header Date is more than 15 minutes off; here it is {now:%Y-%m-%d %H:%M:%S} UTC"
            )


def _moment(date: str) -> datetime | None:
    """RFC 1123 with GMT or an offset; some clients write the name of their time zone instead."""
    head, _, zone = date.rpartition(" ")
    try:
        if "/" in zone:
            return datetime.strptime(head, "%a, %d %b %Y %H:%M:%S").replace(tzinfo=ZoneInfo(zone))
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, ZoneInfoNotFoundError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
