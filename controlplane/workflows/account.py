"""Deleting an account. Making and changing one is answered at once (`services/account.py`): a password is in it."""

from typing import Any

from controlplane.contract.account import ADMIN_UUID, DeleteAccount
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.world import World, workflow


@workflow(DeleteAccount, queue=lambda message: f"account:{message.uuid}")
async def delete(op: Operation[World], message: DeleteAccount) -> dict[str, Any]:
    """Nothing that runs is touched: what the account owned is the administrator's from now on."""

    def remove(tx: Tx) -> dict[str, Any]:
        uuid = message.uuid
        for table in ("SessionVO", "AccessKeyVO"):
            rows.delete_where(tx, table, account_uuid=uuid)
        rows.delete_where(tx, "QuotaVO", identity_uuid=uuid)
        rows.delete_where(tx, "SharedResourceVO", receiver_account_uuid=uuid)
        rows.update_where(tx, "SharedResourceVO", {"owner_account_uuid": uuid}, owner_account_uuid=ADMIN_UUID)
        rows.update_where(tx, "AccountResourceRefVO", {"account_uuid": uuid}, account_uuid=ADMIN_UUID)
        rows.delete(tx, "AccountVO", uuid)
        return {}

    return await op.commit("delete", remove)
