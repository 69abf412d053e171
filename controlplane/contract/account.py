"""Accounts and sessions. A password travels as the SHA-512 of its text, in lower-case hex digits, and is kept salted."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import (
    Api,
    Create,
    Date,
    Delete,
    Description,
    Inventory,
    Name,
    Named,
    Query,
    Route,
    Update,
    Uuid,
    Wire,
)
from controlplane.contract.registry import api

ADMIN_UUID = "36c27e8ff05c4780bf6d2fa65700f22e"
_PACKAGE = "org.zstack.header.identity"
Password = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class SessionInventory(Inventory):
    uuid: str
    account_uuid: str
    user_uuid: str
    create_date: Date
    expired_date: Date


class AccountInventory(Named):
    type: str


class ValidSession(Wire):
    """`valid` for REST clients, `validSession` in the words of version 1.0."""

    valid: bool
    valid_session: bool


@api
class LogInByAccount(Api):
    kind = "read"
    public: ClassVar[bool] = True
    route = Route("PUT", "/accounts/login", "logInByAccount")
    package = _PACKAGE
    answer: ClassVar[str | None] = "APILogInReply"
    result = SessionInventory
    secrets = {"password": "sha512"}
    account_name: Annotated[str, Field(min_length=1, max_length=255)]
    password: Password


@api
class LogOut(Api):
    """Without `sessionUuid` the session of the call itself ends; an unknown session has ended already."""

    kind = "read"
    public: ClassVar[bool] = True
    route = Route("DELETE", "/accounts/sessions/{sessionUuid}")
    package = _PACKAGE
    result_key = None
    session_uuid: Uuid | None = None


@api
class ValidateSession(Api):
    kind = "read"
    public: ClassVar[bool] = True
    route = Route("GET", "/accounts/sessions/{sessionUuid}/valid")
    package = _PACKAGE
    result = ValidSession
    result_key = None
    session_uuid: Uuid


@api
class CreateAccount(Create):
    """Answers at once. A `SystemAdmin` may do what the account `admin` may; a `Normal` one has quotas and sees what is its
    own or shared with it."""

    at_once: ClassVar[bool] = True
    route = Route("POST", "/accounts")
    package = _PACKAGE
    result = AccountInventory
    creates = "AccountVO"
    secrets = {"password": "sha512"}
    name: Name
    password: Password
    type: Literal["SystemAdmin", "Normal"] = "Normal"
    description: Description | None = None


@api
class UpdateAccount(Update):
    """Answers at once. A changed password ends all sessions of the account. An account may change itself."""

    at_once: ClassVar[bool] = True
    admin_only: ClassVar[bool] = False
    route = Route("PUT", "/accounts/{uuid}", "updateAccount", also=("/accounts/{uuid}/actions",))
    package = _PACKAGE
    result = AccountInventory
    references = {"uuid": "AccountVO"}
    secrets = {"password": "sha512"}
    password: Password | None = None


@api
class DeleteAccount(Delete):
    """Its sessions, access keys, quotas and shares go with it; what it owns becomes the administrator's. `admin` stays."""

    route = Route("DELETE", "/accounts/{uuid}")
    package = _PACKAGE
    changes = {"uuid": "AccountVO"}
    uuid: Uuid


@api
class QueryAccount(Query):
    route = Route("GET", "/accounts")
    package = _PACKAGE
    result = AccountInventory
    resource = "AccountVO"
