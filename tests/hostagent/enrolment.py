"""The enrolment end of a control plane, reduced to its answer, with the control plane's own authorities behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from controlplane.agents.authority import Authority
from tools.free_port import free_port

AGENT = "c" * 32


@asynccontextmanager
async def serving(server: uvicorn.Server) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), task
        await asyncio.sleep(0.01)
    yield
    stop.set()
    server.should_exit = True
    await task


@asynccontextmanager
async def enrolment_server(authority: Authority) -> AsyncIterator[str]:
    """Takes tokens that begin with "right"; its address."""

    async def sign(request: Request) -> JSONResponse:
        body = await request.json()
        if not body["token"].startswith("right"):
            return JSONResponse({"error": "token"}, status_code=401)
        certificate = authority.sign_agent(body["csr"], body["management_ip"], AGENT)
        return JSONResponse(
            {
                "host_agent_uuid": AGENT,
                "certificate": certificate,
                "agent_ca": authority.agent_ca,
                "control_ca": authority.control_ca,
            }
        )

    certificate, key = authority.server_files
    port = free_port()
    app = Starlette(routes=[Route("/v1/agent-enrollments", sign, methods=["POST"])])
    async with serving(
        uvicorn.Server(
            uvicorn.Config(
                app, host="127.0.0.1", port=port, log_config=None, ssl_certfile=certificate, ssl_keyfile=str(key)
            )
        )
    ):
        yield f"https://127.0.0.1:{port}"
