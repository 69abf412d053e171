"""The OpenAPI 3.1 document of the registry: operationId = API name.

OpenAPI knows one operation for each path and verb, while the actions of a resource share theirs; they are told apart by
a fragment (`/zones/{uuid}/actions#updateZone`), which a client does not send.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic.json_schema import models_json_schema

from controlplane.contract.base import Api, Query, Wire
from controlplane.contract.error import ErrorCode
from controlplane.contract.parse import wire_name
from controlplane.contract.registry import apis

_REF = "#/components/schemas/{model}"
Schema = dict[str, Any]


@cache
def document() -> Schema:
    results = {api.result for api in apis.values() if api.result}
    models: list[Any] = [*apis.values(), *results, ErrorCode]
    _, defined = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    schemas = defined["$defs"]
    paths: dict[str, Schema] = {}
    for api in apis.values():
        for path in (api.route.path, *api.route.also):
            shown = f"{path}#{api.route.action}" if api.route.action else path
            paths.setdefault(shown, {})[api.route.method.lower()] = _operation(api, path, schemas[api.__name__])
    paths["/api-jobs/{jobUuid}"] = _JOBS
    return {
        "openapi": "3.1.0",
        "info": {"title": "Steppe", "version": _version()},
        "servers": [{"url": "/v1"}, {"url": "/zstack/v1"}],
        "security": [{"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "OAuth <session uuid>",
                }
            },
        },
    }


def _version() -> str:
    try:
        return version("steppe")
    except PackageNotFoundError:
        return "0"


def _operation(api: type[Api], path: str, schema: Schema) -> Schema:
    properties: Schema = schema.get("properties", {})
    for secret in api.secrets:
        properties[wire_name(secret)] |= {"writeOnly": True, "format": "password"}
    in_path = [name for name in api.route.path_parameters if f"{{{name}}}" in path]
    parameters = [_parameter(name, "path", properties.get(name, {"type": "string"}), True) for name in in_path]
    operation: Schema = {"operationId": api.api_name(), "tags": [api.package.rsplit(".", 1)[-1]]}
    if api.__doc__ and "__doc__" in vars(api):
        operation["description"] = api.__doc__
    if api.public:
        operation["security"] = []
    if issubclass(api, Query):
        parameters += [_parameter(*each) for each in _QUERY_PARAMETERS]
    elif api.route.method in ("GET", "DELETE"):
        required = schema.get("required", ())
        parameters += [
            _parameter(name, "query", part, name in required)
            for name, part in properties.items()
            if name not in in_path
        ]
    elif not api.route.no_body:
        envelope = api.route.action or "params"
        body = {"type": "object", "properties": {envelope: {"$ref": _REF.format(model=api.__name__)}}}
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    if _is_job(api):
        parameters.append(_parameter("Prefer", "header", {"type": "string", "example": "wait=60"}))
    if parameters:
        operation["parameters"] = parameters
    operation["responses"] = _responses(api)
    return operation


def _parameter(name: str, place: str, schema: Schema, required: bool = False) -> Schema:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _responses(api: type[Api]) -> Schema:
    refused = _json("refused", {"type": "object", "properties": {"error": {"$ref": _REF.format(model="ErrorCode")}}})
    responses = {"200": _json("done", _result(api.result, api.result_key)), "503": refused}
    if _is_job(api):
        accepted = _json("accepted as a job", {"type": "object", "properties": {"location": {"type": "string"}}})
        responses = {"202": accepted} | responses
    return responses


def _is_job(api: type[Api]) -> bool:
    return api.kind == "change" and not api.at_once


def _result(result: type[Wire] | None, key: str | None) -> Schema:
    if result is None:
        return {"type": "object"}
    ref = {"$ref": _REF.format(model=result.__name__)}
    if key is None:
        return ref
    return {"type": "object", "properties": {key: {"type": "array", "items": ref} if key == "inventories" else ref}}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_STRING = {"type": "string"}
_INTEGER = {"type": "integer", "minimum": 0}
_BOOLEAN = {"type": "boolean", "default": False}
_QUERY_PARAMETERS: tuple[tuple[str, str, Schema], ...] = (
    ("q", "query", {"type": "array", "items": _STRING, "description": "<field><operator><value>, all must hold"}),
    ("limit", "query", _INTEGER | {"default": 1000}),
    ("start", "query", _INTEGER | {"default": 0}),
    ("count", "query", _BOOLEAN),
    ("replyWithCount", "query", _BOOLEAN),
    ("sort", "query", _STRING | {"description": "+field or -field"}),
    ("fields", "query", _STRING | {"description": "comma separated"}),
)
_JOB = _parameter("jobUuid", "path", _STRING, True)
_JOBS = {
    "get": {
        "operationId": "GetApiJob",
        "parameters": [_JOB, _parameter("wait", "query", {"type": "number", "minimum": 0, "maximum": 60})],
        "responses": {
            "200": _json("the result of the API", {"type": "object"}),
            "202": _json("still running", {"type": "object"}),
            "404": {"description": "unknown job"},
            "503": _json(
                "failed", {"type": "object", "properties": {"error": {"$ref": _REF.format(model="ErrorCode")}}}
            ),
        },
    },
    "delete": {
        "operationId": "CancelApiJob",
        "parameters": [_JOB],
        "responses": {"202": _json("it is being undone", {"type": "object"}), "404": {"description": "unknown job"}},
    },
}
