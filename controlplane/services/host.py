"""What is refused of a host before anything is stored, what is answered about hosts, and enrolment tokens."""

import hashlib
import ipaddress
import re
import secrets
from datetime import timedelta
from typing import Any
from uuid import uuid4

from controlplane.contract.error import invalid, refused
from controlplane.contract.host import (
    AddKVMHost,
    ChangeHostState,
    CreateHostEnrollmentToken,
    DeleteHost,
    EnrolledHostAgents,
    EnrollmentTokenInventory,
    GetCpuMemoryCapacity,
    GetEnrolledHostAgents,
    GetHypervisorTypes,
    UpdateHost,
    UpdateKVMHost,
)
from controlplane.services.registry import Caller, Change, answers, checks, prepares
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows.host import enrolled, refuse_while_in_use
from controlplane.workflows.host_maintenance import must_be_drainable
from controlplane.workflows.world import World

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")


def check_address(value: str, field: str = "managementIp") -> None:
    """An IP address or a host name; what looks like an IPv4 address must be one."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if re.fullmatch(r"[0-9.]+", value) or not _HOST_NAME.fullmatch(value):
            raise invalid(f"field[{field}]: {value!r} is neither an IP address nor a host name", field) from None


def enroll_command(world: World, management_ip: str) -> str:
    return (
        f"steppe-hostagent enroll --server {world.settings.public_url} --ca-file ca.pem --token-file token "
        f"--management-ip {management_ip}"
    )


def check_management_ip(tx: Tx, address: str, host_uuid: str | None = None) -> None:
    check_address(address)
    other = rows.find_one(tx, "HostVO", management_ip=address)
    if other and other["uuid"] != host_uuid:
        raise invalid(
            f"field[managementIp]: host {other['name']} ({other['uuid']}) has {address} already", "managementIp"
        )
    if enrolled(tx, address) is None:
        raise refused(
            f"no host agent has enrolled from {address}: create a token with CreateHostEnrollmentToken, then run on that "
            f"host: steppe-hostagent enroll --management-ip {address}, with the server and the token of its answer"
        )


@checks(AddKVMHost)
def can_be_added(tx: Tx, message: AddKVMHost) -> None:
    check_management_ip(tx, message.management_ip)


@checks(UpdateHost)
def can_be_changed(tx: Tx, message: UpdateHost) -> None:
    if message.management_ip:
        check_management_ip(tx, message.management_ip, message.uuid)


@checks(UpdateKVMHost)
def kvm_can_be_changed(tx: Tx, message: UpdateKVMHost) -> None:
    if message.management_ip:
        check_management_ip(tx, message.management_ip, message.uuid)


@checks(ChangeHostState)
def can_be_maintained(tx: Tx, message: ChangeHostState) -> None:
    if message.state_event == "maintain":
        must_be_drainable(tx, message)


@checks(DeleteHost)
def can_be_deleted(tx: Tx, message: DeleteHost) -> None:
    if message.delete_mode == "Permissive" and rows.exists(tx, "HostVO", uuid=message.uuid):
        refuse_while_in_use(tx, message.uuid)


# -- answers -----------------------------------------------------------------------------------------------------


@answers(GetCpuMemoryCapacity)
async def capacity(world: World, _caller: Caller, message: GetCpuMemoryCapacity) -> dict[str, Any]:
    """Of enabled, connected hosts; several lists narrow the choice together."""
    asked = {"zone_uuid": message.zone_uuids, "cluster_uuid": message.cluster_uuids, "uuid": message.host_uuids}
    where: dict[str, Any] = {name: value for name, value in asked.items() if value}
    if not where and not message.all:
        raise invalid("one of zoneUuids, clusterUuids and hostUuids is needed, or all=true")
    hosts = await world.db.read(lambda tx: rows.find(tx, "HostVO", status="Connected", state="Enabled", **where))
    names = {"totalCpu": "total_cpu_capacity", "availableCpu": "available_cpu_capacity"}
    names |= {"totalMemory": "total_memory_capacity", "availableMemory": "available_memory_capacity"}
    return {name: sum(host[column] for host in hosts) for name, column in names.items()}


@answers(GetHypervisorTypes)
async def hypervisor_types(_world: World, _caller: Caller, _message: GetHypervisorTypes) -> dict[str, Any]:
    return {"hypervisorTypes": ["KVM"]}


@answers(GetEnrolledHostAgents)
async def enrolled_agents(world: World, _caller: Caller, message: GetEnrolledHostAgents) -> dict[str, Any]:
    where = {"management_ip": message.management_ip} if message.management_ip else {}

    def look(tx: Tx) -> dict[str, Any]:
        hosts = {one["management_ip"]: one["uuid"] for one in rows.find(tx, "HostVO", **where)}
        agents = rows.find(tx, "HostAgentVO", **where)
        shown = ("uuid", "management_ip", "create_date")
        told = [{name: one[name] for name in shown} | {"host_uuid": hosts.get(one["management_ip"])} for one in agents]
        return EnrolledHostAgents.model_validate({"inventories": told}).wire()

    return await world.db.read(look)


@prepares(CreateHostEnrollmentToken)
async def create_token(world: World, _caller: Caller, message: CreateHostEnrollmentToken) -> Change:
    if message.management_ip:
        check_address(message.management_ip)
    token, moment = secrets.token_urlsafe(32), now()
    row = {
        "uuid": uuid4().hex,
        "management_ip": message.management_ip,
        "create_date": moment,
        "expires_at": moment + timedelta(seconds=message.lifetime),
    }
    shown = row | {
        "token": token,
        "expires_date": row["expires_at"],
        "url": world.settings.public_url,
        "ca": world.authority.control_ca if world.authority else "",
        "command": enroll_command(world, message.management_ip or "<management IP>"),
    }

    def create(tx: Tx) -> dict[str, Any]:
        _store_token(tx, row | {"token_hash": token_hash(token)})
        return {"inventory": EnrollmentTokenInventory.model_validate(shown).wire()}

    return create


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _store_token(tx: Tx, row: rows.Row) -> None:
    """Old ones go when a new one comes."""
    moment = now()
    for old in rows.find(tx, "EnrollmentTokenVO"):
        if old["expires_at"] < moment:
            rows.delete(tx, "EnrollmentTokenVO", old["uuid"])
    rows.insert(tx, "EnrollmentTokenVO", **row)
