"""The engine's journal in the database: nodes with leases, operations, their finished steps.

Each writing method runs as one function of a group commit. An operation belongs to (node, generation); every write of a
running operation is conditional on that, so a deposed node stores nothing. Write transactions follow one another in the
whole cluster (`Database`), so what is read within one is still true when it commits.
"""

import datetime
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, case, delete, func, insert, or_, select, text, update

from controlplane.operations.failure import CANCELLED
from controlplane.operations.journal import (
    Claimed,
    DuplicateOperation,
    Fenced,
    Json,
    Kind,
    Logged,
    NotOurs,
    Signs,
    Status,
    Submission,
    Transaction,
    Unavailable,
    Verdict,
)
from controlplane.store import audit, database, rows, tables
from controlplane.store import journal_sql as sql
from controlplane.store.database import Database, Tx

T = TypeVar("T")
_op, _node = sql.OPERATION.c, sql.NODE.c
_ENDED = ("done", "failed", "cancelled")
_MANY = 500  # rows handled at once


class StoreJournal:
    """`controlplane.operations.journal.Journal` on a `Database`, whose fence it sets while the node is joined."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._node = ""
        self._generation = 0
        self._lease = 8.0
        self.epoch = 0

    async def _write(self, fn: Callable[[Tx], T]) -> T:
        try:
            return await self._db.write(fn)
        except database.Closed as error:
            raise Fenced(str(error)) from None
        except database.Unavailable as error:
            raise Unavailable(str(error)) from None

    async def _read(self, fn: Callable[[Tx], T]) -> T:
        try:
            return await self._db.read(fn)
        except database.Unavailable as error:
            raise Unavailable(str(error)) from None

    # -- the node ------------------------------------------------------------------------------------------------

    async def join(self, node: str, lease: float, *, again: bool) -> None:
        def fn(tx: Tx) -> int:
            held = sql.GENERATION.first(tx, {"node": node})
            if again and held and held[0] != self._generation and held[1] > _clock(tx):
                raise Fenced(f"another process runs as node {node}")
            generation = _next_generation(tx)
            until = _clock(tx) + int(lease * 1000)
            fresh: dict[str, Any] = {"generation": generation, "expires": until}
            if tx.execute(update(sql.NODE).where(_node.uuid == node).values(**fresh)).rowcount == 0:
                tx.execute(insert(sql.NODE).values(uuid=node, **fresh))
            _release(tx, node)
            return generation

        self._db.fence = None
        self._node, self._lease = node, lease
        self._generation = self.epoch = await self._write(fn)
        self._db.fence = self._fence

    async def leave(self) -> None:
        def fn(tx: Tx) -> None:
            _release(tx, self._node)
            tx.execute(update(sql.NODE).where(_node.uuid == self._node).values(expires=0))

        await self._write(fn)
        self._db.fence = None

    async def renew(self) -> None:
        await self._write(lambda tx: None)  # the fence does it

    def _fence(self, tx: Tx) -> None:
        """Run first in each write transaction of this node; prolongs the lease on the way, when a part of it is gone."""
        generation, expires = sql.GENERATION.first(tx, {"node": self._node}) or (None, 0)
        if generation != self._generation:
            raise database.Closed("another node has taken over: this node's lease had ended")
        now = _clock(tx)
        if expires - now < self._lease * 800:
            until = now + int(self._lease * 1000)
            tx.execute(update(sql.NODE).where(_node.uuid == self._node).values(expires=until))
            self.epoch = int(tx.execute(sql.EPOCH).scalar_one())

    # -- finding work --------------------------------------------------------------------------------------------

    async def look(self, kinds: list[Kind]) -> Signs:
        def fn(tx: Tx) -> Signs:
            node = {"node": self._node}
            work = sql.WORK.first(tx, node | {"now": _clock(tx), "kinds": _listed(kinds)})
            return Signs([row[0] for row in sql.TO_CANCEL.all(tx, node)], bool(work and work[0]))

        return await self._read(fn)

    async def claim(self, kinds: list[Kind], room: int) -> list[Claimed]:
        def fn(tx: Tx) -> list[Claimed]:
            for (node,) in sql.DEAD_NODES.all(tx, {"node": self._node, "now": _clock(tx)}):
                _release(tx, node)
                tx.execute(
                    update(sql.NODE).where(_node.uuid == node).values(expires=0, generation=_next_generation(tx))
                )
            self.epoch = int(tx.execute(sql.EPOCH).scalar_one())
            listed, most = {"kinds": _listed(kinds)}, min(room, _MANY)
            found = _dicts(sql.LEFT.all(tx, listed | {"most": most}))
            ready = _dicts(sql.READY.all(tx, listed | {"most": most - len(found)}))
            return self._take(tx, found + _fitting(ready))

        return await self._write(fn)

    async def ours(self) -> list[str]:
        return await self._read(lambda tx: list(tx.execute(select(_op.uuid).where(self._owned())).scalars()))

    async def put_back(self, uuids: list[str]) -> None:
        statement = (
            update(sql.OPERATION).where(self._owned(), _op.uuid.in_(uuids)).values(owner=None, owner_generation=0)
        )
        await self._write(lambda tx: tx.execute(statement))

    def _owned(self) -> ColumnElement[bool]:
        mine = and_(_op.owner == self._node, _op.owner_generation == self._generation)
        return and_(mine, sql.LIVE)

    def _take(self, tx: Tx, found: list[rows.Row]) -> list[Claimed]:
        if not found:
            return []
        uuids = [row["uuid"] for row in found]
        state = case((_op.state == "queued", "running"), else_=_op.state)
        values = {"owner": self._node, "owner_generation": self._generation, "state": state}
        tx.execute(update(sql.OPERATION).where(_op.uuid.in_(uuids)).values(**values))
        logs: dict[str, dict[str, Logged]] = {uuid: {} for uuid in uuids}
        for step in rows.find(tx, "OperationStepVO", operation_uuid=uuids):
            logs[step["operation_uuid"]][step["name"]] = Logged(step["output"], step["undone"])
        return [_claimed(row, logs[row["uuid"]]) for row in found]

    # -- one operation -------------------------------------------------------------------------------------------

    async def submit(self, new: Submission, room: bool, within: Transaction | None) -> bool:
        def fn(tx: Tx) -> bool | Exception:
            known = rows.find_one(tx, "OperationVO", uuid=new.uuid)
            if known is not None:
                same = (known["name"], known["account_uuid"]) == (new.name, new.account)
                if not same or json.loads(known["arguments"]) != json.loads(new.arguments):
                    raise DuplicateOperation(f"operation {new.uuid} is another one: {known['name']}")
                return False
            if within is not None and isinstance(refusal := within(tx), Exception):
                return refusal
            run = room and (new.queue is None or _waiting(tx, new.queue) < new.limit)
            rows.insert(
                tx,
                "OperationVO",
                uuid=new.uuid,
                name=new.name,
                version=new.version,
                arguments=new.arguments,
                account_uuid=new.account,
                state="running" if run else "queued",
                queue=new.queue,
                queue_limit=new.limit,
                owner=self._node if run else None,
                owner_generation=self._generation if run else 0,
            )
            return run

        outcome = await self._write(fn)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def checkpoint(self, uuid: str, number: int, name: str, output: Json, *, again: bool) -> None:
        def fn(tx: Tx) -> None:
            if not (again and sql.LOGGED.first(tx, {"u": uuid, "step": name})):
                self._log(tx, uuid, number, name, output)

        await self._write(fn)

    async def transact(self, uuid: str, number: int, name: str, do: Transaction, *, again: bool) -> Json:
        def fn(tx: Tx) -> Json:
            if again and (row := sql.LOGGED.first(tx, {"u": uuid, "step": name})):
                return str(row[0])
            output = json.dumps(do(tx))
            self._log(tx, uuid, number, name, output)
            return output

        return await self._write(fn)

    def _log(self, tx: Tx, uuid: str, number: int, name: str, output: Json, undone: bool = False) -> None:
        values = {"number": number, "name": name, "output": output, "undone": undone}
        if sql.LOG.change(tx, self._key(uuid) | values) != 1:
            raise NotOurs(f"operation {uuid} belongs to another node")

    def _key(self, uuid: str) -> dict[str, Any]:
        return {"u": uuid, "node": self._node, "generation": self._generation}

    def _own(self, tx: Tx, uuid: str) -> None:
        if sql.OWNED.first(tx, self._key(uuid)) is None:
            raise NotOurs(f"operation {uuid} belongs to another node")

    async def decide(self, uuid: str, verdict: Verdict) -> None:
        values = {"to_verdict": verdict.state, "to_error": verdict.error, "to_started": json.dumps(verdict.started)}

        def fn(tx: Tx) -> None:
            if sql.DECIDE.change(tx, self._key(uuid) | values | {"moment": tables.now()}) != 1:
                raise NotOurs(f"operation {uuid} belongs to another node")

        await self._write(fn)

    async def undone(self, uuid: str, number: int, name: str) -> None:
        def fn(tx: Tx) -> None:
            self._own(tx, uuid)
            if sql.MARK.change(tx, {"u": uuid, "step": name}) == 0:
                self._log(tx, uuid, number, name, "null", undone=True)

        await self._write(fn)

    async def undo_transact(self, uuid: str, name: str, undo: Callable[[Tx, Any], None]) -> None:
        def fn(tx: Tx) -> None:
            self._own(tx, uuid)
            output, undone = sql.LOGGED.first(tx, {"u": uuid, "step": name}) or ("", True)
            if not undone:
                undo(tx, json.loads(output))
                sql.MARK.change(tx, {"u": uuid, "step": name})

        await self._write(fn)

    async def finish(
        self, uuid: str, state: str, result: Json | None, stuck: Json | None, kinds: list[Kind], room: bool
    ) -> Claimed | None:
        values = {"to_state": state, "to_result": result, "to_stuck": stuck}

        def fn(tx: Tx) -> Claimed | None:
            row = sql.END.first(tx, self._key(uuid) | values | {"moment": tables.now()})
            if row is None:
                if rows.exists(tx, "OperationVO", uuid=uuid, state=state):
                    return None  # an earlier try was stored after all
                raise NotOurs(f"operation {uuid} belongs to another node")
            queue, error = row
            audit.ended(tx, uuid, state, error)
            if queue is None or not room:
                return None
            ready = sql.READY_OF.all(tx, {"kinds": _listed(kinds), "queue": queue, "most": 1})
            return next(iter(self._take(tx, _fitting(_dicts(ready)))), None)

        return await self._write(fn)

    # -- for those who watch ---------------------------------------------------------------------------------------

    async def get(self, uuid: str) -> Status | None:
        def fn(tx: Tx) -> Status | None:
            row = rows.find_one(tx, "OperationVO", uuid=uuid)
            return _status(row) if row else None

        return await self._read(fn)

    async def cancel(self, uuid: str) -> Status | None:
        def fn(tx: Tx) -> Status | None:
            end = {"state": "cancelled", "verdict": "cancelled", "error": CANCELLED, "last_op_date": tables.now()}
            if tx.execute(update(sql.OPERATION).where(_op.uuid == uuid, _op.state == "queued").values(**end)).rowcount:
                audit.ended(tx, uuid, "cancelled", CANCELLED)
            tx.execute(update(sql.OPERATION).where(_op.uuid == uuid, _op.state == "running").values(cancelled=True))
            row = rows.find_one(tx, "OperationVO", uuid=uuid)
            return _status(row) if row else None

        return await self._write(fn)

    async def list_stuck(self, kinds: list[Kind]) -> list[Status]:
        orphan = and_(_op.state.in_(("queued", "running", "undoing")), _op.owner.is_(None), ~sql.KNOWN)
        statement = select(sql.OPERATION).where(or_(_op.state == "stuck", orphan)).order_by(_op.id)
        bound = {"kinds": _listed(kinds)}
        return await self._read(lambda tx: [_status(row) for row in tx.execute(statement, bound).mappings()])

    async def retry_undo(self, uuid: str) -> bool:
        values = {"state": "undoing", "stuck": None, "owner": None, "last_op_date": tables.now()}
        statement = update(sql.OPERATION).where(_op.uuid == uuid, _op.state == "stuck").values(**values)
        return await self._write(lambda tx: tx.execute(statement).rowcount == 1)

    async def give_up(self, uuid: str) -> bool:
        values = {"state": func.coalesce(_op.verdict, "failed"), "last_op_date": tables.now()}
        statement = update(sql.OPERATION).where(_op.uuid == uuid, _op.state == "stuck").values(**values)

        def fn(tx: Tx) -> bool:
            row = tx.execute(statement.returning(_op.state, _op.error)).first()
            if row:
                audit.ended(tx, uuid, row.state, row.error)
            return row is not None

        return await self._write(fn)

    async def prune(self, older_than: float) -> int:
        def fn(tx: Tx) -> int:
            before = tables.now() - datetime.timedelta(seconds=older_than)
            old = select(_op.uuid).where(_op.state.in_(_ENDED), _op.last_op_date < before).limit(_MANY)
            uuids = list(tx.execute(old).scalars())
            tx.execute(delete(sql.STEP).where(sql.STEP.c.operation_uuid.in_(uuids)))
            tx.execute(delete(sql.HOOK).where(sql.HOOK.c.operation_uuid.in_(uuids)))
            tx.execute(delete(sql.OPERATION).where(_op.uuid.in_(uuids)))
            return len(uuids)

        return await self._write(fn)


def _clock(tx: Tx) -> int:
    """Milliseconds since 1970 by the clock that all nodes share: the database's (SQLite has one machine, hence one clock)."""
    if tx.dialect.name == "sqlite":
        return time.time_ns() // 1_000_000
    return int(tx.execute(_NOW).scalar_one())


_NOW = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")


def _next_generation(tx: Tx) -> int:
    return int(tx.execute(sql.EPOCH).scalar_one() or 0) + 1


def _release(tx: Tx, node: str) -> None:
    tx.execute(update(sql.OPERATION).where(_op.owner == node, sql.LIVE).values(owner=None, owner_generation=0))


def _waiting(tx: Tx, queue: str) -> int:
    (number,) = sql.IN_LINE.first(tx, {"q": queue}) or (0,)
    return int(number)


def _listed(kinds: list[Kind]) -> list[str]:
    return [f"{name} {version}" for name, version in kinds]


def _dicts(found: list[Sequence[Any]]) -> list[rows.Row]:
    return [dict(zip(sql.FOUND, row, strict=True)) for row in found]


def _fitting(ready: list[rows.Row]) -> list[rows.Row]:
    """Of the operations that may run now those that may do so together: several of one queue up to its limit."""
    taken: dict[str, int] = {}
    found = []
    for row in ready:
        if (queue := row["queue"]) is not None:
            if row["busy"] + taken.get(queue, 0) >= row["queue_limit"]:
                continue
            taken[queue] = taken.get(queue, 0) + 1
        found.append(row)
    return found


def _claimed(row: rows.Row, log: dict[str, Logged]) -> Claimed:
    verdict = Verdict(row["verdict"], row["error"], json.loads(row["started"])) if row["verdict"] else None
    name, version, arguments = row["name"], row["version"], row["arguments"]
    return Claimed(row["uuid"], name, version, arguments, row["account_uuid"], row["cancelled"], verdict, log)


def _status(row: Mapping[Any, Any]) -> Status:
    result, error, stuck = (json.loads(row[name]) if row[name] else None for name in ("result", "error", "stuck"))
    return Status(row["uuid"], row["name"], row["state"], result, error, stuck, account=row["account_uuid"])
