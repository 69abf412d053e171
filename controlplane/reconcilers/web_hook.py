"""Posts the results of ended jobs to those who asked for it (`X-Web-Hook`): 15 attempts, 2 seconds apart.

What is due is in the database, so a restarted node goes on where the last one stopped, and of several nodes one posts. A
hook may be told twice (the answer was lost), never of another job. It follows no redirect, goes through no proxy, and
connects to the very address that was judged, so that a name cannot lead elsewhere after it was looked up.
"""

import asyncio
import json
import logging
import socket
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from controlplane.rules import web_hook
from controlplane.store import rows, tables
from controlplane.store.database import Tx
from controlplane.workflows.world import World

log = logging.getLogger("steppe.web_hook")
_TIMEOUT = 10.0  # seconds for one attempt
_AT_ONCE = 50
_ENDED = ("done", "failed", "cancelled", "stuck")
Row = dict[str, Any]


class WebHooks:
    def __init__(self, world: World, poll: float = 0.5, pause: float = web_hook.PAUSE) -> None:
        self._world, self._poll, self._pause = world, poll, pause

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:
            while True:
                try:
                    found = await self.once(client)
                except Exception:
                    log.exception("telling of ended jobs failed; it is tried again")
                    found = 0
                await asyncio.sleep(0 if found else self._poll)

    async def once(self, client: httpx.AsyncClient) -> int:
        """One round; returns how many were posted to."""
        if not await self._world.db.read(_due):
            return 0
        claimed = await self._world.db.write(self._claim)
        await asyncio.gather(*(self._tell(client, hook, operation) for hook, operation in claimed))
        return len(claimed)

    def _claim(self, tx: Tx) -> list[tuple[Row, Row]]:
        """Nobody else takes them until their attempt is surely over."""
        found = _due(tx)
        later = tables.now() + timedelta(seconds=2 * _TIMEOUT)
        for hook, _ in found:
            rows.update(tx, "WebHookVO", hook["id"], attempts=hook["attempts"] + 1, due=later)
        return found

    async def _tell(self, client: httpx.AsyncClient, hook: Row, operation: Row) -> None:
        problem = await _post(client, hook, operation)
        last = hook["attempts"] + 1 >= web_hook.ATTEMPTS
        if problem:
            log.warning("job %s: the web hook failed (%s)%s", operation["uuid"], problem, "; given up" if last else "")
        due = tables.now() + timedelta(seconds=self._pause)

        def note(tx: Tx) -> None:
            if problem and not last:
                rows.update(tx, "WebHookVO", hook["id"], due=due)
            else:
                rows.delete(tx, "WebHookVO", hook["id"])

        await self._world.db.write(note)


def _due(tx: Tx) -> list[tuple[Row, Row]]:
    """Hooks whose time has come, with their ended operations. One whose operation is forgotten is none any more."""
    hooks = rows.find(tx, "WebHookVO", order_by=("due",))
    ready = [hook for hook in hooks if hook["due"] <= tables.now()]
    uuids = [hook["operation_uuid"] for hook in ready]
    ended = {row["uuid"]: row for row in rows.find(tx, "OperationVO", uuid=uuids, state=_ENDED)} if uuids else {}
    return [(hook, ended[hook["operation_uuid"]]) for hook in ready if hook["operation_uuid"] in ended][:_AT_ONCE]


async def _post(client: httpx.AsyncClient, hook: Row, operation: Row) -> str:
    """What went wrong; empty when the receiver answered with a 2xx."""
    good = operation["state"] == "done"
    body = operation["result"] if good else json.dumps({"error": json.loads(operation["error"] or "{}")})
    headers = {
        "Content-Type": "application/json; charset=UTF-8",
        "X-Job-UUID": operation["uuid"],
        "X-Job-Success": str(good).lower(),
    }
    try:
        async with asyncio.timeout(_TIMEOUT):
            request = await _aimed(client, hook, (body or "{}").encode(), headers)
            response = await client.send(request, stream=True)
            await response.aclose()
    except (httpx.HTTPError, OSError, TimeoutError, UnicodeError, ValueError) as error:
        return type(error).__name__
    return "" if response.is_success else f"HTTP {response.status_code}"


async def _aimed(client: httpx.AsyncClient, hook: Row, body: bytes, headers: dict[str, str]) -> httpx.Request:
    """The request with the name replaced by its address; the name stays in Host and in the TLS handshake."""
    host, port = web_hook.parse(hook["url"])
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]) for info in found]
    if not addresses or not all(web_hook.allows(address, hook["inward"]) for address in addresses):
        raise OSError(f"{host} has an address to which no result is posted")
    parts = urlsplit(hook["url"])
    authority = f"[{addresses[0]}]:{port}" if ":" in addresses[0] else f"{addresses[0]}:{port}"
    name = parts.netloc.rpartition("@")[2]
    request = client.build_request(
        "POST",
        parts._replace(netloc=authority, fragment="").geturl(),
        content=body,
        headers=headers | {"Host": name},
        extensions={"sni_hostname": host, "timeout": httpx.Timeout(_TIMEOUT).as_dict()},
    )
    return request
