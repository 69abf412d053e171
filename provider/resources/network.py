"""steppe_network: an L3 network with its address ranges, DNS and services.

One resource for several APIs: the L3 network is created first, then its parts; when a part fails, all of it is removed.
"""

import ipaddress
from collections.abc import Iterator

from provider.client.control_plane import ControlPlane, Inventory, new_uuid
from provider.framework import validate
from provider.framework.diagnostics import Path, Refused
from provider.framework.plan import Object, Plan
from provider.framework.resource import Context
from provider.framework.schema import Nested, Schema, computed, optional, required
from provider.framework.types import STRING, UNKNOWN, Value, list_of, set_of, wholly_known
from provider.resources.base import Table, identity, reference, same_or, timeouts
from provider.resources.enablement import state

SERVICES = ("DHCP", "Userdata")
RANGE_FIELDS = ("start_ip", "end_ip", "netmask", "gateway")
RANGE = Nested(
    "list",
    {
        "start_ip": required(STRING, "First address.", validators=(validate.ipv4,)),
        "end_ip": required(STRING, "Last address.", validators=(validate.ipv4,)),
        "netmask": required(STRING, "E.g. `255.255.255.0`.", validators=(validate.netmask,)),
        "gateway": required(STRING, "The guests' router; outside the range.", validators=(validate.ipv4,)),
    },
)


def _ranges_make_sense(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    ranges, cidr = config.get("ip_ranges"), config.get("cidr")
    if not isinstance(ranges, list):
        return
    whole = _range_of(cidr) if isinstance(cidr, str) else None
    if whole and wholly_known(ranges) and [tuple(one[name] for name in RANGE_FIELDS) for one in ranges] != [whole]:
        yield ("cidr",), f"cidr is the range {whole[0]} to {whole[1]}, ip_ranges say something else: leave one out."
    for index, one in enumerate(ranges):
        values = [one.get(name) if isinstance(one, dict) else None for name in RANGE_FIELDS]
        if not all(isinstance(value, str) for value in values):
            continue
        start, end, gateway = (ipaddress.IPv4Address(values[position]) for position in (0, 1, 3))
        network = ipaddress.IPv4Network(f"{start}/{values[2]}", strict=False)
        if start > end:
            yield ("ip_ranges", index, "start_ip"), f"start_ip {start} lies above end_ip {end}."
        elif end not in network:
            yield ("ip_ranges", index, "end_ip"), f"end_ip {end} is not in {network}, the network of start_ip."
        elif start <= gateway <= end:
            yield ("ip_ranges", index, "gateway"), f"gateway {gateway} lies inside the range {start} to {end}."
        elif gateway not in network:
            yield ("ip_ranges", index, "gateway"), f"gateway {gateway} is not in {network}, the network of start_ip."


class Network(Table):
    type_name = "steppe_network"
    collection = "l3-networks"
    create_api = ("CreateL3Network", "/l3-networks")
    update_action = "updateL3Network"
    delete_api = "DeleteL3Network"
    state_action = "changeL3NetworkState"
    creates_with = ("l2_network_uuid", "dns_domain")
    updates = ("dns_domain",)
    schema = Schema(
        identity("network")
        | {
            "l2_network_uuid": reference("the L2 network that carries it"),
            "cidr": optional(
                STRING,
                "The network as a whole, e.g. `10.0.0.0/24`: the first address becomes the gateway, guests get the "
                "others. Instead of `ip_ranges`, or in agreement with it.",
                computed=True,
                keep=True,
                validators=(validate.cidr,),
            ),
            "ip_ranges": optional(
                RANGE,
                "Addresses for guests. Instead of `cidr`, or in agreement with it.",
                computed=True,
                keep=True,
                validators=(validate.filled,),
            ),
            "dns": optional(
                list_of(STRING),
                "Addresses of DNS servers, the best first.",
                validators=(validate.each(validate.ipv4), validate.distinct),
            ),
            "dns_domain": optional(STRING, "DNS domain of the guests.", validators=(validate.length(1, 255),)),
            "services": optional(
                set_of(STRING),
                "Services of the flat provider, on every host: `DHCP` gives guests their addresses, `Userdata` serves "
                "user data, SSH keys and metadata.",
                validators=(validate.each(validate.one_of(*SERVICES)),),
            ),
            "service_ip": computed(STRING, "Address of the services, once they are in use.", keep=False),
            "zone_uuid": computed(STRING, "UUID of the zone."),
        }
        | state("A disabled one takes no new VMs; those that are on it go on.")
        | timeouts(),
        "A flat network (L3): addresses, DNS and services on an L2 network.",
        rules=(_ranges_make_sense,),
    )

    def modify_plan(self, plan: Plan) -> None:
        if plan.prior is None:
            for one, other in (("cidr", "ip_ranges"), ("ip_ranges", "cidr")):
                if plan.config[one] is None and plan.config[other] is None:
                    plan.planned[one] = None
            return
        # Each of the two says what the other one is.
        for one, other in (("cidr", "ip_ranges"), ("ip_ranges", "cidr")):
            if plan.config[other] is None and plan.config[one] is not None and plan.changes(one):
                plan.planned[other] = UNKNOWN

    def update_more(self, context: Context, prior: Object, planned: Object) -> None:
        self.build(context, prior["uuid"], planned)

    def build(self, context: Context, uuid: str, planned: Object) -> None:
        inventory = context.client.find(self.collection, uuid) or {}
        self._bring_ranges(context, uuid, inventory.get("ipRanges", []), planned)
        self._bring_dns(context, uuid, inventory.get("dns", []), planned)
        attached = [ref["networkServiceType"] for ref in inventory.get("networkServices", [])]
        self._bring_services(context, uuid, attached, planned)

    def _bring_ranges(self, context: Context, uuid: str, actual: list[Inventory], planned: Object) -> None:
        """Remove first, then add: a range that is moved may overlap its old place."""
        client: ControlPlane = context.client
        limit = self.limit("update", planned)
        wished = _wished_ranges(planned)
        if wished is None:
            return
        present = {tuple(one[_camel(name)] for name in RANGE_FIELDS): one["uuid"] for one in actual}
        for key in present.keys() - set(wished):
            client.delete("DeleteIpRange", f"/l3-networks/ip-ranges/{present[key]}", timeout=limit)
        for key in wished:
            if key not in present:
                parameters = {_camel(name): value for name, value in zip(RANGE_FIELDS, key, strict=True)}
                parameters |= {"name": f"{key[0]}-{key[1]}", "resourceUuid": new_uuid()}
                client.create("AddIpRange", f"/l3-networks/{uuid}/ip-ranges", parameters, timeout=limit)

    def _bring_dns(self, context: Context, uuid: str, actual: list[str], planned: Object) -> None:
        """The control plane keeps the order of adding: from the first difference on all are added anew."""
        client: ControlPlane = context.client
        limit = self.limit("update", planned)
        wished: list[str] = planned["dns"] or []
        same = 0
        while same < min(len(wished), len(actual)) and wished[same] == actual[same]:
            same += 1
        for server in actual[same:]:
            client.delete("RemoveDnsFromL3Network", f"/l3-networks/{uuid}/dns/{server}", timeout=limit)
        for server in wished[same:]:
            client.create("AddDnsToL3Network", f"/l3-networks/{uuid}/dns", {"dns": server}, timeout=limit)

    def _bring_services(self, context: Context, uuid: str, actual: list[str], planned: Object) -> None:
        client: ControlPlane = context.client
        limit = self.limit("update", planned)
        wished: list[str] = planned["services"] or []
        gone, come = sorted(set(actual) - set(wished)), sorted(set(wished) - set(actual))
        if not gone and not come:
            return
        flat = _provider_of(client, [*gone, *come])
        path = f"/l3-networks/{uuid}/network-services"
        if gone:
            query = "&".join(f"networkServices.{flat}={service}" for service in gone)
            client.delete("DetachNetworkServiceFromL3Network", f"{path}?{query}", timeout=limit)
        if come:
            parameters = {"networkServices": {flat: come}}
            client.create("AttachNetworkServiceToL3Network", path, parameters, timeout=limit)

    def merge(self, context: Context, inventory: Inventory, state: Object) -> Object:
        merged = super().merge(context, inventory, state)
        ranges = [{name: one[_camel(name)] for name in RANGE_FIELDS} for one in inventory.get("ipRanges", [])]
        merged["ip_ranges"] = _in_written_order(state.get("ip_ranges"), ranges)
        merged["cidr"] = _as_written(state.get("cidr"), ranges)
        services = [ref["networkServiceType"] for ref in inventory.get("networkServices", [])]
        merged["services"] = same_or(state.get("services"), sorted(services))
        written, actual = state.get("dns"), inventory.get("dns", [])
        merged["dns"] = actual if actual or written else written
        merged["service_ip"] = context.client.get(f"/l3-networks/{state['uuid']}/dhcp-ip").get("ip")
        return merged

    def configuration(self, state: Object) -> Object:
        written = super().configuration(state)
        return written | ({"ip_ranges": None} if written["cidr"] else {})


def _camel(name: str) -> str:
    return {"start_ip": "startIp", "end_ip": "endIp"}.get(name, name)


def _range_of(cidr: str) -> tuple[str, ...]:
    """What the control plane makes of a CIDR: gateway first, guests from the second to the last but one."""
    network = ipaddress.IPv4Network(cidr, strict=False)
    if network.num_addresses < 4:
        raise Refused("Invalid cidr", f"{cidr} has no room for a gateway and a guest.", ("cidr",))
    return str(network[2]), str(network[-2]), str(network.netmask), str(network[1])


def _wished_ranges(planned: Object) -> list[tuple[str, ...]] | None:
    """The wished ranges as tuples; None when the user says nothing about them."""
    if isinstance(planned["ip_ranges"], list):
        return [tuple(one[name] for name in RANGE_FIELDS) for one in planned["ip_ranges"]]
    if isinstance(planned["cidr"], str):
        return [_range_of(planned["cidr"])]
    return None


def _in_written_order(written: Value, actual: list[Object]) -> Value:
    if isinstance(written, list) and sorted(map(str, written)) == sorted(map(str, actual)):
        return written
    return actual or None


def _as_written(written: Value, ranges: list[Object]) -> Value:
    """The CIDR whose range is the only one there is, spelled as the user did; else none."""
    if len(ranges) != 1:
        return None
    key = tuple(ranges[0][name] for name in RANGE_FIELDS)
    cidr = str(ipaddress.IPv4Network(f"{key[0]}/{key[2]}", strict=False))
    if isinstance(written, str) and _range_of(written) == key:
        return written
    return cidr if _range_of(cidr) == key else None


def _provider_of(client: ControlPlane, services: list[str]) -> str:
    """The network service provider that offers all of `services`."""
    for one in client.query("network-services/providers"):
        if set(services) <= set(one.get("networkServiceTypes", [])):
            return str(one["uuid"])
    wanted = ", ".join(services)
    raise Refused("No network service provider", f"The control plane has none that offers {wanted}.", ("services",))
