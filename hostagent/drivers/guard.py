"""The host's bridge firewall: one nftables table, computed whole from the snapshot and replaced in one transaction.

Promises: the services of a network answer only the guests of that network on this host, and nothing of them (DHCP, ARP
of the service address, its MAC) crosses an uplink; no guest acts as the service; the services hear every guest, protected or not, from its own address alone, because the address
is how they know whom they tell whose data; with anti-spoofing a guest sends only
from its own MAC and IPv4 address, in ARP too, is no DHCP server and no IPv6 router, and sends nothing but IPv4, ARP
and IPv6, and RARP, by which QEMU tells the switches where a guest that has moved is now. A port of our bridges that the snapshot does not know reaches no uplink, service or guest: names are listed
before the devices exist, so a VM is guarded from its first frame. Inbound checks sit in prerouting, because a bridge
has learnt the sender's MAC before the forward hook.
"""

from collections.abc import Iterable

from hostagent.contract import NetworkSpec, PortSpec, SnapshotSpec
from hostagent.drivers import naming, nft

METADATA_ADDRESS = "169.254.169.254"
DHCP_BURST = "50/second burst 100 packets"  # of one guest; a boot needs four

RULES = """
  chain prerouting {
    type filter hook prerouting priority -300; policy accept;
    iifname @uplinks jump from_wire
    iifname @guests jump from_guest
  }
  chain from_wire {
    ether saddr @service_macs counter drop
    iifname . arp saddr ip @wire_service_ips counter drop
    iifname . ip saddr @wire_service_ips counter drop
  }
  chain from_guest {
    ether saddr @service_macs counter drop
    iifname . arp saddr ip @guest_service_ips counter drop
    iifname . ip saddr @guest_service_ips counter drop
    udp dport 67 update @dhcp_rate { iifname limit rate over DHCP_BURST } counter drop
    iifname @protected jump anti_spoofing
  }
  chain anti_spoofing {
    iifname . ether saddr != @guest_macs counter drop
    ether type ip goto anti_spoofing_ip
    ether type arp goto anti_spoofing_arp
    ether type ip6 goto anti_spoofing_ip6
    ether type 0x8035 accept
    counter drop
  }
  chain anti_spoofing_ip {
    udp sport 67 counter drop
    udp dport 67 iifname . @th,288,48 != @client_macs counter drop
    iifname . ip saddr @guest_ips accept
    ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
    counter drop
  }
  chain anti_spoofing_arp {
    iifname . arp saddr ether != @guest_macs counter drop
    iifname . arp saddr ip @guest_ips accept
    arp saddr ip 0.0.0.0 accept
    counter drop
  }
  chain anti_spoofing_ip6 {
    icmpv6 type { nd-router-advert, nd-redirect } counter drop
    udp sport 547 counter drop
  }
  chain local {
    type filter hook input priority -200; policy accept;
    iifname @dhcp_guests udp dport { 67, 68 } counter drop
  }
  chain forward {
    type filter hook forward priority -200; policy accept;
    iifname @dhcp_guests oifname != @services udp dport { 67, 68 } counter drop
    oifname @dhcp_guests iifname != @services udp dport { 67, 68 } counter drop
    oifname @services iifname . oifname != @service_guests counter drop
    iifname @services oifname . iifname != @service_guests counter drop
    oifname @services jump to_service
    oifname @uplinks jump to_wire
    oifname @guests iifname != @ports counter drop
  }
  chain to_service {
    ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
    iifname . ip saddr != @guest_ips counter drop
    arp saddr ip 0.0.0.0 accept
    iifname . arp saddr ip != @guest_ips counter drop
  }
  chain to_wire {
    iifname != @ports counter drop
    ether daddr @service_macs counter drop
    oifname . arp daddr ip @wire_service_ips counter drop
    oifname . ip daddr @wire_service_ips counter drop
  }
""".replace("DHCP_BURST", DHCP_BURST)


def apply(rules: str) -> None:
    """Replace the guard by a `ruleset`. Blocks. Raises: HostError `internal`."""
    nft.run(rules)


def ruleset(snapshot: SnapshotSpec) -> str:
    """The whole table in the language of nft(8). Every value is re-encoded, so that no text of a spec is a command.

    Raises: invalid_spec, naming the attribute.
    """
    table = f"table bridge {naming.TABLE}"
    if not snapshot.bridges and not snapshot.networks:
        return f"{table}\ndelete {table}\n"  # nothing to guard: the host is as it was before it was ours
    uplinks = {bridge.name: naming.uplink(bridge) for bridge in snapshot.bridges}
    networks = snapshot.networks
    served = [network for network in networks if network.service_ip]
    ports = [(network, port) for network in networks for port in network.ports]
    protected = [port for _, port in ports if port.anti_spoofing]
    sets = {
        ("uplinks", "type ifname"): _devices(uplinks.values()),
        ("services", "type ifname"): _devices(naming.service_link(network) for network in served),
        ("guests", "type ifname"): _devices(port.tap for _, port in ports),
        ("protected", "type ifname"): _devices(port.tap for port in protected),
        ("dhcp_guests", "type ifname"): _devices(port.tap for network, port in ports if network.dhcp),
        ("ports", "type ifname"): _devices(
            [*uplinks.values(), *map(naming.service_link, served), *(port.tap for _, port in ports)]
        ),
        ("service_macs", "type ether_addr"): {naming.service_mac(network) for network in served},
        ("service_guests", "type ifname . ifname"): {
            f"{_device(port.tap)} . {_device(naming.service_link(network))}"
            for network, port in ports
            if network.service_ip
        },
        ("wire_service_ips", "type ifname . ipv4_addr"): {
            f"{_device(uplinks[network.bridge])} . {ip}"
            for network in served
            if network.bridge in uplinks
            for ip in _service_ips(network)
        },
        ("guest_service_ips", "type ifname . ipv4_addr"): {
            f"{_device(port.tap)} . {ip}" for network, port in ports for ip in _service_ips(network)
        },
        ("guest_macs", "type ifname . ether_addr"): {f"{_device(p.tap)} . {_mac(p)}" for p in protected},
        ("guest_ips", "type ifname . ipv4_addr"): {f"{_device(p.tap)} . {naming.ipv4('ip', p.ip)}" for _, p in ports},
        # the client's hardware address within a DHCP message: nobody asks in another's name
        ("client_macs", "typeof iifname . @th,288,48"): {
            f"{_device(p.tap)} . 0x{_mac(p).replace(':', '')}" for p in protected
        },
    }
    written = "".join(_set(name, kind, elements) for (name, kind), elements in sets.items())
    rate = "  set dhcp_rate {\n    type ifname; size 65535; flags dynamic; timeout 1m;\n  }\n"
    return f"{table}\ndelete {table}\n{table} {{\n{written}{rate}{RULES}}}\n"


def _set(name: str, kind: str, elements: set[str]) -> str:
    listed = f"    elements = {{ {', '.join(sorted(elements))} }}\n" if elements else ""
    return f"  set {name} {{\n    {kind};\n{listed}  }}\n"


def _service_ips(network: NetworkSpec) -> list[str]:
    return [naming.ipv4("service_ip", network.service_ip), METADATA_ADDRESS] if network.service_ip else []


def _mac(port: PortSpec) -> str:
    return naming.mac("mac", port.mac)


def _devices(names: Iterable[str]) -> set[str]:
    return {_device(name) for name in names}


def _device(name: str) -> str:
    return f'"{naming.device(name)}"'
