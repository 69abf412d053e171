"""Who did what, on what, when, from where, with what outcome: every changing call, refused ones included."""

import json
from datetime import timedelta

import pytest

from controlplane.reconcilers.audit import AuditPruner
from controlplane.services.account import sha512
from controlplane.store import rows, tables


@pytest.fixture
def records(api):
    async def read(query="", headers=None):
        answer = await api.http.get(f"/v1/audits?sort=-id{query}", headers=headers)
        return answer.json()["inventories"]

    return read


async def test_a_job_is_recorded_from_its_beginning_to_its_end(api, records):
    zone = await api.create("/zones", name="z")
    (record,) = await records("&q=apiName=CreateZone")
    assert record["outcome"] == "Success"
    assert (record["accountName"], record["clientIp"]) == ("admin", "127.0.0.1")
    assert (record["resourceType"], record["resourceUuid"]) == ("ZoneVO", zone["uuid"])
    assert json.loads(record["request"])["name"] == "z"
    assert {"createDate", "endDate", "jobUuid"} <= set(record)
    assert await records(f"&q=resourceUuid={zone['uuid']}&q=outcome=Success&q=clientIp=127.0.0.1") == [record]


async def test_a_refused_call_is_recorded_with_its_error(api, records):
    await api.refusal("PUT", f"/v1/zones/{'0' * 32}/actions", {"updateZone": {"name": "x"}}, code="SYS.1003")
    (record,) = await records("&q=outcome=Refused")
    assert (record["apiName"], record["errorCode"], record["resourceUuid"]) == ("UpdateZone", "SYS.1003", "0" * 32)
    await api.refusal("POST", "/v1/zones", {"params": {"nmae": "secret"}})
    record = (await records("&q=outcome=Refused"))[0]
    assert (record["apiName"], record["errorCode"]) == ("CreateZone", "SYS.1007")
    assert json.loads(record["request"]) == {"nmae": "…"}


async def test_a_job_that_fails_or_is_cancelled_is_recorded_so(api, records):
    zone = await api.create("/zones", name="z")
    await api.create("/clusters", name="c", zoneUuid=zone["uuid"], hypervisorType="KVM")
    await api.refusal("DELETE", f"/v1/zones/{zone['uuid']}", code="SYS.1006")
    (record,) = await records("&q=apiName=DeleteZone")
    assert (record["outcome"], record["errorCode"], record["resourceUuid"]) == ("Failure", "SYS.1006", zone["uuid"])

    async def wait_for_ever(op, _arguments):
        await op.step("wait", lambda: __import__("asyncio").sleep(60))

    api.engine._registry.add("Slow", wait_for_ever)
    job = await api.engine.submit("Slow", {}, queue=f"ZoneVO:{zone['uuid']}")
    answer = await api.http.put(f"/v1/zones/{zone['uuid']}/actions", json={"updateZone": {"name": "x"}})
    waiting = answer.json()["location"]
    (record,) = await records("&q=apiName=UpdateZone")
    assert record["outcome"] == "Processing"
    await api.http.delete(waiting)
    await api.http.get(waiting, params={"wait": 5})
    (record,) = await records("&q=apiName=UpdateZone")
    assert record["outcome"] == "Cancelled"
    (record,) = await records("&q=apiName=CancelApiJob")
    assert record["resourceUuid"] == waiting.rpartition("/")[2]
    await api.engine.cancel(job)


async def test_secrets_are_not_kept_and_user_data_only_as_size_and_hash(api, records):
    zone = await api.create("/zones", name="z")
    await api.create("/accounts", name="a", password=sha512("p"))
    params = {
        "name": "h",
        "managementIp": "10.0.0.1",
        "clusterUuid": zone["uuid"],
        "username": "u",
        "password": "hunter2",
    }
    await api.run("POST", "/v1/hosts/kvm", {"params": params})
    tag = {"resourceType": "VmInstanceVO", "resourceUuid": "0" * 32, "tag": "userdata::#cloud-config password: hunter2"}
    await api.run("POST", "/v1/system-tags", {"params": tag})
    vm = {
        "params": {"name": "v", "instanceOfferingUuid": "0" * 32, "imageUuid": "0" * 32, "l3NetworkUuids": ["0" * 32]}
    }
    vm["systemTags"] = ["userdata::hunter2", "sshkey::" + "k" * 5000]
    await api.run("POST", "/v1/vm-instances", vm)
    everything = await api.world.db.read(lambda tx: str(rows.find(tx, "AuditVO")))
    assert "hunter2" not in everything and sha512("p") not in everything and "kkkk" not in everything
    (record,) = await records("&q=apiName=CreateSystemTag")
    assert json.loads(record["request"])["tag"].startswith("userdata::<31 bytes, sha256 ")


async def test_log_ins_are_recorded(api, records):
    await api.log_in("wrong")
    failed, good = await records("&q=apiName=LogInByAccount")
    assert (failed["outcome"], failed["errorCode"], failed["accountName"]) == ("Refused", "ID.1000", "admin")
    assert good["outcome"] == "Success"


async def test_a_call_without_a_session_leaves_no_record(api, records):
    before = await records()
    await api.http.post("/v1/zones", json={"params": {"name": "z"}}, headers={"Authorization": "OAuth " + "0" * 32})
    assert await records() == before


async def test_an_account_sees_its_own_records(api, records):
    await api.create("/accounts", name="tenant", password=sha512("s"))
    body = {"logInByAccount": {"accountName": "tenant", "password": sha512("s")}}
    session = (await api.http.put("/v1/accounts/login", json=body)).json()["inventory"]["uuid"]
    tenant = {"Authorization": f"OAuth {session}"}
    await api.refusal("POST", "/v1/zones", {"params": {"name": "z"}}, code="ID.1002", **tenant)
    seen = await records(headers=tenant)
    assert [record["apiName"] for record in seen] == ["CreateZone", "LogInByAccount"]
    assert {record["accountName"] for record in seen} == {"tenant"}


async def test_a_call_costs_no_transaction_of_its_own_for_its_record(api, monkeypatch):
    counted = []
    write = api.world.db.write
    monkeypatch.setattr(api.world.db, "write", lambda fn: counted.append(fn) or write(fn))
    await api.create("/zones", name="z")
    with_record = len([fn for fn in counted if "renew" not in fn.__qualname__])
    assert with_record == 3  # it is taken, it is done, it has ended


async def test_the_record_is_bounded_by_age_and_number(api, records):
    for number in range(6):
        await api.create("/zones", name=f"z{number}")
    old = tables.now() - timedelta(days=91)
    oldest = (await records())[-1]["id"]
    await api.world.db.write(
        lambda tx: tx.exec_driver_sql(
            f"UPDATE \"AuditVO\" SET create_date = '{old:%Y-%m-%d %H:%M:%S.%f}' WHERE id = {oldest}"
        )
    )
    pruner = AuditPruner(api.world)
    assert await pruner.once() == 1
    values = {"category": "audit", "name": "retention.records", "value": "2", "default_value": "1000000"}
    await api.world.db.write(lambda tx: rows.insert(tx, "GlobalConfigVO", **values))
    while await pruner.once():
        pass
    assert [json.loads(record["request"])["name"] for record in await records()] == ["z5", "z4"]
