"""One simulated KVM host: boot, libvirtd, cutting its cables, pulling its plug.

Inside it looks like a server: `eth0` carries its management address 10.99.0.N, `eth1` is a bare interface for guests, its
own /var/lib/steppe, /srv and libvirt directories survive a power cut, /run does not.
"""

import os
import shutil
import sys
from pathlib import Path

from tools.lab.init import DISKS
from tools.lab.namespace import Holder, hold, ip_batch, wait_until

# Each driver's directory must exist: the packages make them on a real host, and ours starts bare.
_LIBVIRT_DIRECTORIES = (
    *("etc/qemu", "etc/nwfilter", "etc/storage", "etc/secrets", "cache/qemu", "log/qemu", "lib/images"),
    *(f"lib/qemu/{name}" for name in ("channel/target", "checkpoint", "dump", "nvram", "ram", "save", "snapshot")),
)
# No systemd here: no virtlogd (stdio_handler), no delegated control groups, no users to switch to.
_QEMU_CONF = """\
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""


class Host:
    """`directory` is its disk. `index` (1…253) gives its address and its hardware uuid."""

    def __init__(self, underlay: Holder, directory: Path, name: str, index: int) -> None:
        self._underlay = underlay
        self._holder: Holder | None = None
        self.directory = directory
        self.name = name
        self.index = index
        self.address = f"10.99.0.{index}"
        for path in (*_LIBVIRT_DIRECTORIES, *DISKS):
            (directory / path).mkdir(parents=True, exist_ok=True)
        (directory / "etc/qemu.conf").write_text(_QEMU_CONF)
        (directory / "etc/libvirtd.conf").write_text(
            f'host_uuid = "00000000-0000-4000-8000-{index:012x}"\n'
            'unix_sock_rw_perms = "0700"\nauth_unix_rw = "none"\n'
            'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"\n'
        )
        if _probed().is_dir() and not (directory / "cache/qemu/capabilities").exists():
            shutil.copytree(_probed(), directory / "cache/qemu/capabilities")

    @property
    def inside(self) -> Holder:
        if self._holder is None:
            raise RuntimeError(f"{self.name} is off")
        return self._holder

    @property
    def uri(self) -> str:
        """libvirt URI of this host for any process of the machine: UNIX sockets know no network namespaces."""
        return f"qemu+unix:///system?socket={self.directory}/libvirt-run/libvirt-sock"

    def boot(self) -> None:
        """Power on: fresh namespaces and /run over the same disk, cables plugged in."""
        (self.directory / "ready").unlink(missing_ok=True)
        shutil.rmtree(self.directory / "libvirt-run", ignore_errors=True)
        (self.directory / "libvirt-run").mkdir()
        init = str(Path(__file__).with_name("init.py"))
        log = self.directory / "init.log"
        self._holder = hold(sys.executable, init, str(self.directory), self.name, log=log)
        wait_until((self.directory / "ready").exists, f"{self.name} boots (see {log})")
        lines: list[str] = []
        for nic, switch in (("eth0", "mgmt"), ("eth1", "guests")):
            cable = self._cable(nic)
            mac = f"02:00:00:{nic[-1]:0>2}:00:{self.index:02x}"
            lines += [
                f"link add {cable} type veth peer name {nic} address {mac} netns {self._holder.pid}",
                f"link set {cable} master {switch}",
                f"link set {cable} up",
            ]
        ip_batch(self._underlay, *lines)
        ip_batch(
            self._holder,
            f"addr add {self.address}/24 dev eth0",
            "link set eth0 up",
            "link set eth1 up",
        )

    def start_libvirtd(self) -> None:
        """Start the daemon and wait until it answers. What it probed of QEMU is kept for the next host."""
        config, pid_file = "/etc/libvirt/libvirtd.conf", "/run/libvirtd.pid"
        self.inside.run("/usr/sbin/libvirtd", "--daemon", "--config", config, "--pid-file", pid_file)

        def answers() -> bool:
            return bool(self.inside.run("virsh", "-r", "-c", "qemu:///system", "version", check=False).strip())

        wait_until(answers, f"{self.name}'s libvirtd answers", 60)
        probed = self.directory / "cache/qemu/capabilities"
        if probed.is_dir() and any(probed.iterdir()) and not _probed().exists():
            _probed().parent.mkdir(parents=True, exist_ok=True)
            partial = _probed().with_name(f"capabilities.{os.getpid()}")
            shutil.copytree(probed, partial)
            try:
                partial.rename(_probed())
            except OSError:  # somebody else was first
                shutil.rmtree(partial)

    def cut(self, nic: str = "eth1") -> None:
        """Pull a cable."""
        self._underlay.run("ip", "link", "set", self._cable(nic), "down")

    def mend(self, nic: str = "eth1") -> None:
        """Plug it in again."""
        self._underlay.run("ip", "link", "set", self._cable(nic), "up")

    def crash(self) -> None:
        """Pull the plug: every process of the host is gone at once, its disk stays. Off already is fine."""
        if self._holder:
            self._holder.kill()
            self._holder = None

    def _cable(self, nic: str) -> str:
        return f"{nic}-h{self.index}"


def _probed() -> Path:
    """What libvirt found out about QEMU, kept between labs: saves two seconds per host. libvirt judges its age itself."""
    cache = os.environ.get("STEPPE_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache/steppe") / "lab/capabilities"
