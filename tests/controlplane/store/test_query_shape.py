"""Statements that are kept serve other values of the same shape, and nothing else."""

import pytest

import controlplane.contract  # noqa: F401
from benchmarks.query import seed, uuid
from controlplane.contract.base import Condition
from controlplane.contract.error import ApiError
from controlplane.contract.vm import QueryVmInstance
from controlplane.store import query, query_shape, schema
from controlplane.store.database import Database


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('query_shape')}/steppe.db")
    schema.upgrade(db)
    seed(db, 200)
    yield db
    db.close()


@pytest.fixture
def ask(db, monkeypatch):
    monkeypatch.setattr(query_shape, "_kept", {})

    def ask(*conditions, viewer=None, **more):
        wanted = [Condition(name=name, op=op, value=value) for name, op, value in conditions]
        message = QueryVmInstance(conditions=wanted, fields=["uuid", "name"], **more)
        return [one["name"] for one in db.read_now(lambda tx: query.run(tx, message, viewer))["inventories"]]

    return ask


def test_one_statement_for_all_values(ask):
    for number in (1, 2, 150):
        assert ask(("name", "=", f"VM-{number}"), ("state", "!=", "None")) == [f"vm-{number}"]
    assert ask(("name", "=", "nobody"), ("state", "!=", "None")) == []
    assert len(query_shape._kept) == 1


def test_a_page_is_not_part_of_it(ask):
    assert ask(("name", "like", "vm-1%"), limit=2) == ["vm-1", "vm-10"]
    assert ask(("name", "like", "vm-1%"), limit=1, start=2) == ["vm-11"]
    assert len(query_shape._kept) == 1


def test_patterns_with_a_beginning_only_or_in_part_or_not_at_all_are_of_different_shapes(ask):
    for number in (1, 7):
        assert len(ask(("name", "like", f"VM-{number}9%"))) == (11 if number == 1 else 1)
        assert len(ask(("name", "like", f"%-{number}9%"))) == (11 if number == 1 else 1)
        assert ask(("name", "like", f"vm-{number}_4")) == (["vm-104", "vm-114", "vm-124", "vm-134", "vm-144", "vm-154",
            "vm-164", "vm-174", "vm-184", "vm-194"] if number == 1 else [])  # fmt: skip
    assert ask(("name", "like", "vm-1\\%")) == ask(("name", "like", "")) == []
    assert len(query_shape._kept) == 4


def test_numbers_lists_and_null_are_right_each_time(ask):
    assert len(ask(("cpuNum", "=", "2"), limit=1000)) == 200
    assert ask(("cpuNum", "=", "3")) == []
    assert ask(("uuid", "in", f"{uuid(1, 7)},{uuid(1, 8)}")) == ["vm-7", "vm-8"]
    assert query_shape._kept == {}
    assert len(ask(("description", "is null", None), limit=1000)) == 200
    assert ask(("description", "is not null", None)) == []


def test_each_viewer_has_their_own(ask):
    assert ask(("name", "=", "vm-1")) == ["vm-1"]
    assert ask(("name", "=", "vm-1"), viewer="a" * 32) == []
    assert ask(("name", "=", "vm-1")) == ["vm-1"]


@pytest.mark.parametrize("condition", [("name", "=", "a\0"), ("name", "like", "x" * 10_001), ("name", "=", None)])
def test_a_kept_statement_takes_no_value_that_is_refused(ask, condition):
    ask(("name", "=", "vm-1")), ask(("name", "like", "vm-1%"))
    with pytest.raises(ApiError):
        ask(condition)


def test_there_is_a_bound(ask, monkeypatch):
    monkeypatch.setattr(query_shape, "MOST", 2)
    for field in ("name", "state", "hostUuid", "platform"):
        ask((field, "=", "x"))
    assert len(query_shape._kept) == 2
