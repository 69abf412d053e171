"""Rows by resource type, on both databases."""

import datetime

import pytest
from sqlalchemy.exc import IntegrityError

from controlplane.store import rows
from controlplane.store.database import Database, Tx

ZONE = "a" * 32


async def test_a_row_comes_back_as_it_was_stored(db: Database) -> None:
    stored = await db.write(lambda tx: rows.insert(tx, "ZoneVO", uuid=ZONE, name="z", state="Enabled"))
    assert await db.read(lambda tx: rows.get(tx, "ZoneVO", ZONE)) == stored
    assert stored["create_date"] == stored["last_op_date"] and stored["create_date"].tzinfo is datetime.UTC
    assert stored["description"] is None


async def test_references_get_a_number_and_defaults(db: Database) -> None:
    first = await db.write(lambda tx: rows.insert(tx, "L3NetworkDnsVO", l3_network_uuid=ZONE, dns="1.1.1.1"))
    second = await db.write(lambda tx: rows.insert(tx, "L3NetworkDnsVO", l3_network_uuid=ZONE, dns="8.8.8.8"))
    assert second["id"] > first["id"]
    store = await db.write(lambda tx: rows.insert(tx, "BackupStorageVO", uuid=ZONE, name="s"))
    assert (store["ssh_port"], store["total_capacity"]) == (22, 0)


async def test_conditions(db: Database) -> None:
    def make(tx: Tx) -> None:
        for number, description in enumerate((None, "one", "two")):
            rows.insert(tx, "ZoneVO", uuid=f"{number:032x}", name=f"z{number}", description=description)

    await db.write(make)

    def look(tx: Tx) -> None:
        assert [row["name"] for row in rows.find(tx, "ZoneVO", order_by=["name"])] == ["z0", "z1", "z2"]
        assert [row["name"] for row in rows.find(tx, "ZoneVO", description=None)] == ["z0"]
        assert rows.count(tx, "ZoneVO", name=["z1", "z2", "z9"]) == 2
        assert rows.count(tx, "ZoneVO", name=()) == 0
        assert rows.exists(tx, "ZoneVO", name="z1") and not rows.exists(tx, "ZoneVO", name="z9")
        assert rows.find_one(tx, "ZoneVO", name="z9") is None

    await db.read(look)


async def test_update_moves_the_date_and_returns_the_row(db: Database) -> None:
    before = await db.write(lambda tx: rows.insert(tx, "ZoneVO", uuid=ZONE, name="z"))
    after = await db.write(lambda tx: rows.update(tx, "ZoneVO", ZONE, name="y"))
    assert after is not None and after["name"] == "y" and after["last_op_date"] > before["last_op_date"]
    assert await db.write(lambda tx: rows.update(tx, "ZoneVO", "b" * 32, name="y")) is None
    assert await db.write(lambda tx: rows.update_where(tx, "ZoneVO", {"name": "y"}, state="Disabled")) == 1
    locked = await db.write(lambda tx: rows.lock(tx, "ZoneVO", ZONE))
    assert locked is not None and locked["state"] == "Disabled"


async def test_delete(db: Database) -> None:
    await db.write(lambda tx: rows.insert(tx, "ZoneVO", uuid=ZONE, name="z"))
    assert await db.write(lambda tx: rows.delete(tx, "ZoneVO", ZONE)) == 1
    assert await db.write(lambda tx: rows.delete(tx, "ZoneVO", ZONE)) == 0
    with pytest.raises(ValueError, match="needs a condition"):
        await db.write(lambda tx: rows.delete_where(tx, "ZoneVO"))


async def test_a_tag_may_be_found_by_its_resource_type(db: Database) -> None:
    """Column names never collide with the parameters of the functions."""
    tag = {"uuid": ZONE, "resource_uuid": ZONE, "resource_type": "VmInstanceVO", "tag": "a"}
    await db.write(lambda tx: rows.insert(tx, "SystemTagVO", **tag))
    assert await db.read(lambda tx: rows.count(tx, "SystemTagVO", resource_type="VmInstanceVO")) == 1


@pytest.mark.parametrize("change", [{"colour": "red"}, {"uuid": ZONE, "name": "z", "colour": "red"}])
async def test_an_unknown_column_is_named(db: Database, change: dict[str, str]) -> None:
    with pytest.raises(KeyError, match="ZoneVO has no column 'colour'; it has uuid, name"):
        await db.write(lambda tx: rows.insert(tx, "ZoneVO", **change))
    with pytest.raises(KeyError, match="colour"):
        await db.write(lambda tx: rows.update(tx, "ZoneVO", ZONE, **change))


async def test_an_address_is_given_once(db: Database) -> None:
    await db.write(lambda tx: rows.insert(tx, "UsedIpVO", uuid="1" * 32, l3_network_uuid=ZONE, ip="10.0.0.1"))
    await db.write(lambda tx: rows.insert(tx, "UsedIpVO", uuid="2" * 32, l3_network_uuid="b" * 32, ip="10.0.0.1"))
    with pytest.raises(IntegrityError):
        await db.write(lambda tx: rows.insert(tx, "UsedIpVO", uuid="3" * 32, l3_network_uuid=ZONE, ip="10.0.0.1"))
