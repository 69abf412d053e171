"""Queries over many VMs, beside hand-written SQL on the same database through the plain driver.

    python -m benchmarks.query --rows 1000000                      SQLite, in a temporary folder
    python -m benchmarks.query --rows 1000000 --url postgresql://…  an empty database; emptied again afterwards

1. A filtered query with a tag condition: p50 and p99 of `query.run` and of the statement that a person would write.
2. A page of 1,000 VMs with their NICs and volumes, as JSON: beside the driver's fetch of the same columns and `json.dumps`.
"""

import argparse
import gc
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table

import controlplane.contract  # noqa: F401
from benchmarks.priority import ahead
from controlplane.contract.base import Condition
from controlplane.contract.vm import QueryVmInstance
from controlplane.store import query, schema, tables
from controlplane.store.database import Database

Work = Callable[[int], object]
TAGGED = 50  # VMs that carry the same role
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def uuid(kind: int, number: int) -> str:
    return f"{kind:x}{(number * 2654435761) % 2**32:08x}{number:023x}"


def vms(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        moment = BEGIN + timedelta(seconds=number, microseconds=number % 1000)
        yield {
            "uuid": uuid(1, number), "name": f"vm-{number}", "description": None, "zone_uuid": uuid(9, 0),
            "cluster_uuid": uuid(8, number % 20), "host_uuid": uuid(7, number % 200), "image_uuid": uuid(6, number % 30),
            "root_volume_uuid": uuid(3, number), "default_l3_network_uuid": uuid(5, number % 10),
            "instance_offering_uuid": uuid(4, number % 5), "platform": "Linux", "type": "UserVm", "hypervisor_type": "KVM",
            "state": "Stopped" if number % 10 == 0 else "Running", "cpu_num": 2, "cpu_speed": 0, "memory_size": 2**30,
            "internal_id": number, "generation": 1, "create_date": moment, "last_op_date": moment,
        }  # fmt: skip


def tags(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        text = f"userdata::#cloud-config {number}" if number % 4 == 0 else f"hostname::role-{number // TAGGED}-{number}"
        yield {
            "uuid": uuid(2, number), "resource_uuid": uuid(1, number), "resource_type": "VmInstanceVO", "tag": text,
            "type": "System", "inherent": False, "create_date": BEGIN, "last_op_date": BEGIN,
        }  # fmt: skip


def nics(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "uuid": uuid(10, number), "vm_instance_uuid": uuid(1, number), "l3_network_uuid": uuid(5, number % 10),
            "ip": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "mac": f"fa:{number:010x}", "netmask": "255.0.0.0",
            "gateway": "10.0.0.1", "internal_name": f"vnic{number}.0", "device_id": 0, "create_date": BEGIN, "last_op_date": BEGIN,
        }  # fmt: skip


def volumes(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "uuid": uuid(3, number), "vm_instance_uuid": uuid(1, number), "name": f"ROOT-for-vm-{number}", "type": "Root",
            "primary_storage_uuid": uuid(11, 0), "root_image_uuid": uuid(6, number % 30), "format": "qcow2", "size": 2**33,
            "actual_size": 2**30, "device_id": 0, "is_shareable": False, "state": "Enabled", "status": "Ready",
            "install_path": f"/steppe/{number}.qcow2", "create_date": BEGIN, "last_op_date": BEGIN,
        }  # fmt: skip


def seed(db: Database, count: int) -> None:
    """Through the plain drivers, with the indexes made afterwards: a tenth of the time that rows with indexes take."""
    for name, rows in (("VmInstanceVO", vms), ("SystemTagVO", tags), ("VmNicVO", nics), ("VolumeVO", volumes)):
        table = tables.table(name)
        for index in table.indexes:
            index.drop(db.engine)
        raw: Any = db.engine.raw_connection()
        _store(raw.cursor(), db.is_sqlite, table, rows(count))
        raw.commit()
        raw.close()
        for index in table.indexes:
            index.create(db.engine)
    if not db.is_sqlite:  # PostgreSQL does this by itself, in time; SQLite plans without statistics
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
            tx.exec_driver_sql("VACUUM ANALYZE")


def _store(cursor: Any, is_sqlite: bool, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    absent: dict[str, Any] = {
        column.name: column.default.arg for column in table.c if column.default and column.default.is_scalar
    }
    first = next(rows)
    names = list(absent | first)
    columns = f'"{table.name}" ({", ".join(names)})'
    values = (list((absent | row).values()) for row in itertools.chain([first], rows))
    if is_sqlite:
        sql = f"INSERT INTO {columns} VALUES ({', '.join('?' * len(names))})"
        cursor.execute("BEGIN")
        cursor.executemany(sql, ([_sqlite(one) for one in row] for row in values))
        return
    with cursor.copy(f"COPY {columns} FROM STDIN") as copy:
        for row in values:
            copy.write_row([one.replace(tzinfo=None) if isinstance(one, datetime) else one for one in row])


def _sqlite(value: Any) -> Any:
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


def compare(what: str, ours: Work, theirs: Work, runs: int, target: float) -> None:
    """In turn, so that a busy moment of the machine meets both; who comes first finds the memory cold, and changes."""
    for number in (0, 1):  # statements are compiled, pages cached
        ours(number), theirs(number)
    gc.collect()
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(runs):
        sides = [(ours, times[0]), (theirs, times[1])]
        for work, its in sides if number % 2 else reversed(sides):
            begun = time.perf_counter()
            work(number)
            its.append(time.perf_counter() - begun)
    for name, part in (("best", 0.0), ("p50", 0.5), ("p99", 0.99)):
        mine, other = (sorted(its)[min(runs - 1, int(runs * part))] * 1000 for its in times)
        wanted = f"  (target ≤ {target} x)" if name == "p99" else ""
        print(f"{what:34} {name:<5} {mine:9.2f} ms {other:9.2f} ms  {mine / other:5.2f} x{wanted}", flush=True)


def measure(db: Database, count: int, runs: int) -> None:
    raw: Any = db.engine.raw_connection()
    mark = "?" if db.is_sqlite else "%s"

    def driver(sql: str, values: tuple[Any, ...]) -> tuple[list[str], list[Any]]:
        cursor = raw.cursor()
        cursor.execute(sql.replace("?", mark), values)
        return [column[0] for column in cursor.description], cursor.fetchall()

    state = "+state" if db.is_sqlite else "state"  # or SQLite begins with all that run, twenty times as slow
    by_hand = (
        f'SELECT uuid, name, state, host_uuid FROM "VmInstanceVO" WHERE {state} = ? AND uuid IN (SELECT resource_uuid FROM '
        "\"SystemTagVO\" WHERE resource_type = 'VmInstanceVO' AND lower(substr(tag, 1, 100)) >= ? AND "
        "lower(substr(tag, 1, 100)) < ?) ORDER BY create_date, uuid LIMIT 100"
    )

    def role(number: int) -> str:
        return f"hostname::role-{number * 7919 % max(1, count // TAGGED)}-"

    def ours(number: int) -> list[Any]:
        conditions = [
            Condition(name="state", op="=", value="Running"),
            Condition(name="__systemTag__", op="like", value=f"{role(number)}%"),
        ]
        shown = ["uuid", "name", "state", "hostUuid"]
        message = QueryVmInstance(conditions=conditions, fields=shown, limit=100)
        return list(db.read_now(lambda tx: query.run(tx, message, None))["inventories"])

    def theirs(number: int) -> list[Any]:
        begin = role(number)
        names, rows = driver(by_hand, ("Running", begin, begin[:-1] + "."))
        raw.rollback()
        return [dict(zip(names, row, strict=True)) for row in rows]

    assert [one["uuid"] for one in ours(3)] == [one["uuid"] for one in theirs(3)] and ours(3)
    compare("state and tag condition", ours, theirs, runs, 2)

    page = QueryVmInstance(limit=1000)

    def columns(table: str) -> str:
        return ", ".join(query.shown_columns(table))

    def our_page(_number: int) -> str:
        return json.dumps(db.read_now(lambda tx: query.run(tx, page, None)))

    def their_page(_number: int) -> str:
        names, rows = driver(
            f'SELECT {columns("VmInstanceVO")} FROM "VmInstanceVO" ORDER BY create_date, uuid LIMIT 1000', ()
        )
        found = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
        marks = ", ".join("?" * len(found))
        for table, key in (("VmNicVO", "vmNics"), ("VolumeVO", "allVolumes")):
            sql = f'SELECT {columns(table)} FROM "{table}" WHERE vm_instance_uuid IN ({marks})'
            names, rows = driver(sql, tuple(found))
            owner = names.index("vm_instance_uuid")
            for row in rows:
                found[row[owner]].setdefault(key, []).append(dict(zip(names, row, strict=True)))
        raw.rollback()
        return json.dumps(list(found.values()), default=str)

    compare("a page of 1,000 VMs as JSON", our_page, their_page, max(50, runs // 10), 3)
    raw.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--url", help="an empty database; the default is SQLite in a temporary folder")
    options = parser.parse_args()
    ahead()
    with tempfile.TemporaryDirectory(prefix="steppe-query-") as folder:
        db = Database(options.url or f"sqlite:///{folder}/steppe.db")
        schema.upgrade(db)
        try:
            begun = time.perf_counter()
            seed(db, options.rows)
            print(f"{options.rows} VMs stored in {time.perf_counter() - begun:.0f} s in {db.engine.dialect.name}")
            measure(db, options.rows, options.runs)
        finally:
            if options.url:
                tables.metadata.drop_all(db.engine)
            db.close()


if __name__ == "__main__":
    main()
