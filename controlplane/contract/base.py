"""How an API is declared: once, as a class. Everything else that knows an API is derived from it.

From the declaration come the REST route, the JSON message, the CLI command, the OpenAPI document and the reference docs.
The parameters are the class's fields (snake_case here, camelCase on the wire); their bounds are pydantic constraints.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    """camelCase on the wire, either spelling accepted; null members are left out when written."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    def wire(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Inventory(Wire):
    """A resource as a caller sees it; times are ISO 8601 strings in UTC inside, rendered at the boundary."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True)
class Route:
    """`path` is relative to `/v1`; `action` marks `PUT …/actions {"<action>": {…}}`. `no_body`: POST without parameters."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    action: str | None = None
    no_body: bool = False

    @property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))


class Api(Wire):
    """Base of the parameters of every API. `kind`: a `query` or a `read` answers at once; a `change` is a job (202)."""

    kind: ClassVar[Literal["query", "read", "change"]] = "change"
    route: ClassVar[Route]
    package: ClassVar[str]  # of the 1.0 JSON message, e.g. org.zstack.header.zone
    result: ClassVar[type[Wire] | None] = None  # the inventory, or the members of a direct reply
    result_key: ClassVar[str | None] = "inventory"  # inventory | inventories | None (members directly)
    public: ClassVar[bool] = False  # no session needed
    references: ClassVar[dict[str, str]] = {}  # field → resource type it must exist as ("ZoneVO") → SYS.1003

    @classmethod
    def api_name(cls) -> str:
        return cls.__name__

    @classmethod
    def message_name(cls) -> str:
        return f"{cls.package}.API{cls.__name__}Msg"


Uuid = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Description = Annotated[str, Field(max_length=2048)]


class Create(Api):
    """A creating API: the caller may choose the new resource's uuid and give it tags."""

    resource_uuid: Uuid | None = None
    system_tags: list[str] | None = None
    user_tags: list[str] | None = None


class Delete(Api):
    """A deleting API; deleting what is absent already is a success."""

    result_key: ClassVar[str | None] = None
    delete_mode: Literal["Permissive", "Enforcing"] = "Permissive"


class Condition(Wire):
    """One condition of a query. `op`: = != > >= < <= in, not in, is null, is not null, like, not like."""

    name: str
    op: str
    value: str | None = None


class Query(Api):
    """Base of the Query APIs: `resource` (ClassVar) names the table; conditions are ANDed."""

    kind: ClassVar[Literal["query", "read", "change"]] = "query"
    result_key: ClassVar[str | None] = "inventories"
    resource: ClassVar[str]  # resource type, e.g. "ZoneVO"
    conditions: list[Condition] = []
    limit: Annotated[int, Field(ge=0, le=100_000)] = 1000
    start: Annotated[int, Field(ge=0)] = 0
    count: bool = False
    reply_with_count: bool = False
    sort_by: str | None = None
    sort_direction: Literal["asc", "desc"] = "asc"
    fields: list[str] | None = None
