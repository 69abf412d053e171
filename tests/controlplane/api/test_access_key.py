"""Calls that are signed with an access key."""

import base64
import hashlib
import hmac
import stat
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from controlplane.services import access_key
from controlplane.store import rows

NOW = timedelta()


@pytest.fixture
async def key(api):
    """A new key; `sign` makes the headers of a call, `call` makes the call without a session."""
    made = await api.create("/accesskeys", description="ci")

    def sign(method, path, off=NOW, secret=made["AccessKeySecret"], date=None):
        date = date or format_datetime(datetime.now(UTC) + off, usegmt=True)
        text = f"{method}\n{date}\n{path.removeprefix('/zstack')}"
        digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
        signature = base64.b64encode(digest).decode()
        return {"Date": date, "Authorization": f"ZStack {made['AccessKeyID']}:{signature}"}

    async def call(method, path, **how):
        return await api.http.request(method, path, headers=sign(method, path, **how))

    call.row, call.sign = made, sign
    return call


async def test_a_signed_call_is_the_accounts(api, key):
    assert (await key("GET", "/v1/zones")).json() == {"inventories": []}
    assert (await key("GET", "/zstack/v1/accounts")).json()["inventories"][0]["name"] == "admin"
    headers = key.sign("POST", "/v1/zones")
    answer = await api.http.post("/v1/zones", json={"params": {"name": "z"}}, headers=headers)
    job = answer.json()["location"].removeprefix("http://steppe.test:8080")
    assert (await key("GET", job)).status_code in (200, 202)
    assert (await key("DELETE", job)).status_code == 202


async def test_the_query_is_not_signed_but_the_path_and_the_verb_are(api, key):
    headers = key.sign("GET", "/v1/zones")
    assert (await api.http.get("/v1/zones?limit=1", headers=headers)).status_code == 200
    for method, path in (("GET", "/v1/clusters"), ("POST", "/v1/zones")):
        assert (await api.http.request(method, path, headers=headers)).json()["error"]["code"] == "ID.1000"


async def test_a_date_is_good_for_fifteen_minutes(key):
    for off in (timedelta(minutes=14), -timedelta(minutes=14)):
        assert (await key("GET", "/v1/zones", off=off)).status_code == 200
    for off in (timedelta(minutes=16), -timedelta(minutes=16)):
        error = (await key("GET", "/v1/zones", off=off)).json()["error"]
        assert (error["code"], "15 minutes" in error["details"]) == ("ID.1000", True)


@pytest.mark.parametrize("date", ["now", "Tue, 99 Nov 2026 20:00:00 GMT", "Tue, 24 Nov 2026 20:00:00 No/Where", "5"])
async def test_a_date_that_is_none(key, date):
    error = (await key("GET", "/v1/zones", date=date)).json()["error"]
    assert (error["code"], "header Date" in error["details"]) == ("ID.1000", True)


async def test_a_date_may_name_its_zone(key):
    date = datetime.now(access_key.ZoneInfo("Asia/Shanghai")).strftime("%a, %d %b %Y %H:%M:%S Asia/Shanghai")
    assert (await key("GET", "/v1/zones", date=date)).status_code == 200


async def test_a_wrong_secret_an_unknown_key_and_a_disabled_one_look_the_same(api, key):
    wrong = (await key("GET", "/v1/zones", secret="x" * 40)).json()
    headers = key.sign("GET", "/v1/zones")
    headers["Authorization"] = headers["Authorization"].replace(key.row["AccessKeyID"], "A" * 20)
    assert (await api.http.get("/v1/zones", headers=headers)).json() == wrong
    path = f"/v1/accesskeys/{key.row['uuid']}"
    for event, status in (("disable", 503), ("enable", 200)):
        await api.run("PUT", f"{path}/actions", {"changeAccessKeyState": {"stateEvent": event}})
        assert (await key("GET", "/v1/zones")).status_code == status
    await api.run("DELETE", path)
    assert (await key("GET", "/v1/zones")).json() == wrong
    assert wrong["error"]["code"] == "ID.1000"


async def test_the_secret_is_shown_once_and_kept_encrypted(api, key):
    (row,) = (await api.http.get("/v1/accesskeys")).json()["inventories"]
    assert row == {name: value for name, value in key.row.items() if name != "AccessKeySecret"}
    everything = await api.world.db.read(
        lambda tx: [rows.find(tx, table) for table in ("AccessKeyVO", "AuditVO", "OperationVO", "OperationStepVO")]
    )
    assert key.row["AccessKeySecret"] not in str(everything)
    file = api.world.settings.state_dir / "access-key.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"k" * 32)  # another node's
    assert (await key("GET", "/v1/zones")).json()["error"]["code"] == "ID.1000"


async def test_a_malformed_signature_opens_nothing(api, key):
    for value in ("x", ":", f"{key.row['AccessKeyID']}:", f"{key.row['AccessKeyID']}:!!"):
        answer = await api.http.get("/v1/zones", headers={"Authorization": f"ZStack {value}", "Date": "x"})
        assert answer.json()["error"]["code"] in ("ID.1000", "ID.1001"), value
    headers = {"Authorization": f"ZStack {key.row['AccessKeyID']}:x"}
    assert "needs the header Date" in (await api.http.get("/v1/zones", headers=headers)).text
