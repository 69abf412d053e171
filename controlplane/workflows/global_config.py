"""The global configuration in the database: seeded at start-up, changed by its APIs, read by whoever needs an entry.

An entry is read in the transaction that uses it, so a change holds from the next one on, on every node, and there is no
cache to be stale: a read is one indexed row.
"""

from typing import Any

from controlplane.contract.global_config import GlobalConfigInventory, ResetGlobalConfig, UpdateGlobalConfig
from controlplane.operations.interface import Operation
from controlplane.rules import global_config as rules
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.world import World, workflow

_TABLE = "GlobalConfigVO"


def value(tx: Tx, category: str, name: str) -> str:
    """The entry's value now; its default while nothing is stored."""
    entry = rules.BY_NAME[category, name]
    found = rows.find(tx, _TABLE, only=("value",), category=category, name=name)
    return str(found[0]["value"]) if found and found[0]["value"] is not None else entry.default


def whole(tx: Tx, category: str, name: str) -> int:
    return rules.whole(value(tx, category, name))


def truth(tx: Tx, category: str, name: str) -> bool:
    return rules.truth(value(tx, category, name))


def size(tx: Tx, category: str, name: str) -> int:
    return rules.size(value(tx, category, name))


def seed(tx: Tx) -> None:
    """Every declared entry has a row; a new default or description reaches the old ones, their values stay."""
    known = {(row["category"], row["name"]): row for row in rows.find(tx, _TABLE)}
    for key, entry in rules.BY_NAME.items():
        declared = {"default_value": entry.default, "description": entry.description}
        row = known.get(key)
        if row is None:
            rows.insert(tx, _TABLE, category=entry.category, name=entry.name, value=entry.default, **declared)
            continue
        if row["value"] == row["default_value"] != entry.default:
            declared["value"] = entry.default  # nobody chose the old one
        if any(row[name] != new for name, new in declared.items()):
            rows.update(tx, _TABLE, row["id"], **declared)


def _store(tx: Tx, entry: rules.Entry, new: str) -> dict[str, Any]:
    where = {"category": entry.category, "name": entry.name}
    if not rows.update_where(tx, _TABLE, where, value=new):
        rows.insert(tx, _TABLE, **where, value=new, default_value=entry.default, description=entry.description)
    return show(tx, entry)


def show(tx: Tx, entry: rules.Entry) -> dict[str, Any]:
    row = rows.find_one(tx, _TABLE, category=entry.category, name=entry.name) or {
        "category": entry.category,
        "name": entry.name,
        "value": entry.default,
        "default_value": entry.default,
        "description": entry.description,
    }
    return GlobalConfigInventory.model_validate(row).wire()


def chosen(message: ResetGlobalConfig) -> list[rules.Entry]:
    """What a reset means. Raises SYS.1007."""
    if message.name:
        return [rules.entry(message.category or "", message.name)]
    found = [entry for entry in rules.ENTRIES if message.category in (None, entry.category)]
    if not found:
        raise rules.unknown_category(message.category or "")
    return found


@workflow(UpdateGlobalConfig, queue=lambda message: f"global config:{message.category}/{message.name}")
async def update(op: Operation[World], message: UpdateGlobalConfig) -> dict[str, Any]:
    entry = rules.entry(message.category, message.name)
    new = rules.check(entry, message.value)
    return await op.commit("update", lambda tx: {"inventory": _store(tx, entry, new)})


@workflow(ResetGlobalConfig, queue=lambda _message: "global config")
async def reset(op: Operation[World], message: ResetGlobalConfig) -> dict[str, Any]:
    entries = chosen(message)
    return await op.commit("reset", lambda tx: {"inventories": [_store(tx, entry, entry.default) for entry in entries]})
