"""Log-in, sessions, passwords."""

from datetime import UTC, datetime, timedelta

from controlplane.contract.account import ADMIN_UUID
from controlplane.services import account
from controlplane.services.account import sha512
from controlplane.store import rows


async def test_a_wrong_password_and_an_unknown_account_look_the_same(api):
    answers = []
    for name in ("admin", "nobody"):
        body = {"logInByAccount": {"accountName": name, "password": sha512("wrong")}}
        answer = await api.http.put("/v1/accounts/login", json=body)
        assert answer.status_code == 503
        answers.append(answer.json())
    assert answers[0] == answers[1]
    assert answers[0]["error"]["code"] == "ID.1000"


async def test_a_session_has_the_words_of_the_reference(api):
    session = (await api.log_in()).json()["inventory"]
    assert set(session) == {"uuid", "accountUuid", "userUuid", "createDate", "expiredDate"}
    assert session["accountUuid"] == ADMIN_UUID


async def test_nothing_stored_opens_a_door(api):
    token = (await api.log_in()).json()["inventory"]["uuid"]
    stored = await api.world.db.read(lambda tx: [rows.find(tx, "SessionVO"), rows.find(tx, "AccountVO")])
    assert token not in str(stored)
    assert sha512("correct horse") not in str(stored)


async def test_log_out_ends_the_session_and_may_be_repeated(api):
    token = (await api.log_in()).json()["inventory"]["uuid"]
    valid = f"/v1/accounts/sessions/{token}/valid"
    assert (await api.http.get(valid)).json() == {"valid": True, "validSession": True}
    for _ in range(2):
        assert (await api.http.delete(f"/v1/accounts/sessions/{token}")).json() == {}
    assert (await api.http.get(valid)).json() == {"valid": False, "validSession": False}
    answer = await api.http.get("/v1/zones", headers={"Authorization": f"OAuth {token}"})
    assert answer.json()["error"]["code"] == "ID.1001"


async def test_a_session_expires(api):
    past = datetime.now(UTC) - timedelta(seconds=1)
    await api.world.db.write(
        lambda tx: rows.update_where(tx, "SessionVO", {"account_uuid": ADMIN_UUID}, expired_date=past)
    )
    assert (await api.http.get("/v1/zones")).json()["error"]["code"] == "ID.1001"
    await api.log_in()
    assert await api.world.db.read(lambda tx: rows.count(tx, "SessionVO")) == 1


async def configure(api, name, value):
    body = {"updateGlobalConfig": {"value": value}}
    status, answer = await api.run("PUT", f"/v1/global-configurations/identity/{name}/actions", body)
    assert (status, answer["inventory"]["value"]) == (200, value)


async def test_an_account_has_so_many_sessions_and_no_more(api):
    await configure(api, "session.maxConcurrent", "2")
    assert (await api.log_in()).status_code == 200
    assert (await api.log_in()).json()["error"]["code"] == "ID.1003"


async def test_a_session_lasts_as_long_as_is_configured(api):
    await configure(api, "session.timeout", "60")
    token = (await api.log_in()).json()["inventory"]["uuid"]
    session = await api.world.db.read(lambda tx: rows.find(tx, "SessionVO", order_by=("create_date",))[-1])
    assert session["expired_date"] - session["create_date"] < timedelta(seconds=61)
    assert token


async def test_guessing_is_slowed_down(api, monkeypatch):
    monkeypatch.setattr(account, "_throttle", account.Throttle())
    for _ in range(6):
        await api.log_in("wrong")
    error = (await api.log_in()).json()["error"]
    assert error["code"] == "ID.1000"
    assert "try again in" in error["details"]


async def test_a_changed_password_ends_all_sessions(api):
    body = {"updateAccount": {"password": sha512("new one")}}
    answer = await api.http.put(f"/v1/accounts/{ADMIN_UUID}", json=body)
    assert answer.json()["inventory"]["name"] == "admin"
    assert (await api.http.get("/v1/zones")).json()["error"]["code"] == "ID.1001"
    assert (await api.log_in()).status_code == 503
    assert (await api.log_in("new one")).status_code == 200


async def test_accounts_show_no_password(api):
    (admin,) = (await api.http.get("/v1/accounts")).json()["inventories"]
    assert set(admin) == {"uuid", "name", "type", "createDate", "lastOpDate"}


async def test_the_admin_is_made_once(api):
    assert await api.world.db.write(lambda tx: account.ensure_admin(tx, "another")) is False
    assert (await api.log_in()).status_code == 200
