"""`POST /v1/agent-enrollments`: a host agent shows a one-time token and gets its certificate. No session, hence guarded.

A token is good once, for its time, and for its address if it was made for one; failures are slowed by caller. Enrolling
again from the same management address keeps the agent's uuid: a reinstalled host is the same host.
"""

import time
from typing import Annotated, Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError

from controlplane.api.request import read_json
from controlplane.api.status import BadRequest, error_response
from controlplane.contract.error import ApiError, invalid
from controlplane.operations.engine import Engine
from controlplane.services.host import check_address, token_hash
from controlplane.services.throttle import Throttle
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows.world import World


class Enrollment(BaseModel):
    token: Annotated[str, Field(min_length=1, max_length=256)]
    csr: Annotated[str, Field(min_length=1, max_length=16_384)]
    management_ip: Annotated[str, Field(min_length=1, max_length=255)]
    port: Annotated[int, Field(ge=1, le=65535)] = 7070


def router(world: World, _engine: Engine[World]) -> APIRouter:
    routes = APIRouter()
    throttle = Throttle()

    @routes.post("/v1/agent-enrollments")
    async def enroll(request: Request) -> Response:
        address = request.client.host if request.client else ""
        if wait := throttle.wait(address, time.monotonic()):
            return _refusal(f"too many failed enrolments; try again in {wait:.0f} seconds", 429)
        wish = _parse(await read_json(request))
        try:
            answer = await _enroll(world, wish)
        except ApiError as error:
            throttle.failed(address, time.monotonic())
            if error.error.code == "ID.1001":
                return _refusal(error.error.details, 403)
            raise
        throttle.succeeded(address)
        return JSONResponse(answer)

    return routes


def _refusal(details: str, status: int) -> Response:
    return error_response(BadRequest(details, status, "ID.1001"))


def _parse(raw: dict[str, Any]) -> Enrollment:
    try:
        return Enrollment.model_validate(raw)
    except ValidationError as failure:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in failure.errors(include_input=False))
        raise BadRequest(f"enrolment: {wrong}") from None


async def _enroll(world: World, wish: Enrollment) -> dict[str, str]:
    if world.authority is None:
        raise ApiError("SYS.1013", "this control plane has no certificate authority")
    check_address(wish.management_ip, "management_ip")
    authority = world.authority
    # Looked at first, so that who has no token costs no signature; used up together with the agent's row.
    uuid = await world.db.read(lambda tx: _agent_uuid(tx, wish))
    certificate = authority.sign_agent(wish.csr, wish.management_ip, uuid)
    await world.db.write(lambda tx: _admit(tx, wish, uuid, certificate))
    return {
        "host_agent_uuid": uuid,
        "certificate": certificate,
        "agent_ca": authority.agent_ca,
        "control_ca": authority.control_ca,
    }


def _agent_uuid(tx: Tx, wish: Enrollment) -> str:
    _usable_token(tx, wish)
    known = rows.find_one(tx, "HostAgentVO", management_ip=wish.management_ip)
    return str(known["uuid"]) if known else uuid4().hex


def _usable_token(tx: Tx, wish: Enrollment) -> rows.Row:
    token = rows.find_one(tx, "EnrollmentTokenVO", token_hash=token_hash(wish.token))
    if token is None or token["used_at"] or token["expires_at"] <= now():
        raise ApiError("ID.1001", "the token is unknown, used already or has expired; create a new one")
    if token["management_ip"] not in (None, wish.management_ip):
        raise ApiError("ID.1001", f"the token was made for the host {token['management_ip']}")
    return token


def _admit(tx: Tx, wish: Enrollment, uuid: str, certificate: str) -> None:
    token = _usable_token(tx, wish)
    rows.update(tx, "EnrollmentTokenVO", token["uuid"], used_at=now())
    fingerprint = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA256()).hex()
    values = {"port": wish.port, "certificate": certificate, "certificate_fingerprint": fingerprint}
    known = rows.find_one(tx, "HostAgentVO", management_ip=wish.management_ip)
    if known is None:
        rows.insert(tx, "HostAgentVO", uuid=uuid, management_ip=wish.management_ip, **values)
    elif known["uuid"] == uuid:
        rows.update(tx, "HostAgentVO", uuid, **values)
    else:
        raise invalid(f"another host enrolled from {wish.management_ip} at the same time")
