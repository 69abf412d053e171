"""Serves an agent over mutual TLS: who shows no certificate of the control CA is refused in the handshake.

Several agents may be served by one process (simulated hosts), so signals are left to the caller.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

GRACE = 2  # seconds for calls under way when the agent ends; idle TLS connections take all of it


class AgentServer(uvicorn.Server):
    """`await server.run_until(stop, release)`; raises OSError when the address cannot be had."""

    def __init__(self, app: Starlette, ip: str, port: int, *, key: Path, certificate: Path, control_ca: Path) -> None:
        config = uvicorn.Config(
            app,
            host=ip,
            port=port,
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            timeout_keep_alive=120,
            timeout_graceful_shutdown=GRACE,
            ssl_keyfile=str(key),
            ssl_certfile=str(certificate),
            ssl_ca_certs=str(control_ca),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
        )
        config.load()
        assert config.ssl is not None
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_until(self, stop: asyncio.Event, release: Callable[[], None]) -> None:
        """Serve until `stop` is set; `release` then lets go of readers who wait for events."""
        serving = asyncio.create_task(self.serve())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self.should_exit = True
        release()
        try:
            await serving
        except SystemExit as error:  # uvicorn's way to say that the address is taken
            raise OSError(f"cannot listen on {self.config.host}:{self.config.port}") from error
