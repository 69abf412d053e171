"""Workflows of nouns that live in the database only: one transaction each, the same for all of them.

`plain(...)` registers what a noun's create, update, change of state and delete do; a noun with work on hosts writes its
own workflows instead. Deleting what is absent is a success; deleting what others need is refused and names them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.contract.base import Api, ChangeState, Create, Delete, Inventory, Update
from controlplane.contract.error import not_found, refused
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.world import World, workflow

_STATES = {"enable": "Enabled", "disable": "Disabled"}
_ENVELOPE = {"resource_uuid", "system_tags", "user_tags"}
Row = dict[str, Any]
Reference = tuple[str, str]


@dataclass(frozen=True)
class Plain:
    """A noun: its table, its inventory, and who refers to it, as (table, column)."""

    resource: str
    inventory: type[Inventory]
    needed_by: tuple[Reference, ...] = ()  # deleting is refused while there is one
    attached_by: tuple[Reference, ...] = ()  # rows that go with it
    remembered_by: tuple[Reference, ...] = ()  # columns that become null

    def show(self, row: Row) -> dict[str, Any]:
        return {"inventory": self.inventory.model_validate(row).wire()}

    def creates(self, api: type[Create], renamed: Mapping[str, str] = {}) -> None:
        """The row is the message's fields (`renamed`: field → column) and the state `Enabled`."""

        @workflow(api, queue=lambda message: message.resource_uuid and f"{self.resource}:{message.resource_uuid}")
        async def create(op: Operation[World], message: Any) -> dict[str, Any]:
            uuid = message.resource_uuid or op.derive(self.resource)
            values = message.model_dump(exclude=_ENVELOPE)
            columns = {renamed.get(field, field): value for field, value in values.items()}

            def insert(tx: Tx) -> dict[str, Any]:
                return self.show(rows.insert(tx, self.resource, uuid=uuid, state="Enabled", **columns))

            return await op.commit("insert", insert)

    def updates(self, api: type[Update]) -> None:
        self._changes(api, lambda message: message.model_dump(exclude={"uuid"}, exclude_none=True))

    def changes_state(self, api: type[ChangeState]) -> None:
        self._changes(api, lambda message: {"state": _STATES[message.state_event]})

    def _changes(self, api: type[Api], values: Callable[[Any], Row]) -> None:
        @workflow(api, queue=self._queue)
        async def change(op: Operation[World], message: Any) -> dict[str, Any]:
            def update(tx: Tx) -> dict[str, Any]:
                rows.update(tx, self.resource, message.uuid, **values(message))
                if row := rows.get(tx, self.resource, message.uuid):
                    return self.show(row)
                raise not_found(f"{_word(self.resource)} {message.uuid} was deleted meanwhile")

            return await op.commit("update", update)

    def deletes(self, api: type[Delete]) -> None:
        @workflow(api, queue=self._queue)
        async def delete(op: Operation[World], message: Any) -> dict[str, Any]:
            def remove(tx: Tx) -> dict[str, Any]:
                for table, column in self.needed_by:
                    if found := rows.find(tx, table, **{column: message.uuid}):
                        raise refused(_still_needed(self.resource, message.uuid, table, found))
                for table, column in self.attached_by:
                    rows.delete_where(tx, table, **{column: message.uuid})
                for table, column in self.remembered_by:
                    rows.update_where(tx, table, {column: message.uuid}, **{column: None})
                rows.delete(tx, self.resource, message.uuid)
                return {}

            return await op.commit("delete", remove)

    def _queue(self, message: Any) -> str:
        return f"{self.resource}:{message.uuid}"


def _still_needed(resource: str, uuid: str, table: str, found: list[Row]) -> str:
    names = ", ".join(str(row.get("name") or row.get("uuid") or "") for row in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"{_word(resource)} {uuid} still has {_word(table)}: {names}{more}; delete or detach them first"


def _word(table: str) -> str:
    return table.removesuffix("VO")
