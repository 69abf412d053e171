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
        raw = msgpack.unpackb(message.msgpack, ext_hook=lambda _code, _data: UNKNOWN, strict_map_key=False)
    elif message.json:
        raw = json.loads(message.json)
    else:
        return None
    return conform(raw, type_)


def encode(value: Value, type_: Type) -> pb.DynamicValue:
    return pb.DynamicValue(msgpack=msgpack.packb(conform(value, type_), default=_unknown))


def from_json(document: bytes, type_: Type) -> Value:
    """State as Terraform stored it: attributes that are no more are dropped, new ones are null."""
    return conform(json.loads(document), type_)


def _unknown(value: Any) -> Any:
    if value is UNKNOWN:
        return _UNKNOWN_WIRE
    raise TypeError(f"{value!r} has no form on the wire")
