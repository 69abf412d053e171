"""How an API is declared: once, as a class. Everything else that knows an API is derived from it.

From the declaration come the REST route, the JSON message, the CLI command, the OpenAPI document and the reference docs.
The parameters are the class's fields (snake_case here, camelCase on the wire); their bounds are pydantic constraints.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WIRE_DATE = re.compile(r"([A-Z][a-z]{2}) (\d{1,2}), (\d{4}) (\d{1,2}):(\d\d):(\d\d) ([AP]M)")


def render_date(moment: datetime) -> str:
    """`Jan 30, 2016 3:01:03 PM`, in UTC whatever the locale; a naive time is UTC."""
    if moment.tzinfo:
        moment = moment.astimezone(UTC)
    hour, half = moment.hour, "PM" if moment.hour >= 12 else "AM"
    clock = f"{hour % 12 or 12}:{moment.minute:02}:{moment.second:02} {half}"
    return f"{_MONTHS[moment.month - 1]} {moment.day}, {moment.year} {clock}"


def parse_date(value: Any) -> Any:
    """The inverse; anything else is left for pydantic, which knows ISO 8601."""
    if isinstance(value, str) and (found := _WIRE_DATE.fullmatch(value)):
        month, day, year, hour, minute, second, half = found.groups()
        hour24 = int(hour) % 12 + (12 if half == "PM" else 0)
        return datetime(int(year), _MONTHS.index(month) + 1, int(day), hour24, int(minute), int(second), tzinfo=UTC)
    return value


Date = Annotated[datetime, BeforeValidator(parse_date), PlainSerializer(render_date, when_used="json")]


class Wire(BaseModel):
    """camelCase on the wire, either spelling accepted; null members are left out when written."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", defer_build=True)

    def wire(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Inventory(Wire):
    """A resource as a caller sees it: `XInventory.model_validate(row).wire()`; times are of type `Date`."""

    model_config = ConfigDict(extra="ignore")


class Named(Inventory):
    """What nearly every resource has."""

    uuid: str
    name: str
    description: str | None = None
    create_date: Date
    last_op_date: Date


@dataclass(frozen=True)
class Route:
    """`path` is relative to `/v1`; `action` marks `PUT …/actions {"<action>": {…}}`. `no_body`: POST without parameters."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    action: str | None = None
    no_body: bool = False
    also: tuple[str, ...] = ()  # further paths of the same API

    @property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))


# Types that are never shared: referring to one means to change it.
PRIVATE = frozenset(
    {"VmInstanceVO", "VmNicVO", "VolumeVO", "VolumeSnapshotVO", "SystemTagVO", "UserTagVO", "AccessKeyVO", "AccountVO"}
)


class Target(NamedTuple):
    field: str
    resource_type: str
    uuid: str


class Api(Wire):
    """Base of the parameters of every API. `kind`: a `query` or a `read` answers at once; a `change` is a job (202)."""

    kind: ClassVar[Literal["query", "read", "change"]] = "change"
    route: ClassVar[Route]
    package: ClassVar[str]  # of the 1.0 JSON message, e.g. org.zstack.header.zone
    result: ClassVar[type[Wire] | None] = None  # the inventory, or the members of a direct reply
    result_key: ClassVar[str | None] = "inventory"  # inventory | inventories | None (members directly)
    public: ClassVar[bool] = False  # no session needed
    references: ClassVar[dict[str, str]] = {}  # field → resource type it must exist as ("ZoneVO") → SYS.1003
    # Fields never shown, logged or kept (the journal holds ""); `sha512`: callers hash them.
    secrets: ClassVar[dict[str, Literal["sha512", "plain"]]] = {}
    # A change that is answered at once: it takes or makes a secret, which has no place in the journal of jobs.
    at_once: ClassVar[bool] = False
    admin_only: ClassVar[bool] = True  # False: every account may, with what it owns and what is shared with it
    # field → resource type of what the call changes: its owner's alone, and not found by others. Besides those of
    # `references` that are named `uuid` or are of a type that nobody shares.
    changes: ClassVar[dict[str, str]] = {}
    answer: ClassVar[str | None] = None  # class of the 1.0 JSON answer, where it is not API<Name>Event or …Reply

    @classmethod
    def api_name(cls) -> str:
        return cls.__name__

    @classmethod
    def message_name(cls) -> str:
        return f"{cls.package}.API{cls.__name__}Msg"

    @classmethod
    def answer_name(cls) -> str:
        kind = "Event" if cls.kind == "change" else "Reply"
        return f"{cls.package}.{cls.answer or f'API{cls.__name__}{kind}'}"

    def targets(self) -> list[Target]:
        """What the call changes."""
        own = {field: kind for field, kind in self.references.items() if field == "uuid" or kind in PRIVATE}
        return [
            Target(field, kind, uuid) for field, kind in {**own, **self.changes}.items() for uuid in self.uuids(field)
        ]

    def uuids(self, field: str) -> list[str]:
        """Those that a field names, be it one or a list."""
        value = getattr(self, field)
        return [value] if isinstance(value, str) else list(value or ())

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((name, "…" if name in self.secrets else value) for name, value in super().__repr_args__())


UUID_PATTERN = r"^[0-9a-f]{32}$"
Uuid = Annotated[str, Field(pattern=UUID_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Description = Annotated[str, Field(max_length=2048)]


class Create(Api):
    """A creating API: the caller may choose the new resource's uuid and give it tags."""

    creates: ClassVar[str] = ""  # resource type ("ZoneVO"): a chosen uuid that exists already is refused
    resource_uuid: Uuid | None = None
    system_tags: list[str] | None = None
    user_tags: list[str] | None = None


class Delete(Api):
    """A deleting API; deleting what is absent already is a success."""

    result_key: ClassVar[str | None] = None
    delete_mode: Literal["Permissive", "Enforcing"] = "Permissive"


class DeleteRecoverable(Delete):
    """With `expunge` it is gone for good in the same job: nothing comes between, whatever the deletion policy says."""

    expunge: bool = False


class Update(Api):
    """A renaming API: what is left out stays."""

    uuid: Uuid
    name: Name | None = None
    description: Description | None = None


class ChangeState(Api):
    """Enables or disables a resource."""

    uuid: Uuid
    state_event: Literal["enable", "disable"]


class Condition(Wire):
    """One condition of a query. `op`: = != > >= < <= in, not in, is null, is not null, like, not like."""

    name: str
    op: str
    value: str | None = None


class Query(Api):
    """Base of the Query APIs: `resource` (ClassVar) names the table; conditions are ANDed."""

    kind: ClassVar[Literal["query", "read", "change"]] = "query"
    result_key: ClassVar[str | None] = "inventories"
    admin_only: ClassVar[bool] = False
    resource: ClassVar[str]  # resource type, e.g. "ZoneVO"
    conditions: Annotated[list[Condition], Field(max_length=100)] = []
    limit: Annotated[int, Field(ge=0, le=100_000)] = 1000
    start: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    count: bool = False
    reply_with_count: bool = False
    sort_by: str | None = None
    sort_direction: Literal["asc", "desc"] = "asc"
    fields: list[str] | None = None
    group_by: str | None = None
