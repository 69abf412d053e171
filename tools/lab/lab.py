"""The lab: an underlay and its hosts. The underlay is what a rack has besides servers: two switches and a seat.

The seat is the underlay namespace itself: it has 10.99.0.254 on the management switch, where a control plane may
listen, and may be given an address on the guests' switch, from which guests are reached as any neighbour would.
Each lab has its own underlay, so labs may run side by side with the same addresses.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tools.lab.host import Host
from tools.lab.namespace import hold, ip_batch

MANAGEMENT = "10.99.0"
SEAT = f"{MANAGEMENT}.254"


class Lab:
    """`root` holds every file of the lab: `<root>/<host>/…`. It is made when absent and left in place by `close`."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.root.mkdir(parents=True, exist_ok=True)
        self.hosts: dict[str, Host] = {}
        self._forwards: list[subprocess.Popen[bytes]] = []
        self.underlay = hold("cat", log=self.root / "underlay.log")
        ip_batch(
            self.underlay,
            "link set lo up",
            "link add mgmt type bridge forward_delay 0",
            "link add guests type bridge forward_delay 0",
            f"addr add {SEAT}/24 dev mgmt",
            "link set mgmt up",
            "link set guests up",
        )

    def add_host(self, name: str) -> Host:
        """A booted host with libvirtd running, the next free address 10.99.0.N."""
        host = Host(self.underlay, self.root / name, name, len(self.hosts) + 1)
        self.hosts[name] = host
        host.boot()
        host.start_libvirtd()
        return host

    def sit_on_guest_network(self, address: str) -> None:
        """Give the underlay an address (`10.0.0.1/16`) on the guests' switch: gateway and neighbour of the guests."""
        self.underlay.run("ip", "addr", "replace", address, "dev", "guests")

    def forward(self, port: int, target_port: int, target: str = "127.0.0.1") -> None:
        """Make 127.0.0.1:`port` of the machine lead to `target`:`target_port` inside the underlay."""
        program = Path(__file__).with_name("forward.py")
        arguments = (program, port, self.underlay.pid, target, target_port)
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._forwards.append(process)
        assert process.stdout
        if not process.stdout.readline():
            raise OSError(f"127.0.0.1:{port} cannot be listened on: is something else there?")

    def close(self) -> None:
        """Power everything off. Files stay; delete `root` to forget them."""
        for host in self.hosts.values():
            host.crash()
        for process in self._forwards:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        self.underlay.kill()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def scratch_lab(root: Path) -> Iterator[Lab]:
    """A lab whose files vanish with it."""
    lab = Lab(root)
    try:
        yield lab
    finally:
        lab.close()
        shutil.rmtree(root, ignore_errors=True)
