"""System tags of a VM as attributes: user data, SSH keys, host name, static addresses, modes, and further ones."""

from dataclasses import dataclass

from provider.client.control_plane import ControlPlane, Inventory
from provider.client.lookups import Kind
from provider.framework.plan import Object
from provider.resources.base import same_or

LIMIT = 64 * 1024  # bytes of one tag
ONE = {"userdata": "user_data", "hostname": "hostname", "cpuMode": "cpu_mode", "consoleMode": "console_mode"}
TAGS = Kind("system-tags", "resourceUuid")
OWN = (*ONE, "sshkey", "staticIp")  # tags that are attributes; the others are in `system_tags`


def user_data_size(text: str) -> str | None:
    size = len(f"userdata::{text}".encode())
    return f"The user data has {size - 10} bytes; at most {LIMIT - 10} are allowed." if size > LIMIT else None


@dataclass
class VmTags:
    """The tags of one VM at the control plane."""

    inventories: list[Inventory]

    @classmethod
    def of(cls, client: ControlPlane, vm_uuid: str) -> "VmTags":
        return cls(client.belonging(TAGS, vm_uuid))

    @staticmethod
    def wished(planned: Object) -> list[str]:
        """All tags that the planned VM shall have."""
        tags = [f"{prefix}::{planned[name]}" for prefix, name in ONE.items() if planned[name]]
        tags += [f"sshkey::{key}" for key in planned["ssh_keys"] or []]
        for interface in planned["network_interfaces"] or []:
            if interface["static_ip"]:
                tags.append(f"staticIp::{interface['network_uuid']}::{interface['static_ip']}")
        return tags + (planned["system_tags"] or [])

    @classmethod
    def bring(cls, client: ControlPlane, vm_uuid: str, before: Object, planned: Object, timeout: float) -> None:
        """From the tags `before` to those `planned`; a single one is rewritten: there is no moment without it.

        Tags that the VM's configuration never stated belong to somebody else and stay.
        """
        actual = [one for one in cls.of(client, vm_uuid).inventories if not one.get("inherent")]
        wished = [tag for tag in cls.wished(planned) if not tag.startswith("staticIp::")]
        gone = {tag for tag in cls.wished(before) if not tag.startswith("staticIp::")} - set(wished)
        single = tuple(f"{name}::" for name in ONE if any(tag.startswith(f"{name}::") for tag in wished))
        stale = [
            one for one in actual if one["tag"] in gone or (one["tag"].startswith(single) and one["tag"] not in wished)
        ]
        missing = [tag for tag in wished if tag not in {one["tag"] for one in actual}]
        for tag in list(missing):
            prefix = tag.partition("::")[0]
            old = next((one for one in stale if prefix in ONE and one["tag"].startswith(f"{prefix}::")), None)
            if old is not None:
                client.action(f"/system-tags/{old['uuid']}", "updateSystemTag", {"tag": tag}, timeout=timeout)
                stale.remove(old)
                missing.remove(tag)
        for one in stale:
            client.delete("DeleteTag", f"/tags/{one['uuid']}", timeout=timeout)
        for tag in missing:
            parameters = {"resourceUuid": vm_uuid, "resourceType": "VmInstanceVO", "tag": tag}
            client.create("CreateSystemTag", "/system-tags", parameters, timeout=timeout)

    def merged(self, state: Object, everything: bool = False) -> Object:
        """Attributes as they are now; `static_ips` is by network. What was never stated stays null, or `everything`."""
        static = (value.partition("::") for value in self._values("staticIp"))
        own = tuple(f"{name}::" for name in OWN)
        others = [one["tag"] for one in self.inventories if not one["tag"].startswith(own) and not one.get("inherent")]
        now: Object = {name: next(iter(self._values(prefix)), None) for prefix, name in ONE.items()}
        now |= {"ssh_keys": self._values("sshkey") or None, "system_tags": others or None}
        told = {name: same_or(state.get(name), value) for name, value in now.items() if everything or state.get(name)}
        return told | {"static_ips": {network: ip for network, _, ip in static}}

    @property
    def isos(self) -> list[str]:
        """UUIDs of the ISO images in its drives."""
        return [value.partition("::")[0] for value in self._values("iso")]

    def _values(self, prefix: str) -> list[str]:
        return [one["tag"].partition("::")[2] for one in self.inventories if one["tag"].startswith(f"{prefix}::")]
