"""What a cloud leaves on a host: the law is that after `destroy` it is what it was before `apply`."""

import json
from collections import Counter
from dataclasses import dataclass

from tools.lab import Host


@dataclass(frozen=True)
class Footprint:
    """Each member lists things of one kind, sorted; equal footprints mean that nothing was left or lost."""

    domains: tuple[str, ...]
    files: tuple[str, ...]
    namespaces: tuple[str, ...]
    links: tuple[str, ...]
    rules: tuple[str, ...]
    processes: tuple[str, ...]

    def left_since(self, before: "Footprint") -> list[str]:
        """What is here now and was not before, one line each."""
        found = []
        for kind in self.__dataclass_fields__:
            extra = Counter(getattr(self, kind)) - Counter(getattr(before, kind))
            found += [f"{kind}: {name}" for name in sorted(extra.elements())]
        return found


def footprint(host: Host, storage: str) -> Footprint:
    """`storage` is the directory of the primary storage on that host."""
    run = host.inside.run
    processes = [" ".join(line.split()[1:]) for line in run("ps", "-e", "-o", "pid=,args=").splitlines()]
    return Footprint(
        domains=tuple(sorted(run("virsh", "-c", "qemu:///system", "list", "--all", "--name").split())),
        files=tuple(sorted(run("find", storage, "-type", "f", check=False).split())),
        namespaces=tuple(sorted(run("ls", "/run/netns", check=False).split())),
        links=tuple(sorted(link["ifname"] for link in json.loads(run("ip", "-json", "link")))),
        rules=tuple(sorted(line.strip() for line in run("nft", "-s", "list", "ruleset").splitlines() if line.strip())),
        processes=tuple(sorted(p for p in processes if p and not p.startswith("ps "))),
    )
