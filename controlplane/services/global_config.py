"""Checks and reads of the global configuration: the entry exists and the value is one it may have."""

from typing import Any

from controlplane.contract.error import invalid
from controlplane.contract.global_config import GetGlobalConfig, ResetGlobalConfig, UpdateGlobalConfig
from controlplane.rules import global_config as rules
from controlplane.services.registry import Caller, answers, checks
from controlplane.store.database import Tx
from controlplane.workflows import global_config
from controlplane.workflows.world import World


@checks(UpdateGlobalConfig)
def value_is_allowed(_tx: Tx, message: UpdateGlobalConfig) -> None:
    rules.check(rules.entry(message.category, message.name), message.value)


@checks(ResetGlobalConfig)
def entries_exist(_tx: Tx, message: ResetGlobalConfig) -> None:
    if message.name and not message.category:
        raise invalid("field[category] of ResetGlobalConfig is needed with a name", "category")
    global_config.chosen(message)


@answers(GetGlobalConfig)
async def get(world: World, _caller: Caller, message: GetGlobalConfig) -> dict[str, Any]:
    entry = rules.entry(message.category, message.name)
    return {"inventory": await world.db.read(lambda tx: global_config.show(tx, entry))}
