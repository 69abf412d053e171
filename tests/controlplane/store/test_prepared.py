"""Prepared statements, on both databases: values, lists of any length, errors."""

import datetime

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError, ProgrammingError

from controlplane.store import rows, tables
from controlplane.store.database import Database, Tx
from controlplane.store.prepared import Prepared, among

ZONE = tables.table("ZoneVO")
VM = tables.table("VmInstanceVO")


async def test_values_are_converted_both_ways(db: Database) -> None:
    made = datetime.datetime(2016, 1, 30, 15, 1, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    find = Prepared(select(VM.c.has_rebooted, VM.c.create_date).where(VM.c.create_date == bindparam("moment")))

    def work(tx: Tx) -> None:
        rows.insert(tx, "VmInstanceVO", uuid="a" * 32, name="vm", has_rebooted=True, create_date=made)
        assert find.all(tx, {"moment": made}) == [[True, made]]
        rebooted, date = find.first(tx, {"moment": made}) or (None, None)
        assert rebooted is True and date.tzinfo is datetime.UTC
        assert find.first(tx, {"moment": made + datetime.timedelta(seconds=1)}) is None

    await db.write(work)


@pytest.mark.parametrize("count", [0, 1, 40_000])
async def test_a_list_of_any_length_is_one_value(db: Database, count: int) -> None:
    by_name = Prepared(select(ZONE.c.name).where(among(ZONE.c.name, "names")))
    by_number = Prepared(select(VM.c.name).where(among(VM.c.internal_id, "numbers")))

    def work(tx: Tx) -> None:
        rows.insert(tx, "ZoneVO", uuid="a" * 32, name='"0"')
        rows.insert(tx, "VmInstanceVO", uuid="a" * 32, name="vm", internal_id=0)
        assert len(by_name.all(tx, {"names": [f'"{number}"' for number in range(count)]})) == min(count, 1)
        assert len(by_number.all(tx, {"numbers": list(range(count))})) == min(count, 1)

    await db.write(work)


async def test_an_index_serves_a_list(db: Database) -> None:
    if not db.is_sqlite:
        pytest.skip("PostgreSQL's planner decides by the number of rows")
    statement = select(VM.c.name).where(among(VM.c.uuid, "sought"), among(VM.c.state, "states"))
    sql = str(statement.compile(dialect=db.engine.dialect))
    plan = await db.read(lambda tx: tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", ("[]", "[]")).all())
    assert [row[3] for row in plan if "VmInstanceVO" in row[3]] == [
        "SEARCH VmInstanceVO USING INDEX sqlite_autoindex_VmInstanceVO_1 (uuid=?)"
    ]


async def test_an_error_tells_no_value(db: Database) -> None:
    await db.write(lambda tx: rows.insert(tx, "ZoneVO", uuid="a" * 32, name="secret"))
    with pytest.raises(IntegrityError) as raised:
        await db.write(lambda tx: rows.insert(tx, "ZoneVO", uuid="a" * 32, name="secret"))
    assert "secret" not in str(raised.value)
    assert await db.read(lambda tx: rows.count(tx, "ZoneVO")) == 1


async def test_a_value_that_is_missing_is_a_fault(db: Database) -> None:
    find = Prepared(select(ZONE.c.name).where(ZONE.c.uuid == bindparam("sought")))
    with pytest.raises((KeyError, ProgrammingError), match="sought"):
        await db.read(lambda tx: find.first(tx, {}))
