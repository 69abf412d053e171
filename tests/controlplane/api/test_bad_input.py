"""Whatever is sent to whichever API: a clear refusal, never an internal error, and nothing stored."""

import json

import pytest

from controlplane.contract.base import Query
from controlplane.contract.parse import wire_names
from controlplane.contract.registry import apis

WRONG = [
    None,
    True,
    -1,
    2**70,
    1.5,
    "",
    "x",
    "x" * 70_000,
    "\0",
    "\ud800",
    [],
    ["x", None, 3],
    [[]],
    {},
    {"a": {"b": []}},
]
NOWHERE = "0" * 32


def _request(api, params):
    path = api.route.path
    for name in api.route.path_parameters:
        path = path.replace(f"{{{name}}}", NOWHERE)
    return path, {api.route.action or "params": params}


@pytest.mark.parametrize("name", [name for name, api in apis.items() if api.route.method in ("POST", "PUT")])
async def test_a_wrong_value_in_any_parameter_is_refused(api, name):
    cls = apis[name]
    for field in wire_names(cls):
        for value in WRONG:
            path, body = _request(cls, {field: value})
            answer = await api.http.request(cls.route.method, f"/v1{path}", content=json.dumps(body))
            error = answer.json().get("error", {})
            known_refusal = answer.status_code in (400, 503) and error["code"] not in ("SYS.1000", "SYS.1013")
            # What needs no parameter, or is absent already, may succeed: then nothing was wrong with the request.
            assert known_refusal or (answer.status_code in (200, 202) and cls.kind != "query"), (
                field,
                value,
                answer.text,
            )
            assert len(answer.text) < 5000


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "a\\udfff"])
@pytest.mark.parametrize("body", ['{"params": {"name": "%s"}}', '{"params": {"%s": 1}}', '{"%s": 1}'])
async def test_what_is_no_text_is_refused(api, body, text):
    answer = await api.http.post("/v1/zones", content=body % text)
    assert (answer.status_code, answer.json()["error"]["code"]) in ((400, "SYS.1007"), (503, "SYS.1007"))


@pytest.mark.parametrize("name", [name for name, api in apis.items() if issubclass(api, Query)])
async def test_wrong_conditions_are_refused(api, name):
    path = f"/v1{apis[name].route.path}"
    for query in (
        "q=",
        "q=nothing=1",
        "q=uuid>",
        "q==x",
        "q=a.b.c=1",
        "sort=x",
        "fields=x",
        "limit=-1",
        "start=x",
        "x=1",
    ):
        answer = await api.http.get(f"{path}?{query}")
        assert answer.status_code == 200 or answer.json()["error"]["code"] == "SYS.1007", (query, answer.text)
    for query in (
        "q=uuid=%00",
        f"q=uuid?={'x,' * 3000}",
        "q=uuid~=%25%25%25",
        f"start={2**62}",
        "count=yes",
        "limit=0",
    ):
        answer = await api.http.get(f"{path}?{query}")
        assert answer.status_code == 200 or answer.json()["error"]["code"] == "SYS.1007", (
            query[:40],
            answer.text[:500],
        )
