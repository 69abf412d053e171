"""The statements of the journal: whose an operation is, its steps, and which operations may be begun.

`kinds` is a list of "<name> <version>": the workflows that this node can run.
"""

from sqlalchemy import String, and_, bindparam, cast, exists, func, insert, or_, select, update

from controlplane.store import tables
from controlplane.store.prepared import Prepared, among

_op = tables.table("OperationVO").c
_step = tables.table("OperationStepVO").c
_node = tables.table("ManagementNodeVO").c
OPERATION, STEP, NODE = (tables.table(name) for name in ("OperationVO", "OperationStepVO", "ManagementNodeVO"))
HOOK = tables.table("WebHookVO")

_MINE = and_(
    _op.uuid == bindparam("u"), _op.owner == bindparam("node"), _op.owner_generation == bindparam("generation")
)
GENERATION = Prepared(select(_node.generation, _node.expires).where(_node.uuid == bindparam("node")))
EPOCH = select(func.max(_node.generation))
LOG = Prepared(
    insert(STEP).from_select(
        ["operation_uuid", "name", "number", "output", "undone"],
        select(
            _op.uuid,
            bindparam("name", type_=_step.name.type),
            bindparam("number", type_=_step.number.type),
            bindparam("output", type_=_step.output.type),
            bindparam("undone", type_=_step.undone.type),
        ).where(_MINE),
    )
)
_THIS = and_(_step.operation_uuid == bindparam("u"), _step.name == bindparam("step"))
LOGGED = Prepared(select(_step.output, _step.undone).where(_THIS))
OWNED = Prepared(select(_op.id).where(_MINE))
MARK = Prepared(update(STEP).where(_THIS).values(undone=True))
LIVE = or_(_op.state == "running", _op.state == "undoing")
IN_LINE = Prepared(
    select(func.count()).select_from(OPERATION).where(_op.queue == bindparam("q"), or_(LIVE, _op.state == "queued"))
)
KNOWN = among(_op.name + " " + cast(_op.version, String), "kinds")
_NOBODYS = and_(LIVE, _op.owner.is_(None), KNOWN)  # begun, and left by its node
_other = OPERATION.alias("other")
_BUSY = (
    select(func.count())
    .select_from(_other)
    .where(_other.c.queue == _op.queue, or_(_other.c.state == "running", _other.c.state == "undoing"))
    .correlate(OPERATION)
    .scalar_subquery()
)
_STARTABLE = and_(_op.state == "queued", KNOWN, or_(_op.queue.is_(None), _op.queue_limit > _BUSY))
FOUND = (*_op.keys(), "busy")  # columns of the next three
_of = _op.queue == bindparam("queue")
LEFT, READY, READY_OF = (
    Prepared(select(OPERATION, _BUSY.label("busy")).where(*which).order_by(_op.id).limit(bindparam("most")))
    for which in ([_NOBODYS], [_STARTABLE], [_STARTABLE, _of])
)
_DEAD = and_(_node.uuid != bindparam("node"), _node.expires > 0, _node.expires < bindparam("now"))
DEAD_NODES = Prepared(select(_node.uuid).where(_DEAD))
WORK = Prepared(select(or_(exists().where(_DEAD), exists().where(_NOBODYS), exists().where(_STARTABLE))))
TO_CANCEL = Prepared(select(_op.uuid).where(_op.state == "running", _op.owner == bindparam("node"), _op.cancelled))
END = Prepared(
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
DECIDE = Prepared(
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
