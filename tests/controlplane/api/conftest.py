"""A control plane without hosts: the real database (SQLite file), engine and application, called through HTTP."""

from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest

from controlplane.api.app import create_app
from controlplane.main import import_all
from controlplane.operations.engine import Engine
from controlplane.services.account import ensure_admin, sha512
from controlplane.store import schema
from controlplane.store.database import Database
from controlplane.store.journal import StoreJournal
from controlplane.workflows.registration import engine_registry
from controlplane.workflows.world import Settings, World

PASSWORD = "correct horse"


class Api:
    """An HTTP client that knows the shapes of the wire."""

    def __init__(self, http, world, engine):
        self.http, self.world, self.engine = http, world, engine

    async def log_in(self, password=PASSWORD):
        body = {"logInByAccount": {"accountName": "admin", "password": sha512(password)}}
        return await self.http.put("/v1/accounts/login", json=body)

    async def run(self, method, path, body=None, **headers):
        """Status and body at the end of the job (or of the call)."""
        answer = await self.http.request(method, path, json=body, headers=headers)
        if answer.status_code == 202:
            answer = await self.http.get(answer.json()["location"], params={"wait": 10})
        return answer.status_code, answer.json()

    async def create(self, path, **params):
        status, body = await self.run("POST", f"/v1{path}", {"params": params})
        assert status == 200, body
        return body["inventory"]

    async def refusal(self, method, path, body=None, code="SYS.1007", **headers):
        status, answer = await self.run(method, path, body, **headers)
        assert (status, answer.get("error", {}).get("code")) == (503, code), answer
        return answer["error"]


@asynccontextmanager
async def control_plane(tmp_path):
    import_all()
    db = Database(f"sqlite:///{tmp_path}/steppe.db")
    schema.upgrade(db)
    world = World(db, None, None, Settings(tmp_path, "http://steppe.test"))
    engine = Engine(StoreJournal(db), engine_registry(), world, uuid4().hex)
    await engine.start()
    await db.write(lambda tx: ensure_admin(tx, PASSWORD))
    try:
        yield create_app(world, engine), world, engine
    finally:
        await engine.stop()
        db.close()


@pytest.fixture
async def api(tmp_path):
    async with control_plane(tmp_path) as (app, world, engine):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://steppe.test:8080") as http:
            api = Api(http, world, engine)
            session = (await api.log_in()).json()["inventory"]["uuid"]
            http.headers["Authorization"] = f"OAuth {session}"
            yield api
