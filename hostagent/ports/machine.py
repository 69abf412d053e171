"""What the agent needs to know of the machine it runs on."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MachineFacts:
    hostname: str
    cpu_num: int
    cpu_model: str
    memory_bytes: int
    simulated: bool = False


class Machine(Protocol):
    def facts(self) -> MachineFacts: ...
