"""The audit record: a row when a call is taken or refused, its outcome in the transaction that ends the job."""

import json
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from controlplane.store import rows, tables
from controlplane.store.database import Tx
from controlplane.store.prepared import Prepared

AUDIT = tables.table("AuditVO")
OUTCOMES = {"done": "Success", "failed": "Failure", "cancelled": "Cancelled", "stuck": "Stuck"}
_MANY = 500
_END = Prepared(
    update(AUDIT)
    .where(AUDIT.c.job_uuid == bindparam("job"))
    .values(
        outcome=bindparam("to_outcome"),
        error_code=bindparam("to_code"),
        error=bindparam("to_error"),
        end_date=bindparam("moment"),
    )
)


def begun(tx: Tx, entry: dict[str, Any]) -> None:
    """A call was taken; `ended` follows, by its `job_uuid`."""
    rows.insert(tx, "AuditVO", **entry, outcome="Processing")


def complete(tx: Tx, entry: dict[str, Any], error: dict[str, Any] | None = None, outcome: str = "Refused") -> None:
    """A call that was answered at once, or refused with this error."""
    moment = tables.now()
    values = {"outcome": outcome if error else "Success", **_blamed(error), "create_date": moment, "end_date": moment}
    rows.insert(tx, "AuditVO", **entry, **values)


def ended(tx: Tx, job: str, state: str, error: str | None) -> None:
    """`error`: JSON of the error code, if the job has one."""
    blamed = {f"to_{'code' if key == 'error_code' else key}": value for key, value in _blamed(_parsed(error)).items()}
    if state == "done":
        blamed = {"to_code": None, "to_error": None}
    _END.change(tx, {"job": job, "to_outcome": OUTCOMES[state], "moment": tables.now(), **blamed})


def prune(tx: Tx, days: float, records: int) -> int:
    """Forget what is older, and what is more than so many records; at most some hundred at once. Returns how many."""
    old = select(AUDIT.c.id).where(AUDIT.c.create_date < tables.now() - timedelta(days=days))
    newest = tx.execute(select(func.max(AUDIT.c.id))).scalar_one() or 0
    many = select(AUDIT.c.id).where(AUDIT.c.id <= newest - records)
    ids = [*tx.execute(old.limit(_MANY)).scalars(), *tx.execute(many.limit(_MANY)).scalars()]
    if ids:
        tx.execute(delete(AUDIT).where(AUDIT.c.id.in_(ids)))
    return len(ids)


def _parsed(error: str | None) -> dict[str, Any] | None:
    return json.loads(error) if error else None


def _blamed(error: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "error_code": error.get("code") if error else None,
        "error": str(error.get("details"))[:4096] if error else None,
    }
