"""Values survive the wire in both directions, whatever they are."""

import math

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.framework.types import BOOL, NUMBER, STRING, UNKNOWN, canonical_set, list_of, map_of, object_of, set_of
from provider.wire import tfplugin6_pb2 as pb
from provider.wire.values import decode, encode, from_json

numbers = st.integers(-(2**62), 2**62) | st.floats(-1e15, 1e15, allow_nan=False).filter(lambda x: x != math.floor(x))
maybe = lambda strategy: st.none() | st.just(UNKNOWN) | strategy  # noqa: E731


@given(
    st.fixed_dictionaries(
        {
            "text": maybe(st.text()),
            "number": maybe(numbers),
            "flag": maybe(st.booleans()),
            "many": maybe(st.lists(maybe(st.text()))),
            "set": maybe(st.lists(st.text()).map(canonical_set)),
            "map": maybe(st.dictionaries(st.text(), maybe(numbers))),
        }
    )
)
def test_round_trip(value):
    members = {
        "text": STRING, "number": NUMBER, "flag": BOOL,
        "many": list_of(STRING), "set": set_of(STRING), "map": map_of(NUMBER),
    }  # fmt: skip
    type_ = object_of(members)
    assert decode(encode(value, type_), type_) == value


def test_every_kind_of_unknown_is_the_one_unknown():
    for extension in (msgpack.ExtType(0, b"\0"), msgpack.ExtType(12, b"\x81\x01\xc2")):
        assert decode(pb.DynamicValue(msgpack=msgpack.packb([extension])), list_of(STRING)) == [UNKNOWN]
    with pytest.raises(TypeError):
        bool(UNKNOWN)


def test_numbers_may_come_as_text():
    assert decode(pb.DynamicValue(msgpack=msgpack.packb("0.1")), NUMBER) == 0.1
    assert decode(pb.DynamicValue(msgpack=msgpack.packb("7")), NUMBER) == 7


def test_stored_state_loses_attributes_that_are_no_more_and_gains_new_ones_as_null():
    assert from_json(b'{"a": "x", "old": 1}', object_of({"a": STRING, "new": BOOL})) == {"a": "x", "new": None}


def test_sets_do_not_depend_on_their_order():
    type_ = set_of(STRING)
    assert encode(["b", "a", "b"], type_) == encode(["a", "b"], type_)


def test_elements_of_a_set_that_are_not_known_yet_may_be_different_ones():
    type_ = set_of(STRING)
    assert decode(encode([UNKNOWN, "b", UNKNOWN, "a", "b"], type_), type_) == ["a", "b", UNKNOWN, UNKNOWN]
    open_ = [{"who": UNKNOWN, "n": 2}, {"who": "x", "n": UNKNOWN}, {"who": UNKNOWN, "n": 2}]
    assert len(canonical_set(open_)) == 3 and canonical_set(open_) == canonical_set(open_[::-1])
