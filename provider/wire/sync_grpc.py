"""gRPC without its asyncio half, which the provider does not use and which would be a third of its start.

Importing gRPC imports asyncio (with ssl, sockets and more) and `grpc.aio`, but touches neither: a stand-in takes their place
meanwhile, and becomes the real module should anybody ever look into it. Nothing else of the process sees a stand-in.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """A module that is loaded when the first of its names is needed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import machinery asks of any module
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


_stand_ins = [_Later(name) for name in ("asyncio", "grpc.aio") if name not in sys.modules and "grpc" not in sys.modules]
sys.modules.update({one.__name__: one for one in _stand_ins})
import grpc  # noqa: E402

for _one in _stand_ins:
    if sys.modules.get(_one.__name__) is _one:
        del sys.modules[_one.__name__]

__all__ = ["grpc"]
