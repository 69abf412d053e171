"""Values on the wire: msgpack, with unknown values as extensions, and the JSON of stored state.

Terraform sends an unknown as extension 0, or as 12 with what it knows about it ("refined"); here they are one UNKNOWN.
Numbers may come as text when a float cannot hold them exactly.
"""

import json
from typing import Any

import msgpack

from provider.framework.types import UNKNOWN, Type, Value, conform
from provider.wire import tfplugin6_pb2 as pb

_UNKNOWN_WIRE = msgpack.ExtType(0, b"\0")


def decode(message: pb.DynamicValue, type_: Type) -> Value:
    """The value of a message; None when it is null or absent."""
    if message.msgpack:
        raw = _unpacked(message.msgpack)
    elif message.json:
        raw = json.loads(message.json)
    else:
        return None
    return conform(raw, type_)


def decode_any(message: pb.DynamicValue) -> Value:
    """A value that brings its type along: a pair of the type's spelling and the value."""
    spelled, raw = _unpacked(message.msgpack)
    return _plain(raw, json.loads(spelled))


def _unpacked(data: bytes) -> Any:
    return msgpack.unpackb(data, ext_hook=lambda _code, _data: UNKNOWN, strict_map_key=False)


def _plain(raw: Any, spelled: Any) -> Value:
    """By Terraform's notation of types; `["tuple", […]]` and `"dynamic"` have no place among our own."""
    if raw is None or raw is UNKNOWN:
        return raw
    if spelled == "dynamic":
        return _plain(raw[1], json.loads(raw[0]))
    if not isinstance(spelled, list):
        return conform(raw, Type(spelled))
    kind, inner = spelled[0], spelled[1]
    if kind == "object":
        return {name: _plain(raw[name], member) for name, member in inner.items()}
    if kind == "map":
        return {name: _plain(one, inner) for name, one in raw.items()}
    return [_plain(one, inner[index] if kind == "tuple" else inner) for index, one in enumerate(raw)]


def encode(value: Value, type_: Type) -> pb.DynamicValue:
    return pb.DynamicValue(msgpack=msgpack.packb(conform(value, type_), default=_unknown))


def from_json(document: bytes, type_: Type) -> Value:
    return from_raw(json.loads(document), type_)


def from_raw(state: Any, type_: Type) -> Value:
    """State as Terraform stored it: attributes that are no more are dropped, new ones are null."""
    return conform(state, type_)


def _unknown(value: Any) -> Any:
    if value is UNKNOWN:
        return _UNKNOWN_WIRE
    raise TypeError(f"{value!r} has no form on the wire")
