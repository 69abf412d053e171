from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.contract.account import LogInByAccount
from controlplane.contract.base import Api, Create, Wire, parse_date, render_date
from controlplane.contract.condition import condition_text, parse_condition
from controlplane.contract.error import ApiError
from controlplane.contract.offering import CreateInstanceOffering
from controlplane.contract.parse import known, parse, wire_names
from controlplane.contract.registry import apis
from controlplane.contract.zone import ChangeZoneState, CreateZone, UpdateZone


def refusal(cls, **raw):
    with pytest.raises(ApiError) as caught:
        parse(cls, raw)
    assert caught.value.error.code == "SYS.1007"
    return caught.value.error


def test_a_missing_parameter_is_named():
    error = refusal(CreateZone)
    assert error.details == "field[name] of CreateZone is mandatory"
    assert error.field == "name"


def test_a_misspelt_parameter_gets_a_suggestion():
    assert (
        'field[nme] of CreateZone does not exist, did you mean "name"?'
        in refusal(CreateZone, name="z", nme="x").details
    )


def test_an_over_long_name_says_the_limit_and_is_cut_in_the_message():
    details = refusal(CreateZone, name="x" * 300).details
    assert "at most 255 characters" in details
    assert len(details) < 300


def test_a_value_out_of_bounds_is_shown_with_the_bound():
    error = refusal(CreateInstanceOffering, name="o", cpuNum="0", memorySize=1 << 30)
    assert error.field == "cpuNum"
    assert "'0' is not allowed: it should be greater than or equal to 1" in error.details


def test_allowed_values_are_listed():
    assert "'enable' or 'disable'" in refusal(ChangeZoneState, uuid="a" * 32, stateEvent="Enable").details


@pytest.mark.parametrize(
    "uuid", ["A" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n", "12345678-1234-1234-1234-123456789012"]
)
def test_a_uuid_has_one_form(uuid):
    assert "32 lower-case hex digits" in refusal(UpdateZone, uuid=uuid).details


def test_a_password_is_never_shown():
    error = refusal(LogInByAccount, accountName="admin", password="open sesame")
    assert "sesame" not in error.details
    message = parse(LogInByAccount, {"accountName": "admin", "password": "a" * 128})
    assert "aaaa" not in repr(message)


def test_null_is_as_good_as_absent():
    assert parse(CreateZone, {"name": "z", "description": None, "type": None}).type == "zstack"


def test_numbers_may_be_text():
    assert parse(CreateInstanceOffering, {"name": "o", "cpuNum": "2", "memorySize": "1073741824"}).cpu_num == 2


def test_unknown_members_are_ignored_on_request_only():
    assert parse(CreateZone, known(CreateZone, {"name": "z", "x": 1, "session": {"uuid": "s"}})).name == "z"
    refusal(CreateZone, name="z", x=1)


@pytest.mark.parametrize("cls", apis.values(), ids=list(apis))
def test_every_declaration_is_whole(cls: type[Api]):
    assert cls.package
    assert set(cls.route.path_parameters) <= set(wire_names(cls))
    assert set(cls.references) <= set(cls.model_fields)
    assert set(cls.secrets) <= set(cls.model_fields)
    assert cls.result is None or issubclass(cls.result, Wire)
    assert not issubclass(cls, Create) or cls.creates.endswith("VO")
    assert (cls.route.action is not None) == (cls.route.method == "PUT")


@given(st.datetimes(min_value=datetime(1970, 1, 1)))
def test_dates_of_the_wire_round_trip_to_the_second(moment):
    assert parse_date(render_date(moment)).replace(tzinfo=None) == moment.replace(microsecond=0)


def test_a_date_looks_as_in_the_reference():
    assert render_date(parse_date("Jan 30, 2016 3:01:03 PM")) == "Jan 30, 2016 3:01:03 PM"
    assert parse_date("Jan 30, 2016 12:01:03 AM").hour == 0


@given(
    st.from_regex(r"[A-Za-z_][\w.]*", fullmatch=True),
    st.sampled_from(["=", "!=", ">", ">=", "<", "<=", "?=", "!?=", "~=", "!~="]),
    st.text().filter(lambda text: not text.startswith("=")),
)
def test_a_condition_is_read_as_written(name, operator, value):
    condition = parse_condition(f"{name}{operator}{value}")
    assert (condition.name, condition.value) == (name, value)
    assert condition_text(condition) == f"{name}{operator}{value}"
