"""A wish to be told that a job has ended, stored together with the job."""

import ipaddress
from dataclasses import dataclass

from controlplane.rules import web_hook
from controlplane.store import rows, tables
from controlplane.store.database import Tx


@dataclass(frozen=True)
class WebHook:
    url: str
    inward: bool

    def store(self, tx: Tx, operation: str) -> None:
        values = {"url": self.url, "inward": self.inward, "due": tables.now()}
        rows.insert(tx, "WebHookVO", operation_uuid=operation, **values)


def wished(url: str | None, address: str) -> WebHook | None:
    """`address`: the caller's. Raises SYS.1007 for a URL to which nothing may be sent."""
    if url is None:
        return None
    try:
        inward = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        inward = False
    web_hook.must_be_allowed(url, inward)
    return WebHook(url, inward)
