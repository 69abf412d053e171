"""The shapes of the wire: bodies, headers, status codes, jobs."""

import asyncio
import json
from uuid import uuid4

import pytest

ZONE = {"params": {"name": "z"}}


async def test_both_prefixes_serve_the_same(api):
    for prefix in ("/v1", "/zstack/v1"):
        answer = await api.http.post(f"{prefix}/zones", json=ZONE)
        assert answer.status_code == 202
        location = answer.json()["location"]
        assert location.startswith(f"http://steppe.test:8080{prefix}/api-jobs/")
        assert (await api.http.get(location, params={"wait": 5})).json()["inventory"]["name"] == "z"


async def test_the_location_echoes_the_callers_name_of_the_host(api):
    answer = await api.http.post("/v1/zones", json=ZONE, headers={"Host": "cloud.example:9"})
    assert answer.json()["location"].startswith("http://cloud.example:9/v1/api-jobs/")


@pytest.mark.parametrize(
    "body", ["{", "[]", '"x"', "\xff", '{"params": 3}', "[" * 100_000, '{"a": ' * 500 + "1" + "}" * 500]
)
async def test_a_body_that_is_no_json_object_is_a_bad_request(api, body):
    answer = await api.http.post("/v1/zones", content=body.encode("latin-1"))
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]


async def test_a_body_without_envelope_says_what_is_expected(api):
    answer = await api.http.post("/v1/zones", json={"name": "z"})
    assert answer.status_code == 400
    assert '{"params": {…}}' in answer.json()["error"]["details"]


async def test_an_unknown_action_gets_the_known_ones(api):
    answer = await api.http.put(f"/v1/zones/{'0' * 32}/actions", json={"changeZonState": {}})
    assert answer.status_code == 400
    assert 'did you mean "changeZoneState"?' in answer.json()["error"]["details"]
    assert "updateZone" in answer.json()["error"]["details"]


async def test_a_body_over_the_limit_is_refused(api):
    answer = await api.http.post("/v1/zones", content=b" " * (4 * 1024**2 + 1))
    assert answer.status_code == 413
    assert "4 MiB" in answer.json()["error"]["details"]


async def test_an_unknown_path_is_404_and_a_wrong_verb_405_in_plain_text(api):
    for method, path, status in (("GET", "/v1/zone", 404), ("GET", "/", 404), ("PATCH", "/v1/zones", 405)):
        answer = await api.http.request(method, path)
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, "text/plain")


async def test_all_problems_of_a_request_are_told_at_once_and_nothing_is_stored(api):
    error = await api.refusal("POST", "/v1/instance-offerings", {"params": {"nam": "x", "cpuNum": "many"}})
    for part in ("field[name] of CreateInstanceOffering is mandatory", "field[nam]", "'many' is not allowed"):
        assert part in error["details"]
    assert (await api.http.get("/v1/instance-offerings")).json() == {"inventories": []}


# -- sessions in headers -----------------------------------------------------------------------------------------


async def test_without_a_session_nothing_is_done(api):
    del api.http.headers["Authorization"]
    for method, path in (("POST", "/v1/zones"), ("GET", "/v1/zones"), ("GET", f"/v1/api-jobs/{'0' * 32}")):
        answer = await api.http.request(method, path, json=ZONE if method == "POST" else None)
        assert answer.json()["error"]["code"] == "ID.1001"


async def test_another_scheme_is_a_bad_request(api):
    answer = await api.http.get("/v1/zones", headers={"Authorization": "Basic YTpi"})
    assert answer.status_code == 400


# -- jobs --------------------------------------------------------------------------------------------------------


async def test_the_caller_may_choose_the_job_and_repeat_it(api):
    job = uuid4().hex
    for _ in range(2):
        status, body = await api.run("POST", "/v1/zones", ZONE, **{"X-Job-UUID": job})
        assert status == 200
    assert (await api.http.get("/v1/zones")).json()["inventories"] == [body["inventory"]]
    answer = await api.http.post("/v1/zones", json={"params": {"name": "other"}}, headers={"X-Job-UUID": job})
    assert answer.status_code == 400
    assert job in answer.json()["error"]["details"]


@pytest.mark.parametrize("job", ["x", "A" * 32, "0" * 31])
async def test_a_malformed_job_uuid_is_a_bad_request(api, job):
    answer = await api.http.post("/v1/zones", json=ZONE, headers={"X-Job-UUID": job})
    assert answer.status_code == 400
    assert "X-Job-UUID" in answer.json()["error"]["details"]


async def test_an_unknown_job_is_404(api):
    for method in ("GET", "DELETE"):
        assert (await api.http.request(method, f"/v1/api-jobs/{'0' * 32}")).status_code == 404


async def test_a_wait_that_is_no_number_is_a_bad_request(api):
    for wait in ("x", "-1", "nan"):
        assert (await api.http.get(f"/v1/api-jobs/{'0' * 32}", params={"wait": wait})).status_code == 400


async def test_cancelling_a_finished_job_leaves_it(api):
    location = (await api.http.post("/v1/zones", json=ZONE)).json()["location"]
    assert (await api.http.get(location, params={"wait": 5})).status_code == 200
    assert (await api.http.delete(location)).status_code == 202
    assert (await api.http.get(location)).status_code == 200


async def test_concurrent_creations_with_one_uuid_make_one(api):
    body = {"params": {"name": "z", "resourceUuid": uuid4().hex}}
    ends = await asyncio.gather(*(api.run("POST", "/v1/zones", body) for _ in range(5)))
    assert sorted(status for status, _ in ends) == [200, 503, 503, 503, 503]
    assert len((await api.http.get("/v1/zones")).json()["inventories"]) == 1


# -- queries -----------------------------------------------------------------------------------------------------


async def test_queries_by_query_string(api):
    for name in ("a", "b", "c"):
        await api.create("/zones", name=name)

    async def names(query):
        return [zone["name"] for zone in (await api.http.get(f"/v1/zones?{query}")).json()["inventories"]]

    assert await names("sort=-name") == ["c", "b", "a"]
    assert await names("sort=+name&limit=1&start=1") == ["b"]
    assert await names("q=name?=a,c&sort=name") == ["a", "c"]
    assert await names("q=name>=b&q=name!=c") == ["b"]
    body = (await api.http.get("/v1/zones?replyWithCount=true&limit=1&fields=name&sort=name")).json()
    assert body == {"inventories": [{"name": "a"}], "total": 3}
    assert (await api.http.get("/v1/zones?count=true")).json()["total"] == 3


@pytest.mark.parametrize("query", ["q=name", "q=colour=red", "limit=x", "sort=colour", "fields=colour", "colour=red"])
async def test_a_wrong_query_is_an_invalid_argument(api, query):
    answer = await api.http.get(f"/v1/zones?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SYS.1007")


# -- the rest ----------------------------------------------------------------------------------------------------


async def test_the_messages_of_version_1(api):
    session = api.http.headers["Authorization"].split()[1]

    async def send(api_name, **members):
        message = {
            f"org.zstack.header.zone.API{api_name}Msg": members | {"session": {"uuid": session}, "timeout": None}
        }
        return (await api.http.post("/zstack/api", json=message)).json()

    job = await send("CreateZone", name="z")
    assert job["state"] == "Processing"
    while (job := (await api.http.get(f"/zstack/api/result/{job['uuid']}")).json())["state"] == "Processing":
        await asyncio.sleep(0.02)
    zone = json.loads(job["result"])["org.zstack.header.zone.APICreateZoneEvent"]
    assert zone["success"] is True
    assert zone["inventory"]["name"] == "z"

    reply = await send("QueryZone", conditions=[{"name": "name", "op": "=", "value": "z"}])
    assert reply["state"] == "Done"
    found = json.loads(reply["result"])["org.zstack.header.zone.APIQueryZoneReply"]
    assert found == {"inventories": [zone["inventory"]], "success": True}

    refused = json.loads((await send("CreateZone"))["result"])["org.zstack.header.zone.APICreateZoneEvent"]
    assert (refused["success"], refused["error"]["code"]) == (False, "SYS.1007")


async def test_a_message_that_is_none(api):
    for body in ("{", "{}", '{"org.zstack.header.zone.APINoSuchMsg": {}}'):
        answer = await api.http.post("/zstack/api", content=body)
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (500, "text/plain")
    assert (await api.http.get(f"/zstack/api/result/{'0' * 32}")).status_code == 404


async def test_health(api):
    del api.http.headers["Authorization"]
    assert (await api.http.get("/healthz")).json() == {"status": "ok"}


async def test_the_openapi_document_names_every_api_once(api):
    from controlplane.contract.registry import apis

    document = (await api.http.get("/v1/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert {operation["operationId"] for operation in operations} == {*apis, "GetApiJob", "CancelApiJob"}
    refs = set(_refs(document))
    assert refs
    assert {ref.removeprefix("#/components/schemas/") for ref in refs} <= set(document["components"]["schemas"])


def _refs(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value] if key == "$ref" else _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)
