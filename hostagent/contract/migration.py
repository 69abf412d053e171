"""A running VM that goes to another host with its disks: `PUT /v1/arrivals/{vm uuid}` on the destination, then
`PUT /v1/departures/{vm uuid}?wait=` on the source.

The destination defines the VM and lets one peer in, by its certificate of the agent CA and the secret, until the arrival
expires or is deleted. Before that the files that its disks rest on lie there, and for each disk a file to write to. The
source then copies what each disk's own file holds, the memory, and what changes meanwhile; the caller repeats the PUT
until `state` is `left` or `failed`. A VM that left is off on the source and stands still (`paused`, without `migration`)
on the destination: whoever asked decides which of the two goes on. `DELETE` of a departure ends it, if it has not left;
`DELETE` of an arrival shuts the door. Absent is success.
"""

from typing import Annotated, Literal

from pydantic import Field

from hostagent.contract.base import Model, Specified
from hostagent.contract.transfer import Secret
from hostagent.contract.vm import VmSpec


class ArrivalSpec(Model):
    """`vm.power` is not looked at."""

    vm: VmSpec
    peer_agent_uuid: str
    secret: Secret
    expires_in: Annotated[int, Field(gt=0, le=86_400)] = 900  # seconds


class ArrivalStatus(Model):
    """`directory` and `serial_log` are the destination's, for the source to use."""

    uuid: str
    port: int
    directory: str
    serial_log: str


class DepartureSpec(Specified):
    """`generation` is the VM's. `returns`: the VM stands still here since it came from there, where its disks still are as
    they were; its memory alone goes."""

    returns: bool = False
    dest_ip: str
    dest_port: int
    dest_agent_uuid: str
    secret: Secret
    directory: str
    serial_log: str
    console_listen: str = "127.0.0.1"
    bytes_per_second: Annotated[int, Field(ge=0)] = 0  # 0: as fast as it goes


class DepartureStatus(Model):
    """`error` begins with a fixed code and a colon. Bytes are of disks and memory; what changes is counted again."""

    uuid: str
    state: Literal["moving", "left", "failed"]
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_per_second: int = 0
    error: str = ""
