"""How the parts of `LibvirtHypervisor` reach a domain."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from hostagent.contract.error import broken
from hostagent.drivers.libvirt_connection import LibvirtConnection

T = TypeVar("T")


class Domains:
    def __init__(self, connection: LibvirtConnection) -> None:
        self._connection = connection

    async def _with(self, uuid: str, act: Callable[[Any], T], deadline: float = 20.0) -> T | None:
        """`act(domain)`; None when there is no such domain, also when it goes or stops while we act."""

        def run(connection: Any) -> T | None:
            with absent():
                return act(connection.lookupByUUIDString(uuid))
            return None

        return await self._connection.call(run, deadline)

    async def _must(self, uuid: str, act: Callable[[Any], Any], deadline: float = 20.0) -> None:
        def run(domain: Any) -> bool:
            act(domain)
            return True

        if await self._with(uuid, run, deadline) is None:
            raise broken("libvirt", f"domain {uuid} is not defined")


class absent(contextlib.AbstractContextManager[None]):
    """Swallows "no such domain"."""

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> bool:
        return isinstance(error, libvirt.libvirtError) and error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
