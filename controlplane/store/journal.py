"""The engine's journal in the database: nodes with leases, operations, their finished steps.

Each writing method runs as one function of a group commit. An operation belongs to (node, generation); every write of a
running operation is conditional on that, so a deposed node stores nothing. Write transactions follow one another in the
whole cluster (`Database`), so what is read within one is still true when it commits.
"""

import datetime
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Row,
    ScalarSelect,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)

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
from controlplane.store import audit, database, tables
from controlplane.store.database import Database, Tx

T = TypeVar("T")
_op = tables.table("OperationVO").c
_step = tables.table("OperationStepVO").c
_node = tables.table("ManagementNodeVO").c
OPERATION, STEP, NODE = (tables.table(name) for name in ("OperationVO", "OperationStepVO", "ManagementNodeVO"))
HOOK = tables.table("WebHookVO")
_ENDED = ("done", "failed", "cancelled")
_MANY = 500  # rows handled at once

# Statements are built once: SQLAlchemy then finds its compiled form by identity.
_MINE = and_(
    _op.uuid == bindparam("u"), _op.owner == bindparam("node"), _op.owner_generation == bindparam("generation")
)
_GENERATION = select(_node.generation, _node.expires).where(_node.uuid == bindparam("node"))
_RENEW = update(NODE).where(_node.uuid == bindparam("node")).values(expires=bindparam("until"))
_EPOCH = select(func.max(_node.generation))
_INSERT = insert(OPERATION)
_BY_UUID = select(OPERATION).where(_op.uuid == bindparam("u"))
_LOG = (
    insert(STEP)
    .from_select(
        ["operation_uuid", "name", "number", "output", "undone"],
        select(
            _op.uuid,
            bindparam("name", type_=_step.name.type),
            bindparam("number", type_=_step.number.type),
            bindparam("output", type_=_step.output.type),
            bindparam("undone", type_=_step.undone.type),
        ).where(_MINE),
    )
    .execution_options(preserve_rowcount=True)
)
_LOGGED = select(_step.output, _step.undone).where(
    _step.operation_uuid == bindparam("u"), _step.name == bindparam("step")
)
_OWNED = select(_op.id).where(_MINE)
_MARK = update(STEP).where(_step.operation_uuid == bindparam("u"), _step.name == bindparam("step")).values(undone=True)
_IN_LINE = (
    select(func.count())
    .select_from(OPERATION)
    .where(_op.queue == bindparam("q"), _op.state.in_(("queued", "running", "undoing")))
)
_END = (
    update(OPERATION)
    .where(_MINE)
    .values(
        state=bindparam("to_state"),
        result=bindparam("to_result"),
        stuck=bindparam("to_stuck"),
        owner=None,
        last_op_date=bindparam("moment"),
    )
    .returning(_op.queue, _op.error)
)
_DECIDE = (
    update(OPERATION)
    .where(_MINE)
    .values(
        state="undoing",
        verdict=bindparam("to_verdict"),
        error=bindparam("to_error"),
        started=bindparam("to_started"),
        last_op_date=bindparam("moment"),
    )
)


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
            held = tx.execute(_GENERATION, {"node": node}).first()
            if again and held and held.generation != self._generation and held.expires > _clock(tx):
                raise Fenced(f"another process runs as node {node}")
            generation = _next_generation(tx)
            until = _clock(tx) + int(lease * 1000)
            fresh: dict[str, Any] = {"generation": generation, "expires": until}
            if tx.execute(update(NODE).where(_node.uuid == node).values(**fresh)).rowcount == 0:
                tx.execute(insert(NODE).values(uuid=node, **fresh))
            _release(tx, node)
            return generation

        self._db.fence = None
        self._node, self._lease = node, lease
        self._generation = self.epoch = await self._write(fn)
        self._db.fence = self._fence

    async def leave(self) -> None:
        def fn(tx: Tx) -> None:
            _release(tx, self._node)
            tx.execute(update(NODE).where(_node.uuid == self._node).values(expires=0))

        await self._write(fn)
        self._db.fence = None

    async def renew(self) -> None:
        await self._write(lambda tx: None)  # the fence does it

    def _fence(self, tx: Tx) -> None:
        """Run first in each write transaction of this node; prolongs the lease on the way, when a part of it is gone."""
        row = tx.execute(_GENERATION, {"node": self._node}).first()
        if row is None or row.generation != self._generation:
            raise database.Closed("another node has taken over: this node's lease had ended")
        now = _clock(tx)
        if row.expires - now < self._lease * 800:
            tx.execute(_RENEW, {"node": self._node, "until": now + int(self._lease * 1000)})
            self.epoch = int(tx.execute(_EPOCH).scalar_one())

    # -- finding work --------------------------------------------------------------------------------------------

    async def look(self, kinds: list[Kind]) -> Signs:
        def fn(tx: Tx) -> Signs:
            mine = select(_op.uuid).where(_op.state == "running", _op.owner == self._node, _op.cancelled)
            dead = exists().where(_node.uuid != self._node, _node.expires > 0, _node.expires < _clock(tx))
            idle = exists().where(_nobodys(kinds))
            ready = exists().where(_startable(kinds))
            return Signs(
                list(tx.execute(mine).scalars()), bool(tx.execute(select(or_(dead, idle, ready))).scalar_one())
            )

        return await self._read(fn)

    async def claim(self, kinds: list[Kind], room: int) -> list[Claimed]:
        def fn(tx: Tx) -> list[Claimed]:
            dead = select(_node.uuid).where(_node.uuid != self._node, _node.expires > 0, _node.expires < _clock(tx))
            for node in list(tx.execute(dead).scalars()):
                _release(tx, node)
                tx.execute(update(NODE).where(_node.uuid == node).values(expires=0, generation=_next_generation(tx)))
            self.epoch = int(tx.execute(_EPOCH).scalar_one())
            limit = min(room, _MANY)
            found = list(tx.execute(select(OPERATION).where(_nobodys(kinds)).order_by(_op.id).limit(limit)))
            found += self._ready(tx, kinds, limit - len(found))
            return self._take(tx, found)

        return await self._write(fn)

    async def ours(self) -> list[str]:
        return await self._read(lambda tx: list(tx.execute(select(_op.uuid).where(self._owned())).scalars()))

    async def put_back(self, uuids: list[str]) -> None:
        statement = update(OPERATION).where(self._owned(), _op.uuid.in_(uuids)).values(owner=None, owner_generation=0)
        await self._write(lambda tx: tx.execute(statement))

    def _owned(self) -> ColumnElement[bool]:
        mine = and_(_op.owner == self._node, _op.owner_generation == self._generation)
        return and_(mine, _op.state.in_(("running", "undoing")))

    def _ready(self, tx: Tx, kinds: list[Kind], limit: int, queue: str | None = None) -> list[Row[Any]]:
        """Queued operations that may run now, oldest first; several of one queue up to its limit."""
        statement = (
            select(OPERATION, _busy().label("busy")).where(_startable(kinds)).order_by(_op.id).limit(max(limit, 0))
        )
        if queue is not None:
            statement = statement.where(_op.queue == queue)
        taken: dict[str, int] = {}
        found = []
        for row in tx.execute(statement):
            if row.queue is not None:
                if row.busy + taken.get(row.queue, 0) >= row.queue_limit:
                    continue
                taken[row.queue] = taken.get(row.queue, 0) + 1
            found.append(row)
        return found

    def _take(self, tx: Tx, found: list[Row[Any]]) -> list[Claimed]:
        if not found:
            return []
        uuids = [row.uuid for row in found]
        state = case((_op.state == "queued", "running"), else_=_op.state)
        values = {"owner": self._node, "owner_generation": self._generation, "state": state}
        tx.execute(update(OPERATION).where(_op.uuid.in_(uuids)).values(**values))
        logs: dict[str, dict[str, Logged]] = {uuid: {} for uuid in uuids}
        for row in tx.execute(select(STEP).where(_step.operation_uuid.in_(uuids))):
            logs[row.operation_uuid][row.name] = Logged(row.output, row.undone)
        return [_claimed(row, logs[row.uuid]) for row in found]

    # -- one operation -------------------------------------------------------------------------------------------

    async def submit(self, new: Submission, room: bool, within: Transaction | None) -> bool:
        def fn(tx: Tx) -> bool | Exception:
            known = tx.execute(_BY_UUID, {"u": new.uuid}).first()
            if known is not None:
                same = (known.name, known.account_uuid) == (new.name, new.account)
                if not same or json.loads(known.arguments) != json.loads(new.arguments):
                    raise DuplicateOperation(f"operation {new.uuid} is another one: {known.name}")
                return False
            if within is not None and isinstance(refusal := within(tx), Exception):
                return refusal
            run = room and (new.queue is None or tx.execute(_IN_LINE, {"q": new.queue}).scalar_one() < new.limit)
            moment = tables.now()
            values = {"uuid": new.uuid, "name": new.name, "version": new.version, "arguments": new.arguments}
            values |= {
                "account_uuid": new.account,
                "state": "running" if run else "queued",
                "queue": new.queue,
                "queue_limit": new.limit,
            }
            values |= {"owner": self._node if run else None, "owner_generation": self._generation if run else 0}
            tx.execute(_INSERT, values | {"cancelled": False, "create_date": moment, "last_op_date": moment})
            return run

        outcome = await self._write(fn)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def checkpoint(self, uuid: str, number: int, name: str, output: Json, *, again: bool) -> None:
        def fn(tx: Tx) -> None:
            if not (again and tx.execute(_LOGGED, {"u": uuid, "step": name}).first()):
                self._log(tx, uuid, number, name, output)

        await self._write(fn)

    async def transact(self, uuid: str, number: int, name: str, do: Transaction, *, again: bool) -> Json:
        def fn(tx: Tx) -> Json:
            if again and (row := tx.execute(_LOGGED, {"u": uuid, "step": name}).first()):
                return str(row.output)
            output = json.dumps(do(tx))
            self._log(tx, uuid, number, name, output)
            return output

        return await self._write(fn)

    def _log(self, tx: Tx, uuid: str, number: int, name: str, output: Json, undone: bool = False) -> None:
        values = {"number": number, "name": name, "output": output, "undone": undone}
        if tx.execute(_LOG, self._key(uuid) | values).rowcount != 1:
            raise NotOurs(f"operation {uuid} belongs to another node")

    def _key(self, uuid: str) -> dict[str, Any]:
        return {"u": uuid, "node": self._node, "generation": self._generation}

    def _own(self, tx: Tx, uuid: str) -> None:
        if tx.execute(_OWNED, self._key(uuid)).first() is None:
            raise NotOurs(f"operation {uuid} belongs to another node")

    async def decide(self, uuid: str, verdict: Verdict) -> None:
        values = {"to_verdict": verdict.state, "to_error": verdict.error, "to_started": json.dumps(verdict.started)}

        def fn(tx: Tx) -> None:
            if tx.execute(_DECIDE, self._key(uuid) | values | {"moment": tables.now()}).rowcount != 1:
                raise NotOurs(f"operation {uuid} belongs to another node")

        await self._write(fn)

    async def undone(self, uuid: str, number: int, name: str) -> None:
        def fn(tx: Tx) -> None:
            self._own(tx, uuid)
            if tx.execute(_MARK, {"u": uuid, "step": name}).rowcount == 0:
                self._log(tx, uuid, number, name, "null", undone=True)

        await self._write(fn)

    async def undo_transact(self, uuid: str, name: str, undo: Callable[[Tx, Any], None]) -> None:
        def fn(tx: Tx) -> None:
            self._own(tx, uuid)
            row = tx.execute(_LOGGED, {"u": uuid, "step": name}).first()
            if row is not None and not row.undone:
                undo(tx, json.loads(row.output))
                tx.execute(_MARK, {"u": uuid, "step": name})

        await self._write(fn)

    async def finish(
        self, uuid: str, state: str, result: Json | None, stuck: Json | None, kinds: list[Kind], room: bool
    ) -> Claimed | None:
        values = {"to_state": state, "to_result": result, "to_stuck": stuck}

        def fn(tx: Tx) -> Claimed | None:
            row = tx.execute(_END, self._key(uuid) | values | {"moment": tables.now()}).first()
            if row is None:
                if (old := tx.execute(_BY_UUID, {"u": uuid}).first()) is not None and old.state == state:
                    return None  # an earlier try was stored after all
                raise NotOurs(f"operation {uuid} belongs to another node")
            audit.ended(tx, uuid, state, row.error)
            if row.queue is None or not room:
                return None
            return next(iter(self._take(tx, self._ready(tx, kinds, 1, row.queue))), None)

        return await self._write(fn)

    # -- for those who watch ---------------------------------------------------------------------------------------

    async def get(self, uuid: str) -> Status | None:
        def fn(tx: Tx) -> Status | None:
            row = tx.execute(_BY_UUID, {"u": uuid}).first()
            return _status(row) if row else None

        return await self._read(fn)

    async def cancel(self, uuid: str) -> Status | None:
        def fn(tx: Tx) -> Status | None:
            end = {"state": "cancelled", "verdict": "cancelled", "error": CANCELLED, "last_op_date": tables.now()}
            if tx.execute(update(OPERATION).where(_op.uuid == uuid, _op.state == "queued").values(**end)).rowcount:
                audit.ended(tx, uuid, "cancelled", CANCELLED)
            tx.execute(update(OPERATION).where(_op.uuid == uuid, _op.state == "running").values(cancelled=True))
            row = tx.execute(_BY_UUID, {"u": uuid}).first()
            return _status(row) if row else None

        return await self._write(fn)

    async def list_stuck(self, kinds: list[Kind]) -> list[Status]:
        live = _op.state.in_(("queued", "running", "undoing"))
        orphan = and_(live, _op.owner.is_(None), ~_known(kinds))
        statement = select(OPERATION).where(or_(_op.state == "stuck", orphan)).order_by(_op.id)
        return await self._read(lambda tx: [_status(row) for row in tx.execute(statement)])

    async def retry_undo(self, uuid: str) -> bool:
        values = {"state": "undoing", "stuck": None, "owner": None, "last_op_date": tables.now()}
        statement = update(OPERATION).where(_op.uuid == uuid, _op.state == "stuck").values(**values)
        return await self._write(lambda tx: tx.execute(statement).rowcount == 1)

    async def give_up(self, uuid: str) -> bool:
        values = {"state": func.coalesce(_op.verdict, "failed"), "last_op_date": tables.now()}
        statement = update(OPERATION).where(_op.uuid == uuid, _op.state == "stuck").values(**values)

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
            tx.execute(delete(STEP).where(_step.operation_uuid.in_(uuids)))
            tx.execute(delete(HOOK).where(HOOK.c.operation_uuid.in_(uuids)))
            tx.execute(delete(OPERATION).where(_op.uuid.in_(uuids)))
            return len(uuids)

        return await self._write(fn)


def _clock(tx: Tx) -> int:
    """Milliseconds since 1970 by the clock that all nodes share: the database's (SQLite has one machine, hence one clock)."""
    if tx.dialect.name == "sqlite":
        return time.time_ns() // 1_000_000
    return int(tx.execute(_NOW).scalar_one())


_NOW = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")


def _next_generation(tx: Tx) -> int:
    return int(tx.execute(_EPOCH).scalar_one() or 0) + 1


def _release(tx: Tx, node: str) -> None:
    live = ("running", "undoing")
    tx.execute(update(OPERATION).where(_op.owner == node, _op.state.in_(live)).values(owner=None, owner_generation=0))


def _known(kinds: list[Kind]) -> ColumnElement[bool]:
    return tuple_(_op.name, _op.version).in_(kinds)


def _nobodys(kinds: list[Kind]) -> ColumnElement[bool]:
    """Begun, and left by its node."""
    return and_(_op.state.in_(("running", "undoing")), _op.owner.is_(None), _known(kinds))


def _busy() -> ScalarSelect[int]:
    other = OPERATION.alias("other")
    busy = and_(other.c.queue == _op.queue, other.c.state.in_(("running", "undoing")))
    return select(func.count()).select_from(other).where(busy).correlate(OPERATION).scalar_subquery()


def _startable(kinds: list[Kind]) -> ColumnElement[bool]:
    return and_(_op.state == "queued", _known(kinds), or_(_op.queue.is_(None), _busy() < _op.queue_limit))


def _claimed(row: Row[Any], log: dict[str, Logged]) -> Claimed:
    verdict = Verdict(row.verdict, row.error, json.loads(row.started)) if row.verdict else None
    return Claimed(row.uuid, row.name, row.version, row.arguments, row.account_uuid, row.cancelled, verdict, log)


def _status(row: Row[Any]) -> Status:
    result, error, stuck = (json.loads(value) if value else None for value in (row.result, row.error, row.stuck))
    return Status(row.uuid, row.name, row.state, result, error, stuck, account=row.account_uuid)
