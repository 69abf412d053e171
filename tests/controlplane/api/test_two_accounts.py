"""Somebody else's session: foreign tags, foreign jobs, administrators' APIs; and sessions that have ended."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from controlplane.services.account import sha512
from controlplane.store import rows

ZONE = {"params": {"name": "z"}}


@pytest.fixture
async def tenant(api):
    """Headers of a session of another account."""
    await api.create("/accounts", name="tenant", password=sha512("secret"))
    body = {"logInByAccount": {"accountName": "tenant", "password": sha512("secret")}}
    session = (await api.http.put("/v1/accounts/login", json=body)).json()["inventory"]
    return {"Authorization": f"OAuth {session['uuid']}"}


async def test_an_account_is_made_at_once_and_shows_no_password(api):
    answer = await api.http.post("/v1/accounts", json={"params": {"name": "a", "password": sha512("x")}})
    assert answer.status_code == 200
    assert set(answer.json()["inventory"]) == {"uuid", "name", "type", "createDate", "lastOpDate"}
    error = await api.refusal("POST", "/v1/accounts", {"params": {"name": "a", "password": sha512("x")}})
    assert error["field"] == "name"


async def test_foreign_tags_are_not_read(api, tenant):
    zone = await api.create("/zones", name="z")
    for kind in ("user-tags",):
        await api.create(f"/{kind}", resourceType="ZoneVO", resourceUuid=zone["uuid"], tag="secret")
        (tag,) = (await api.http.get(f"/v1/{kind}")).json()["inventories"]
        for path in (
            f"/v1/{kind}",
            f"/v1/{kind}/{tag['uuid']}",
            f"/v1/{kind}?q=tag~=%25",
            f"/v1/{kind}?q=resourceUuid={zone['uuid']}",
        ):
            assert (await api.http.get(path, headers=tenant)).json() == {"inventories": []}, path
    found = await api.http.get("/v1/zones?q=__userTag__=secret", headers=tenant)
    assert found.json() == {"inventories": []}
    assert len((await api.http.get("/v1/zones?q=__userTag__=secret")).json()["inventories"]) == 1


async def test_a_foreign_job_is_404(api, tenant):
    location = (await api.http.post("/v1/zones", json=ZONE)).json()["location"]
    for method in ("GET", "DELETE"):
        assert (await api.http.request(method, location, headers=tenant)).status_code == 404
        assert (await api.http.request(method, location + "?wait=1", headers=tenant)).status_code == 404
    assert (await api.http.get(location, params={"wait": 5})).status_code == 200


async def test_a_job_uuid_that_somebody_else_has_is_refused(api, tenant):
    job = {"X-Job-UUID": uuid4().hex}
    mine = {"params": {"resourceType": "ZoneVO", "resourceUuid": "0" * 32, "tag": "x"}}
    zone = await api.create("/zones", name="z")
    mine["params"]["resourceUuid"] = zone["uuid"]
    assert (await api.http.post("/v1/user-tags", json=mine, headers=job)).status_code == 202
    answer = await api.http.post("/v1/user-tags", json=mine, headers=tenant | job)
    assert answer.status_code == 400
    assert "exists already" in answer.json()["error"]["details"]


async def test_an_administrators_api_is_forbidden(api, tenant):
    await api.refusal("POST", "/v1/zones", ZONE, code="ID.1002", **tenant)
    await api.refusal("POST", "/v1/hosts/enrollment-tokens", {"params": {}}, code="ID.1002", **tenant)
    assert (await api.http.get("/v1/zones")).json() == {"inventories": []}


async def test_an_expired_session_does_nothing(api, tenant):
    past = datetime.now(UTC) - timedelta(seconds=1)
    await api.world.db.write(
        lambda tx: rows.update_where(
            tx, "SessionVO", {"uuid": [row["uuid"] for row in rows.find(tx, "SessionVO")]}, expired_date=past
        )
    )
    for headers in (tenant, {}):
        for method, path, body in (
            ("POST", "/v1/zones", ZONE),
            ("GET", "/v1/zones", None),
            ("GET", f"/v1/api-jobs/{'0' * 32}", None),
        ):
            answer = await api.http.request(method, path, json=body, headers=headers)
            assert answer.json()["error"]["code"] == "ID.1001"
    assert not await api.world.db.read(lambda tx: rows.find(tx, "ZoneVO"))


async def test_a_deleted_accounts_session_is_none(api, tenant):
    (account,) = (await api.http.get("/v1/accounts?q=name=tenant")).json()["inventories"]
    assert (await api.run("DELETE", f"/v1/accounts/{account['uuid']}"))[0] == 200
    assert (await api.http.get("/v1/zones", headers=tenant)).json()["error"]["code"] == "ID.1001"
