"""Queries on both databases beside a naive evaluator: every operator, relations, lists, tags, order, groups and pages."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import controlplane.contract  # noqa: F401
from controlplane.contract.base import Condition, Query
from controlplane.contract.error import ApiError
from controlplane.contract.queryable import OPERATORS, TAGS, fields, inventory_of, lists, relations, table_name
from controlplane.contract.registry import apis
from controlplane.store import query, rows, schema, tables
from controlplane.store.database import Database
from controlplane.store.relations import LISTS
from tests.controlplane.store.query_model import BEGIN, World, moment

QUERIES = [api for api in apis.values() if issubclass(api, Query)]
TABLES = sorted(
    {table_name(api.resource) for api in QUERIES}
    | {relation.target for table in {table_name(api.resource) for api in QUERIES} for relation in relations(table).values()}
    | {shown.table for table in LISTS.values() for shown in table.values()}
    | {r.through.table for t in {table_name(a.resource) for a in QUERIES} for r in relations(t).values() if r.through}
)  # fmt: skip
TEXTS = [
    "web",
    "Web",
    "web-1",
    "WEB_1",
    "we",
    "",
    "50%",
    "a\\b",
    "Gerät",
    "GERÄT",
    "ab c",
    "[x]",
    "z\U0010ffffz",
    "'; --",
]
UUIDS = [f"{number:032x}" for number in (0, 1, 9, 10, 11, 171)]
NUMBERS = [0, 1, 2, 7, 2**31 - 1]


def populate(tx):
    """A few rows in every table that queries know; what refers to what is drawn, and often leads nowhere."""
    dice = random.Random(7)
    for table in TABLES:
        columns = tables.table(table).c
        seen = set()
        for number in range(6 if table != "SystemTagVO" else 14):
            row = {}
            for column in columns:
                if column.name in ("id",):
                    continue
                if column.name == "uuid" or (column.primary_key and table == "LocalStorageResourceRefVO"):
                    row[column.name] = UUIDS[number] if number < len(UUIDS) else f"{number + 500:032x}"
                elif column.name.endswith("uuid"):
                    row[column.name] = dice.choice(UUIDS if not column.nullable else [*UUIDS, None])
                elif column.name == "resource_type":
                    row[column.name] = dice.choice(["VmInstanceVO", "VmInstanceVO", "ZoneVO", "HostVO"])
                elif isinstance(column.type, tables.Utc):
                    row[column.name] = moment(dice.randrange(7))
                elif column.type.python_type is bool:
                    row[column.name] = dice.choice([True, False])
                elif column.type.python_type is int:
                    row[column.name] = dice.choice(NUMBERS)
                else:
                    text = dice.choice(TEXTS if not column.nullable else [*TEXTS, None])
                    stored_lower = column.name in ("mac", "ip")
                    row[column.name] = text and (text.lower() if stored_lower else text)[: column.type.length]
            for unique in (set(c.columns.keys()) for c in tables.table(table).constraints if hasattr(c, "columns")):
                if unique and unique != {"uuid"} and unique != {"id"}:
                    key = (tuple(sorted(unique)), *(row[name] for name in sorted(unique) if name in row))
                    if key in seen:
                        row = None
                        break
                    seen.add(key)
            if row:
                rows.insert(tx, table, **row)
    for number, tag in enumerate(
        ["userdata::x", "USERDATA::y" + "z" * 200, "userdata::x" + "z" * 200 + "b", "sshkey::k"]
    ):
        rows.insert(
            tx, "SystemTagVO", uuid=f"{900 + number:032x}", resource_uuid=UUIDS[number % 3], resource_type="VmInstanceVO",
            tag=tag, type="System", inherent=False,
        )  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def stored(request, tmp_path_factory):
    """A database with rows, and the same rows in memory."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('query')}/steppe.db"
    else:
        url = request.getfixturevalue("postgres_server").create()
    db = Database(url)
    schema.upgrade(db)
    with db.engine.begin() as tx:
        populate(tx)
    yield db, World(db.read_now(lambda tx: {table: rows.find(tx, table) for table in TABLES}))
    db.close()


@st.composite
def conditions(draw, resource):
    table, path = table_name(resource), []
    while relations(table) and len(path) < 3 and draw(st.booleans()):
        path.append(draw(st.sampled_from(sorted(relations(table)))))
        table = relations(table)[path[-1]].target
    own = {wire: name for wire, name in fields(table).items() if name in tables.table(table).c}
    taggable = list(TAGS) if "uuid" in own else []
    name = draw(st.sampled_from([*own, *lists(table), *taggable, *taggable]))
    column = tables.table(table).c[own[name]] if name in own else None
    if column is None:
        op, value = draw(st.sampled_from(OPERATORS)), texts
        if name in TAGS:
            value = st.sampled_from(
                ["userdata%", "userdata::x", "USERDATA::", "%z", "userdata::x" + "z" * 200 + "%", "k"]
            )
    elif isinstance(column.type, tables.Utc):
        op = draw(st.sampled_from([op for op in OPERATORS if "like" not in op]))
        value = st.integers(0, 7).map(lambda number: moment(number).isoformat())
    elif column.type.python_type in (bool, int):
        truth = column.type.python_type is bool
        op = draw(st.sampled_from([op for op in OPERATORS if "like" not in op and not (truth and op[0] in "<>")]))
        kinds = (
            ["true", "False", "1"]
            if column.type.python_type is bool
            else [str(n) for n in NUMBERS] + ["3000000000", "-5"]
        )
        value = st.sampled_from(kinds)
    else:
        op = draw(st.sampled_from(OPERATORS))
        value = st.sampled_from([*UUIDS, UUIDS[-1].upper()]) if column.name.endswith("uuid") else texts
    if op in ("is null", "is not null"):
        return Condition(name=".".join([*path, name]), op=op)
    if op in ("in", "not in"):
        value = st.lists(value, min_size=1, max_size=3).map(",".join)
    return Condition(name=".".join([*path, name]), op=op, value=draw(value))


texts = st.one_of(
    st.sampled_from([text for text in TEXTS if "," not in text]),
    st.text(st.sampled_from("wWeb_%\\1-ÄäG"), max_size=4),
    st.sampled_from(TEXTS).map(lambda text: text[:2] + "%"),
).map(str.strip)


@st.composite
def messages(draw):
    api = draw(st.sampled_from([*QUERIES, *[api for api in QUERIES if api.resource == "VmInstanceVO"] * 4]))
    own = [
        wire
        for wire, name in fields(table_name(api.resource)).items()
        if name in tables.table(table_name(api.resource)).c
    ]
    by = st.none() | st.sampled_from(own)
    if "create_date" not in tables.table(table_name(api.resource)).c or "createDate" not in own:
        by = st.sampled_from(own)
    return api(
        conditions=draw(st.lists(conditions(api.resource), max_size=3)),
        sort_by=draw(by),
        sort_direction=draw(st.sampled_from(["asc", "desc"])),
        start=draw(st.integers(0, 3)),
        limit=draw(st.integers(0, 5) | st.just(1000)),
        group_by=draw(st.none() | st.none() | st.sampled_from(own)),
        reply_with_count=True,
    )


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(message=messages())
def test_a_query_answers_as_the_naive_evaluator_does(stored, message):
    db, world = stored
    answer = db.read_now(lambda tx: query.run(tx, message, None))
    expected, total = world.answer(message)
    assert answer["total"] == total
    table = table_name(message.resource)
    (key,) = tables.table(table).primary_key
    if key.name == "id":
        assert len(answer["inventories"]) == len(expected)
    else:
        wire = next(wire for wire, name in fields(table).items() if name == key.name)
        assert [one[wire] for one in answer["inventories"]] == expected


@pytest.mark.parametrize("api", QUERIES, ids=lambda api: api.__name__)
def test_rows_are_shown_as_their_inventory_would_be(stored, api):
    db, _ = stored
    table = table_name(api.resource)

    model = inventory_of(table)
    scalars = set(fields(table).values())
    shown = db.read_now(lambda tx: query.run(tx, api(), None))["inventories"]
    stored_rows = db.read_now(lambda tx: rows.find(tx, table))
    expected = [
        model.model_construct(**row).model_dump(mode="json", by_alias=True, exclude_none=True, include=scalars)
        for row in ({name: row.get(name) for name in scalars} for row in stored_rows)
    ]
    for one in shown:
        assert {key: value for key, value in one.items() if not isinstance(value, list)} in expected


def test_some_fields_only(stored):
    db, _ = stored
    api = apis["QueryVmInstance"]
    (one,) = db.read_now(lambda tx: query.run(tx, api(fields=["createDate", "uuid", "uuid"], limit=1), None))[
        "inventories"
    ]
    assert set(one) == {"uuid", "createDate"}
    assert one["createDate"].startswith("Jan 30, 2026 3:01:0")


def test_lists_are_filled_in_order(stored):
    db, world = stored
    shown = db.read_now(lambda tx: query.run(tx, apis["QueryVmInstance"](), None))["inventories"]
    assert any(one["vmNics"] for one in shown)
    for one in shown:
        nics = [nic["uuid"] for nic in one["vmNics"]]
        stored_nics = [nic for nic in world.rows["VmNicVO"] if nic["vm_instance_uuid"] == one["uuid"]]
        assert nics == [nic["uuid"] for nic in sorted(stored_nics, key=lambda nic: (nic["device_id"], nic["uuid"]))]


@pytest.mark.parametrize(
    ("api", "given", "words"),
    [
        ("QueryVmInstance", {"conditions": [("nme", "=", "x")]}, ["'nme'", "vmNics.", "__systemTag__", "hostUuid"]),
        ("QueryVmInstance", {"conditions": [("hst.name", "=", "x")]}, ["'hst'", "host."]),
        ("QueryVmInstance", {"conditions": [("host.nme", "=", "x")]}, ["HostVO", "'nme'"]),
        ("QueryVmInstance", {"conditions": [("vmNics", "=", "x")]}, ["'vmNics'"]),
        ("QueryVmInstance", {"conditions": [("name", "==", "x")]}, ["'=='", "not like"]),
        ("QueryVmInstance", {"conditions": [("name", "=", None)]}, ["takes a value"]),
        ("QueryVmInstance", {"conditions": [("name", "is null", "x")]}, ["takes no value"]),
        ("QueryVmInstance", {"conditions": [("name", "=", "a\0b")]}, ["NUL"]),
        ("QueryVmInstance", {"conditions": [("name;drop table", "=", "x")]}, ["'name;drop table'"]),
        ("QueryVmInstance", {"conditions": [("cpuNum", "=", "two")]}, ["'two' is not an integer"]),
        ("QueryVmInstance", {"conditions": [("cpuNum", "=", "9" * 5000)]}, ["not an integer"]),
        ("QueryVmInstance", {"conditions": [("cpuNum", "=", "9" * 20)]}, ["larger"]),
        ("QueryVmInstance", {"conditions": [("cpuNum", "like", "2%")]}, ["needs a text field"]),
        ("QueryVmInstance", {"conditions": [("createDate", ">", "soon")]}, ["2016-01-30"]),
        ("QueryVmInstance", {"conditions": [("createDate", ">", "0001-01-01T00:00:00+14:00")]}, ["no date"]),
        ("QuerySystemTag", {"conditions": [("inherent", ">", "true")]}, ["true or false"]),
        ("QuerySystemTag", {"conditions": [("inherent", "=", "maybe")]}, ["neither true nor false"]),
        ("QueryZone", {"conditions": [(".".join(["host", "zone"] * 3) + ".name", "=", "x")]}, ["more than 4 relations"]),
        ("QueryZone", {"conditions": [("name", "in", "x," * 20_000)]}, ["10000 values"]),
        ("QueryZone", {"conditions": [("name", "like", "x" * 70_000)]}, ["65536 characters"]),
        ("QueryZone", {"sort_by": "size"}, ["'size'", "name, description"]),
        ("QueryZone", {"group_by": "1; --"}, ["'1; --'"]),
        ("QueryVmInstance", {"fields": ["vmNics"]}, ["'vmNics'"]),
        ("QueryAccount", {"conditions": [("passwordHash", "~=", "x")]}, ["unknown"]),
        ("QueryAccount", {"conditions": [("passwordHash", "like", "x")]}, ["'passwordHash'"]),
        ("QueryNetworkServiceL3NetworkRef", {"conditions": [("__userTag__", "=", "x")]}, ["'__userTag__'"]),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_named_with_what_can(stored, api, given, words):
    db, _ = stored
    asked = [Condition(name=name, op=op, value=value) for name, op, value in given.get("conditions", ())]
    message = apis[api](**{**given, "conditions": asked})
    with pytest.raises(ApiError) as refused:
        db.read_now(lambda tx: query.run(tx, message, None))
    assert refused.value.error.code == "SYS.1007"
    for word in words:
        assert word in refused.value.error.details


@pytest.mark.parametrize("value", ["%" * 60_000, "\\" * 60_000, "a" + "%a" * 20_000])
def test_a_strange_pattern_is_a_pattern_or_refused(stored, value):
    db, _ = stored
    message = apis["QuerySystemTag"](conditions=[Condition(name="tag", op="like", value=value)])
    try:
        db.read_now(lambda tx: query.run(tx, message, None))
    except ApiError as refused:
        assert "pattern" in refused.error.details


def test_the_world_has_what_the_tests_need():
    assert moment(0) == BEGIN
    assert len(QUERIES) > 20
