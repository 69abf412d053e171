"""The common queries are served by indexes: no plan reads the whole of a big table, on either database."""

import re

import pytest
from sqlalchemy import event

import controlplane.contract  # noqa: F401
from benchmarks.query import seed, uuid
from controlplane.contract.base import Condition
from controlplane.contract.registry import apis
from controlplane.store import query, query_shape, schema
from controlplane.store.database import Database

ROWS = 20_000  # of VMs, NICs, volumes and tags each: enough for either planner to prefer an index
BIG = ("VmInstanceVO", "VmNicVO", "VolumeVO", "SystemTagVO")
VM = "QueryVmInstance"
COMMON = {
    "by uuid": (VM, [("uuid", "=", uuid(1, 7))], {}),
    "by uuids": (VM, [("uuid", "in", f"{uuid(1, 7)},{uuid(1, 8)}")], {}),
    "by name": (VM, [("name", "=", "VM-77")], {}),
    "by name, prefix": (VM, [("name", "like", "vm-77%")], {}),
    "by state": (VM, [("state", "=", "Running")], {"limit": 100}),
    "by host": (VM, [("hostUuid", "=", uuid(7, 7))], {}),
    "by host and state": (VM, [("hostUuid", "=", uuid(7, 7)), ("state", "=", "Running")], {}),
    "a page": (VM, [], {"limit": 100}),
    "the latest": (VM, [], {"sort_by": "createDate", "sort_direction": "desc", "limit": 10}),
    "in the order of names": (VM, [], {"sort_by": "name", "limit": 10}),
    "by address": (VM, [("vmNics.ip", "=", "10.0.0.77")], {}),
    "by volume": (VM, [("allVolumes.uuid", "=", uuid(3, 77))], {}),
    "by root volume": (VM, [("rootVolume.name", "=", "ROOT-for-vm-77")], {}),
    "by the host's name": (VM, [("host.name", "=", "h1")], {}),
    "by tag": (VM, [("__systemTag__", "=", "hostname::role-1-77")], {}),
    "by tag, prefix": (VM, [("__systemTag__", "like", "hostname::role-7-%")], {}),
    "by tag and state": (
        VM,
        [("__systemTag__", "like", "hostname::role-7-%"), ("state", "=", "Running")],
        {"limit": 100},
    ),
    "without tag": (VM, [("__systemTag__", "not like", "hostname::role-7-%")], {"limit": 10}),
    "tags of a resource": ("QuerySystemTag", [("resourceUuid", "=", uuid(1, 7)), ("tag", "like", "userdata%")], {}),
    "tags, prefix": ("QuerySystemTag", [("tag", "like", "hostname::role-7-%")], {}),
    "NICs of a VM": ("QueryVmNic", [("vmInstanceUuid", "=", uuid(1, 7))], {}),
    "NICs of a VM by name": ("QueryVmNic", [("vmInstance.name", "=", "vm-77")], {}),
    "a NIC by MAC": ("QueryVmNic", [("mac", "=", "fa:000000004d")], {}),
    "volumes of a VM": ("QueryVolume", [("vmInstanceUuid", "=", uuid(1, 7))], {}),
    "volumes of a VM by name": ("QueryVolume", [("vmInstance.name", "=", "vm-77")], {}),
}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def big(request, tmp_path_factory):
    """A database with many rows, and the statements it was last sent."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans')}/steppe.db"
    else:
        url = request.getfixturevalue("postgres_server").create()
    db = Database(url)
    schema.upgrade(db)
    seed(db, ROWS)
    sent = []
    event.listen(
        db.engine, "before_cursor_execute", lambda _c, _cu, statement, given, _x, _m: sent.append((statement, given))
    )
    yield db, sent
    db.close()


@pytest.fixture(autouse=True)
def made_anew(monkeypatch):
    """A kept statement runs on the driver, where nobody hears of it."""
    monkeypatch.setattr(query_shape, "_kept", {})


def whole_tables(db, statement, given):
    """The lines of the plan that read all of a big table, though not those that walk an index until LIMIT is reached."""
    with db.engine.connect() as tx:
        explain = "EXPLAIN QUERY PLAN" if db.is_sqlite else "EXPLAIN"
        plan = [str(row[-1]) for row in tx.exec_driver_sql(f"{explain} {statement}", given)]
    kind = r"SCAN ({})(_\d+)?(?! USING)" if db.is_sqlite else r'Seq Scan on "({})"'
    return [line for line in plan if re.search(kind.format("|".join(BIG)), line)]


@pytest.mark.parametrize("name", COMMON)
def test_a_common_query_reads_no_whole_table(big, name):
    db, sent = big
    api, conditions, more = COMMON[name]
    message = apis[api](conditions=[Condition(name=key, op=op, value=value) for key, op, value in conditions], **more)
    sent.clear()
    db.read_now(lambda tx: query.run(tx, message, None))
    statements = [each for each in sent if each[0].startswith("SELECT")]
    assert statements
    for statement, given in statements:
        assert not whole_tables(db, statement, given), statement


def test_what_no_index_serves_is_noticed(big):
    db, _ = big
    assert whole_tables(db, 'SELECT uuid FROM "VmInstanceVO" WHERE cpu_speed = 77', ())


def test_state_beside_a_tag_begins_with_the_tag(big):
    db, sent = big
    conditions = [Condition(name="state", op="=", value="Running"), Condition(name="__systemTag__", op="=", value="x")]
    sent.clear()
    db.read_now(lambda tx: query.run(tx, apis[VM](conditions=conditions, fields=["uuid"], limit=10), None))
    ((statement, given),) = [each for each in sent if each[0].startswith("SELECT")]
    with db.engine.connect() as tx:
        plan = "\n".join(str(row[-1]) for row in tx.exec_driver_sql(
            ("EXPLAIN QUERY PLAN " if db.is_sqlite else "EXPLAIN ") + statement, given))  # fmt: skip
    assert "ix_VmInstanceVO_state" not in plan
    assert "ix_SystemTagVO_head" in plan
