"""Which texts are system tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.contract.error import ApiError
from controlplane.rules import system_tag


def test_only_the_first_separator_decides():
    tag = "userdata::a::b"
    system_tag.must_be_valid("VmInstanceVO", tag)
    assert (system_tag.prefix(tag), system_tag.value(tag)) == ("userdata", "a::b")


def test_limit_is_in_bytes():
    system_tag.must_be_valid("VmInstanceVO", "userdata::" + "x" * (system_tag.LIMIT - 10))
    with pytest.raises(ApiError, match="bytes"):
        system_tag.must_be_valid("VmInstanceVO", "userdata::" + "ä" * (system_tag.LIMIT // 2))


@given(st.lists(st.text("abc: []\\n", min_size=1), min_size=1, max_size=6))
def test_what_was_split_at_commas_is_joined_again(pieces):
    whole = "userdata::" + ",".join(pieces)
    split = whole.split(",")
    if not any("::" in piece for piece in split[1:]):
        assert system_tag.joined("VmInstanceVO", split) == [whole]


def test_an_unknown_tag_stays_apart_to_be_refused():
    assert system_tag.joined("VmInstanceVO", ["sshkey::k", "colour::x"]) == ["sshkey::k", "colour::x"]


def test_what_may_stand_twice():
    one, two = "0" * 32, "1" * 32
    system_tag.must_be_single("VmInstanceVO", ["sshkey::a", "sshkey::b"])
    system_tag.must_be_single("VmInstanceVO", [f"staticIp::{one}::10.0.0.1", f"staticIp::{two}::10.0.0.1"])
    for tags in (["hostname::a", "hostname::b"], [f"staticIp::{one}::10.0.0.1", f"staticIp::{one}::10.0.0.2"]):
        with pytest.raises(ApiError):
            system_tag.must_be_single("VmInstanceVO", tags)
