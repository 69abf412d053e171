"""What happened on the host, numbered, for long-polling readers.

The log keeps the newest event of each VM: it stays as small as the host and a slow reader never meets a gap, only
fewer intermediate states. A new `agent_boot_id` tells readers to read the inventory again.
"""

import asyncio
import contextlib
from uuid import uuid4

from hostagent.contract import Event, EventPage
from hostagent.contract.vm import VmState

LINGER = 0.02  # seconds to gather what comes in a burst


class EventLog:
    def __init__(self) -> None:
        self.boot_id = uuid4().hex
        self._sequence = 0
        self._newest: dict[str, Event] = {}  # by VM, in the order of their sequence
        self._arrived = asyncio.Event()

    def append(self, vm_uuid: str, state: VmState, reason: str) -> None:
        self._sequence += 1
        self._newest.pop(vm_uuid, None)
        self._newest[vm_uuid] = Event(sequence=self._sequence, vm_uuid=vm_uuid, state=state, reason=reason)
        self._arrived.set()

    async def get(self, after: int, wait: float) -> EventPage:
        """Events later than `after`, as soon as there is one, or none after `wait` seconds.

        A reader that is ahead of the log knew an earlier life of the agent: it is answered at once.
        """
        if after == self._sequence and wait > 0:
            self._arrived = asyncio.Event() if self._arrived.is_set() else self._arrived
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._arrived.wait()
                await asyncio.sleep(LINGER)
        return EventPage(agent_boot_id=self.boot_id, last_sequence=self._sequence, events=self._later(after))

    def release(self) -> None:
        """Answer everyone who waits, with nothing new: the agent is about to end."""
        self._arrived.set()

    def _later(self, after: int) -> list[Event]:
        later: list[Event] = []
        for event in reversed(self._newest.values()):
            if event.sequence <= after:
                break
            later.append(event)
        return later[::-1]
