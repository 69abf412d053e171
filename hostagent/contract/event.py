"""`GET /v1/events?after=N&wait=25`: what happened on the host, long-polled; it also is the heart-beat."""

from typing import Literal

from hostagent.contract.base import Model
from hostagent.contract.vm import VmState


class Event(Model):
    sequence: int
    kind: Literal["vm_state"] = "vm_state"
    vm_uuid: str
    state: VmState
    reason: str = ""  # shutdown | destroyed | crashed | failed | booted | reboot …


class EventPage(Model):
    """`agent_boot_id` changes when the agent restarts: the caller then reads the whole inventory again."""

    agent_boot_id: str
    last_sequence: int
    events: list[Event] = []
