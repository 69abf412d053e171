"""steppe_vm: a virtual machine.

User data, keys, host name and static addresses are system tags of the VM at the control plane. `host_uuid` is a wish,
`running_host_uuid` the fact. A destroyed VM that could still be recovered counts as gone.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from provider.client.control_plane import ControlPlane, Inventory
from provider.framework import validate
from provider.framework.diagnostics import Partial, Path
from provider.framework.plan import Object, Plan
from provider.framework.resource import Context
from provider.framework.schema import Attr, Nested, Schema, computed, optional, required
from provider.framework.types import BOOL, NUMBER, STRING, UNKNOWN, Value, list_of, set_of
from provider.resources.base import Table, deletion_protection, identity, reference, timeouts
from provider.resources.foreign import must_have_no_snapshots, release_data_volumes
from provider.resources.placement import PLACES, host_of, waits_for_host
from provider.resources.vm_move import CONSENT, move, plan_move
from provider.resources.vm_networks import as_stated, attach_new, detach_gone, plan_networks, uuids_of
from provider.resources.vm_start import (
    SETTINGS,
    START,
    bring,
    merge_start,
    plan_start,
    prepare,
    restart_if_needed,
    settings,
    starts_later,
)
from provider.resources.vm_tags import OWN, TAGS, VmTags, user_data_size
from provider.resources.vm_wait import WAIT, come_up, must_be_possible, progress, wait

POWER_OF_STATE = {"Running": "running", "Stopped": "stopped"}
PLACED = "placed"  # private data: where the disks are, whether it runs or not, by the name of the wish
WISHES = ("zone_uuid", "cluster_uuid", "host_uuid")
GONE = frozenset({"Destroyed", "Destroying", "Expunging", "Expunged"})
ON_CHANGE = {
    "update": "The new text is stored; the guest reads it when cloud-init runs again. Nothing is restarted.",
    "rerun": "At the next boot of the guest cloud-init runs again, as on a new machine. Nothing is restarted now.",
    "reboot": "The VM is rebooted, and cloud-init runs again as on a new machine.",
    "replace": "The VM is destroyed, and a new one is made.",
}
INTERFACE = Nested(
    "list",
    {
        "network_uuid": required(STRING, "UUID of the network (L3).", validators=(validate.uuid,)),
        "static_ip": optional(
            STRING, "Address that the VM shall have; otherwise a free one.", validators=(validate.ipv4,)
        ),
    },
)
NIC = Nested(
    "list",
    {
        "uuid": computed(STRING, "UUID of the NIC."),
        "network_uuid": computed(STRING, "UUID of the network (L3)."),
        "ip": computed(STRING, "IPv4 address."),
        "mac": computed(STRING, "MAC address."),
        "netmask": computed(STRING, "Netmask of the network."),
        "gateway": computed(STRING, "Router of the network."),
        "device_id": computed(NUMBER, "Position, from 0."),
    },
)
HOSTNAME = validate.matches(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*",
    "a host name: letters, digits and hyphens, at most 63 characters in a label",
)


def _networks_agree(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    uuids, interfaces, default = (
        config.get(n) for n in ("network_uuids", "network_interfaces", "default_network_uuid")
    )
    if uuids is None and interfaces is None:
        yield ("network_uuids",), "One of network_uuids and network_interfaces must say where the VM is attached."
        return
    if isinstance(uuids, list) and isinstance(interfaces, list):
        for one, other in zip_longest(uuids, uuids_of(interfaces)):
            if one is not UNKNOWN and other is not UNKNOWN and one != other:
                yield ("network_uuids",), "network_uuids and network_interfaces name different networks: leave one out."
                return
    networks = uuids if uuids is not None else uuids_of(interfaces)
    if not isinstance(networks, list) or UNKNOWN in networks:
        return
    if len(networks) > 1 and default is None:
        yield (
            ("default_network_uuid",),
            "A VM with several networks needs default_network_uuid: it gives router and DNS.",
        )
    if isinstance(default, str) and default not in networks:
        yield ("default_network_uuid",), f"{default} is none of the VM's networks."


def _user_data_is_one(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    if config.get("user_data") is not None and config.get("user_data_wo") is not None:
        yield ("user_data_wo",), "user_data and user_data_wo exclude each other."
    if (config.get("user_data_wo") is None) != (config.get("user_data_wo_version") is None):
        yield (
            ("user_data_wo_version",),
            "user_data_wo and user_data_wo_version belong together: a new version sends it.",
        )


def _wish(noun: str) -> Attr:
    """A placement wish. Left out, it stays what it was: taking a wish back moves nothing."""
    return optional(
        STRING,
        f"UUID of the {noun} in which to place the VM; the narrowest wish decides. Null when there is no wish. A change "
        f"to another {noun} than the one it is in {'moves it there' if noun == 'host' else 'makes a new VM'}.",
        computed=True,
        keep=True,
        validators=(validate.uuid,),
    )


class Vm(Table):
    type_name = "steppe_vm"
    collection = "vm-instances"
    create_api = ("CreateVmInstance", "/vm-instances")
    update_action = "updateVmInstance"
    delete_api = "DestroyVmInstance"
    expunge_action = "expungeVmInstance"
    creates_with = (
        "image_uuid", "instance_offering_uuid", "root_disk_offering_uuid", "root_disk_size", "default_network_uuid",
        "zone_uuid", "cluster_uuid", "host_uuid",
    )  # fmt: skip
    updates = ("default_network_uuid",)
    names = {"default_network_uuid": "defaultL3NetworkUuid", "running_host_uuid": "hostUuid"}
    limits = {"create": "30m"}
    schema = Schema(
        identity("VM")
        | {
            "image_uuid": reference("", "UUID of the image to boot: a root volume template or an ISO."),
            "instance_offering_uuid": required(
                STRING, "UUID of the instance offering: CPUs and memory. A stopped VM has those of another one at once, a "
                "running one after a restart, see `allow_restart`.", validators=(validate.uuid,),
            ),
            "root_disk_offering_uuid": optional(
                STRING, "UUID of the disk offering of the root disk; an ISO needs one, or `root_disk_size`.", replace=True,
                validators=(validate.uuid,),
            ),
            "root_disk_size": optional(
                NUMBER, "Size of the root disk in bytes, whatever an offering says; not below the image's. A larger one "
                "grows the disk in place, a smaller one makes a new VM.", computed=True, keep=True,
                validators=(validate.between(1, 2**63 - 1),),
            ),
            "network_uuids": optional(
                list_of(STRING), "UUIDs of the networks (L3) to attach. A new VM has its NICs in this order; later NICs come "
                "and go in place, also while it runs, a new one as the last.", computed=True, keep=True,
                validators=(validate.filled, validate.each(validate.uuid), validate.distinct),
            ),
            "network_interfaces": optional(
                INTERFACE, "The networks to attach, with wished addresses. Instead of `network_uuids` or in agreement with it, and changed like "
                "that; another address on a network that stays makes a new VM.", computed=True, keep=True,
                validators=(validate.filled,),
            ),
            "default_network_uuid": optional(
                STRING, "UUID of the network that gives router, DNS and host name; needed with several networks.",
                computed=True, keep=True, validators=(validate.uuid,),
            ),
            "zone_uuid": _wish("zone"),
            "cluster_uuid": _wish("cluster"),
            "host_uuid": _wish("host"),
            "running_host_uuid": computed(STRING, "UUID of the host on which it runs; null while it is stopped."),
            "user_data": optional(
                STRING, "User data for cloud-init, as plain text: multi-line YAML, a script, or base64. It is stored in "
                "the state; see `user_data_wo`.", validators=(user_data_size,),
            ),
            "user_data_wo": optional(
                STRING, "Like `user_data`, but neither in the state nor in a plan (Terraform 1.11).", write_only=True,
                sensitive=True, validators=(user_data_size,),
            ),
            "user_data_wo_version": optional(
                NUMBER, "Any number; `user_data_wo` is sent when it changes.", validators=(validate.between(0, 2**53),)
            ),
            "user_data_on_change": optional(
                STRING, "What a change of the user data does: `update` stores it, and the guest reads it when cloud-init "
                "runs again; `rerun` also makes cloud-init run again, as on a new machine, at the next boot; `reboot` "
                "also reboots the VM for that; `replace` makes a new VM.", default="update",
                validators=(validate.one_of(*ON_CHANGE),),
            ),
            "ssh_keys": optional(
                list_of(STRING), "SSH public keys for the guest's default user.",
                validators=(validate.each(validate.length(1, 16384)), validate.distinct),
            ),
            "hostname": optional(STRING, "Host name that DHCP and metadata give to the guest.", validators=(HOSTNAME,)),
            "system_tags": optional(
                set_of(STRING), f"Further system tags, `name::value`; {', '.join(OWN)} have attributes of their own.",
                validators=(validate.each(validate.matches(rf"(?!({'|'.join(OWN)})::)[A-Za-z]\w*::(.|\\n)*",
                "a system tag `name::value` without an attribute of its own")),),
            ),
            "power_state": optional(
                STRING, "`running` or `stopped`.", default="running", validators=(validate.one_of("running", "stopped"),)
            ),
            "expunge": optional(
                BOOL, "Whether destroying deletes the disks for good; else the VM can be recovered for a while.",
                default=True,
            ),
            "state": computed(STRING, "`Running`, `Stopped`, … as the control plane says."),
            "ip": computed(STRING, "Address on the default network."),
            "mac": computed(STRING, "MAC address on the default network."),
            "nics": computed(NIC, "All NICs, in their order."),
            "root_volume_uuid": computed(STRING, "UUID of the root volume."),
            "cpu_num": computed(NUMBER, "Number of virtual CPUs."),
            "memory_size": computed(NUMBER, "Memory, in bytes."),
        }
        | START
        | CONSENT
        | WAIT
        | deletion_protection("VM")
        | timeouts(create="30m"),
        "A virtual machine. Creating returns when it runs (or is stopped, as wished) and its address is known.",
        rules=(_networks_agree, _user_data_is_one),
    )  # fmt: skip

    def modify_plan(self, plan: Plan) -> None:
        config, planned, prior = plan.config, plan.planned, plan.prior
        plan_networks(plan)
        if prior is None:
            planned |= {wish: None for wish in WISHES if config[wish] is None}
            must_be_possible(plan)
            within = {"zoneUuid": planned["zone_uuid"], "clusterUuid": planned["cluster_uuid"]}
            waits_for_host(plan, f"VM {planned['name']}", planned["host_uuid"], **within)
            return
        placed = plan.private.get(PLACED) or {}
        for wish in ("zone_uuid", "cluster_uuid"):
            if plan.changes(wish) and planned[wish] is not None and planned[wish] != placed.get(wish):
                plan.replace.append((wish,))
        size = planned["root_disk_size"]
        if plan.changes("root_disk_size") and size is not UNKNOWN and size < (prior["root_disk_size"] or 0):
            plan.replace.append(("root_disk_size",))
        plan_move(plan)
        plan_start(plan)
        must_be_possible(plan)
        for name in ("user_data", "user_data_wo_version"):
            if plan.changes(name):
                chosen = planned["user_data_on_change"]
                said = ON_CHANGE.get(chosen, "") if isinstance(chosen, str) else ""
                plan.diagnostics.warning(f"New user data: {chosen}", said, (name,))
                plan.replace += [(name,)] if chosen == "replace" else []
        if plan.changes("power_state"):
            planned["state"] = planned["running_host_uuid"] = UNKNOWN
        if plan.changes("default_network_uuid"):
            planned["ip"] = planned["mac"] = UNKNOWN

    def parameters(self, context: Context, planned: Object) -> dict[str, Any]:
        stopped = planned["power_state"] == "stopped" or starts_later(planned)
        return {
            "l3NetworkUuids": planned["network_uuids"],
            "strategy": "CreateStopped" if stopped else "InstantStart",
        }

    def tags(self, context: Context, planned: Object) -> list[str]:
        return VmTags.wished(_told(context, planned))

    def build(self, context: Context, uuid: str, planned: Object) -> None:
        super().build(context, uuid, planned)
        client, limit = context.client, self.limit("create", planned)
        if not starts_later(planned):
            return
        prepare(client, uuid, planned, limit)
        made = client.find(self.collection, uuid) or {}
        if planned["power_state"] == "running" and made.get("state") == "Stopped":
            client.action(f"/vm-instances/{uuid}", "startVmInstance", {}, timeout=limit)

    def create(self, context: Context, planned: Object) -> Object:
        return wait(context, super().create(context, planned))

    def update_first(self, context: Context, prior: Object, planned: Object) -> None:
        if planned["network_interfaces"] != prior["network_interfaces"]:
            attach_new(context.client, prior, planned, self.limit("update", planned))

    def update_more(self, context: Context, prior: Object, planned: Object) -> None:
        """A start, wherever it comes from, is waited for."""
        client, path, limit = context.client, f"/vm-instances/{prior['uuid']}", self.limit("update", planned)
        came = progress(client, prior["uuid"]) if planned["wait_for"] is not None else None
        before, after = prior, planned
        if planned["user_data_wo_version"] != prior["user_data_wo_version"]:
            stored = VmTags.of(client, prior["uuid"]).merged({}, everything=True)
            before, after = prior | {"user_data": stored["user_data"]}, _told(context, planned)
        VmTags.bring(client, prior["uuid"], before, after, limit)
        if planned["network_uuids"] != prior["network_uuids"]:
            detach_gone(client, prior, planned, limit)
        if planned["instance_offering_uuid"] != prior["instance_offering_uuid"]:
            offering = {"instanceOfferingUuid": planned["instance_offering_uuid"]}
            client.action(path, "changeInstanceOffering", offering, timeout=limit)
        bring(client, prior["uuid"], prior, planned, limit)
        if planned["root_disk_size"] != prior["root_disk_size"]:
            volume, size = prior["root_volume_uuid"], planned["root_disk_size"]
            client.action(f"/volumes/resize/{volume}", "resizeRootVolume", {"size": size}, timeout=limit)
        starts = move(client, prior, planned, limit)
        power, on_change = planned["power_state"], planned["user_data_on_change"]
        new = any(planned[name] != prior[name] for name in ("user_data", "user_data_wo_version"))
        if new and on_change in ("rerun", "reboot"):
            client.action(path, "rerunCloudInit", {}, timeout=limit)
        if power != prior["power_state"]:
            client.action(path, "startVmInstance" if power == "running" else "stopVmInstance", {}, timeout=limit)
            starts = True
        elif new and on_change == "reboot" and power == "running":
            client.action(path, "rebootVmInstance", {}, timeout=limit)
            starts = True
        elif power == "running":
            starts = restart_if_needed(client, prior["uuid"], planned, limit) or starts
        if starts:
            try:
                come_up(context, planned | {"uuid": prior["uuid"]}, came)
            except Exception as error:
                raise Partial(error, self._present(context, prior["uuid"], planned)) from error

    def halfway(self, context: Context, prior: Object, planned: Object) -> Object:
        """The wish of a host is one that is fulfilled, else the next plan would not bring back a VM that has moved."""
        state, wished = super().halfway(context, prior, planned), planned["host_uuid"]
        moved = isinstance(wished, str) and host_of(context.client, prior["root_volume_uuid"]) == wished
        return state | ({"host_uuid": wished} if moved else {})

    def must_be_ours(self, context: Context, inventory: Inventory) -> None:
        roots = [inventory["rootVolumeUuid"]] if inventory.get("rootVolumeUuid") else []
        must_have_no_snapshots(context.client, f"VM {inventory['name']}", roots)

    def release(self, context: Context, inventory: Inventory, state: Object) -> None:
        release_data_volumes(context.client, inventory, self.limit("delete", state))

    def gone(self, inventory: Inventory) -> bool:
        return inventory.get("state") in GONE

    def merge(self, context: Context, inventory: Inventory, state: Object) -> Object:
        merged = super().merge(context, inventory, state)
        context.private[PLACED] = _placed(context.client, inventory)
        tags = VmTags.of(context.client, state["uuid"])
        # Wishes stay wishes: the inventory's words of the same name are facts.
        merged |= {wish: state.get(wish) for wish in (*WISHES, "cpu_mode")}
        merged["root_disk_size"] = state.get("root_disk_size") or _root(inventory).get("size")
        merged |= tags.merged(state) | merge_start(context.client, inventory, tags, state)
        nics = sorted(inventory.get("vmNics", []), key=lambda nic: nic.get("deviceId", 0))
        merged["nics"] = [_nic(nic) for nic in nics]
        default = inventory.get("defaultL3NetworkUuid")
        main = next((nic for nic in nics if nic["l3NetworkUuid"] == default), nics[0] if nics else {})
        merged["ip"], merged["mac"] = main.get("ip"), main.get("mac")
        networks = as_stated([nic["l3NetworkUuid"] for nic in nics], state.get("network_uuids"))
        static = merged.pop("static_ips")
        merged["network_uuids"] = networks if networks else state.get("network_uuids")
        merged["network_interfaces"] = [{"network_uuid": one, "static_ip": static.get(one)} for one in networks]
        merged["power_state"] = POWER_OF_STATE.get(inventory.get("state", ""), state.get("power_state") or "running")
        return merged

    def foresee(self, context: Context, inventories: Sequence[Inventory]) -> None:
        uuids = [one["uuid"] for one in inventories]
        context.client.foresee(TAGS, uuids)
        context.client.foresee(SETTINGS, uuids)
        never_ran = [one for one in inventories if not (one.get("hostUuid") or one.get("lastHostUuid"))]
        context.client.foresee(PLACES, [one["rootVolumeUuid"] for one in never_ran if one.get("rootVolumeUuid")])

    def describe(self, context: Context, inventory: Inventory) -> Object:
        """An imported VM is wished to be where it is."""
        state = super().describe(context, inventory)
        state |= VmTags.of(context.client, inventory["uuid"]).merged(state, everything=True)
        state.pop("static_ips")
        where: Object = context.private[PLACED]
        order = settings(context.client, inventory["uuid"]).get("bootOrder")
        return (
            state | where | {"root_disk_offering_uuid": _root(inventory).get("diskOfferingUuid"), "boot_order": order}
        )

    def configuration(self, state: Object) -> Object:
        """One of the two ways to name its networks, and the narrowest wish of where it is."""
        written = super().configuration(state)
        static = any(one["static_ip"] for one in written["network_interfaces"] or [])
        written["network_uuids" if static else "network_interfaces"] = None
        return written | ({"zone_uuid": None, "cluster_uuid": None} if written["host_uuid"] else {})


def _told(context: Context, planned: Object) -> Object:
    """`planned` with the user data that only the configuration has."""
    secret = context.config.get("user_data_wo")
    return planned if secret is None else planned | {"user_data": secret}


def _placed(client: ControlPlane, inventory: Inventory) -> Object:
    """Zone, cluster and host of a VM; a VM that has never run is where its root volume is."""
    host = inventory.get("hostUuid") or inventory.get("lastHostUuid")
    if host is None and inventory.get("rootVolumeUuid"):
        host = host_of(client, inventory["rootVolumeUuid"])
    return {"zone_uuid": inventory.get("zoneUuid"), "cluster_uuid": inventory.get("clusterUuid"), "host_uuid": host}


def _root(inventory: Inventory) -> Inventory:
    return next((one for one in inventory.get("allVolumes", []) if one["type"] == "Root"), {})


def _nic(nic: Inventory) -> Object:
    return {
        "uuid": nic["uuid"],
        "network_uuid": nic["l3NetworkUuid"],
        "device_id": nic.get("deviceId"),
        **{name: nic.get(name) for name in ("ip", "mac", "netmask", "gateway")},
    }
