"""A client of the plug-in protocol, for what no core at hand can ask: it speaks as the published protocol says, and no more."""

from typing import Any

import grpc

from provider.framework.types import Type
from provider.wire import tfplugin6_pb2 as pb
from provider.wire import values


class Core:
    """`core("ReadResource", type_name=…)` → the answer; `core.stream(…)` → the events of one that streams."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def __call__(self, name: str, **fields: Any) -> Any:
        kind = getattr(pb, name)
        path = f"/tfplugin6.Provider/{name}"
        call = self.channel.unary_unary(path, kind.Request.SerializeToString, kind.Response.FromString)
        return call(kind.Request(**fields), timeout=120)

    def stream(self, name: str, **fields: Any) -> Any:
        """The events as they come; `.cancel()` hangs up."""
        kind = getattr(pb, name)
        path = f"/tfplugin6.Provider/{name}"
        call = self.channel.unary_stream(path, kind.Request.SerializeToString, kind.Event.FromString)
        return call(kind.Request(**fields), timeout=120)


def told(diagnostics: Any) -> list[str]:
    return [f"{one.summary}: {one.detail}" for one in diagnostics]


def given(type_: Type, **attributes: Any) -> pb.DynamicValue:
    """An object by its type: what is not given is null."""
    return values.encode(dict.fromkeys(type_.members) | attributes, type_)
