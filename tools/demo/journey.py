"""The road from nothing to proven guests and back, used by the demo and by the journey tests alike."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.demo import python_stack
from tools.demo.footprint import Footprint, footprint
from tools.demo.guest import Guest
from tools.demo.proof import NotProven, Scene, all_proofs, vms_of
from tools.demo.terraform import ROOT, Stack
from tools.demo.wire import DhcpWatch
from tools.guests.cache import image
from tools.guests.kernel import KERNEL
from tools.lab import Lab
from tools.lab.cloud import Cloud

Say = Callable[[str], None]
STORAGE = "/var/lib/steppe/storage"
GATEWAY = "10.20.0.1/24"


class Journey:
    """One walk through `example` with one guest in `folder`. `say` is told each thing done, `show` each line that Terraform prints."""

    example = "flat-network"
    hosts = ("host-a", "host-b")

    def __init__(self, guest: Guest, folder: Path, port: int = 0, say: Say = print, show: Say | None = None) -> None:
        self.guest = guest
        self.folder = folder
        self.say = say
        self.show = show
        self._open = contextlib.ExitStack()
        try:
            self._set_out(port)
        except BaseException:
            self.close()
            raise

    def _set_out(self, port: int) -> None:
        images = self.folder / "images"
        images.mkdir(parents=True)
        built = image(self.guest.image)
        self.image = images / f"{self.guest.name}.qcow2"
        shutil.copyfile(built, self.image)
        self.say(f"guest image: {built.name}, {built.stat().st_size >> 20} MiB")
        self.key = self.folder / "key"
        make_key = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "steppe-demo", "-f", self.key)
        subprocess.run(make_key, check=True)
        self.lab = self._open.enter_context(Lab(self.folder / "lab"))
        self.lab.sit_on_guest_network(GATEWAY)
        self.cloud = Cloud(self.lab, images, port, image(KERNEL))
        self.say(f"control plane: {self.cloud.endpoint}")
        for host in self.cloud.add_hosts(*self.hosts):
            self.say(f"{host.name}: libvirtd and an enrolled agent at {host.address}")
        self.before = {name: footprint(host, STORAGE) for name, host in self.lab.hosts.items()}
        self.stack = Stack(
            ROOT / "examples" / self.example,
            self.folder / "stack",
            self.cloud.endpoint,
            self.cloud.password,
            {
                "host_ips": [host.address for host in self.lab.hosts.values()],
                "image_url": f"file://{self.image}",
                "ssh_public_key": self.key.with_suffix(".pub").read_text().strip(),
                "storage_path": STORAGE,
                "memory_mib": self.guest.memory_mib,
            },
            self.guest.overrides,
        )

    def apply(self) -> None:
        self.stack.init(self.show)
        self.say("terraform init: done")
        if not self.stack.plan(self.show):
            raise NotProven("the first plan should have something to do; it is empty")
        self.say("terraform plan: done")
        self.watch = DhcpWatch(self.lab)
        self._open.callback(self.watch.stop)
        self.stack.apply(self.show)
        self.say("terraform apply: done")

    def prove(self) -> Iterator[str]:
        """Each thing proven, as a sentence; NotProven at the first that is not."""
        outputs = self.stack.outputs()
        scene = Scene(self.lab, self.guest, self.key, vms_of(outputs, self.lab), outputs["service_ip"])
        self.vms = scene.vms
        yield from all_proofs(scene)
        frames = self.watch.stop()
        if frames:
            raise NotProven(f"DHCP should stay on its host; on the wire was: {'; '.join(frames[:5])}")
        yield "no DHCP frame was on the wire between the hosts"
        if self.stack.plan():
            raise NotProven("a second plan should be empty; terraform wants to change something")
        yield "a second terraform plan is empty"
        yield python_stack.prove(self.folder / "python", self.cloud.endpoint, self.cloud.password, self.show)

    def destroy(self) -> str:
        """Destroy, and prove that nothing is left on either host."""
        self.stack.destroy(self.show)
        self.say("terraform destroy: done")
        left = []
        for name, host in self.lab.hosts.items():
            after: Footprint = footprint(host, STORAGE)
            left += [f"{name}: {line}" for line in after.left_since(self.before[name])]
        if left:
            raise NotProven("destroy should leave nothing; this is left:\n" + "\n".join(left))
        return "terraform destroy left nothing on either host: no domain, disk, namespace, link, rule, process"

    def disown(self) -> None:
        """Another process, forked from this one, holds everything from now on: `close` does nothing here."""
        self._open.pop_all()

    def close(self) -> None:
        """Power everything off. Files stay in the folder."""
        self._open.close()
