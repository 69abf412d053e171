"""How much an account has of what is limited, and what a quota must be."""

from typing import Any

from controlplane.contract.error import invalid
from controlplane.contract.quota import GetAccountQuotaUsage, QuotaUsage, QuotaUsages, UpdateQuota
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import ownership
from controlplane.store.database import Tx
from controlplane.store.usage import used
from controlplane.workflows import quota
from controlplane.workflows.world import World


@checks(UpdateQuota)
def has_the_quota(tx: Tx, message: UpdateQuota) -> None:
    quota.row_of(tx, message)


@answers(GetAccountQuotaUsage)
async def usage(world: World, caller: Caller, message: GetAccountQuotaUsage) -> dict[str, Any]:
    account = message.uuid or caller.account_uuid

    def read(tx: Tx) -> list[QuotaUsage]:
        if ownership.viewer(tx, account) is None:
            raise invalid(f"account {account} is an administrator and has no quota", "uuid")
        limits = quota.limits(tx, account).items()
        return [QuotaUsage(name=name, total=limit, used=used(tx, account, name)) for name, limit in limits]

    return QuotaUsages(usages=await world.db.read(read)).wire()
