"""The options that a network offers, encoded once: what a NIC gets depends only on the network and on being the default.

Only the default network's NIC gets router, DNS, names and time servers (a guest with two routers or two search lists
works by chance). Every NIC gets the route to the metadata address where the network serves metadata.
DNS (6) is the network's own list exactly as declared; a network without one names the service address, which answers
`data-server` and refuses the rest at once. cloud-init's CloudStack source needs neither: where `data-server` does not
resolve, it takes the server identifier (54) of the lease, and that is the metadata address.
"""

from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from hostagent.contract import NetworkSpec
from hostagent.contract.error import rejected
from hostagent.dhcp import message as m

METADATA_ADDRESS = "169.254.169.254"
INFINITE = 0xFFFFFFFF


def offered(network: NetworkSpec, is_default: bool) -> dict[int, bytes]:
    """Options by code, as they stand on the wire, of a lease on `network`; without the host name, which is the NIC's.

    Raises: invalid_spec, naming the attribute that cannot be encoded.
    """
    subnet = parsed_network("cidr", network.cidr)
    values = {
        m.SUBNET_MASK: subnet.netmask.packed,
        m.BROADCAST_ADDRESS: subnet.broadcast_address.packed,
        m.MTU: number("mtu", network.mtu, 2),
    }
    if network.tftp_server:
        values[m.TFTP_SERVER] = ascii_text("tftp_server", network.tftp_server)
    if network.boot_file:
        values[m.BOOT_FILE] = ascii_text("boot_file", network.boot_file)
    if is_default:
        servers = network.dns or ([network.service_ip] if network.userdata and network.service_ip else [])
        values[m.ROUTER] = address("gateway", network.gateway) if network.gateway else b""
        values[m.DNS] = b"".join(address("dns", server) for server in servers)
        values[m.NTP] = b"".join(address("ntp", server) for server in network.ntp)
        if network.domain:
            values[m.DOMAIN_NAME] = ascii_text("domain", network.domain)
            values[m.DOMAIN_SEARCH] = domain_name("domain", network.domain)
    if routes := classless_routes(network, is_default):
        values[m.CLASSLESS_ROUTES] = values[m.MICROSOFT_ROUTES] = routes
    return {code: m.option(code, value) for code, value in values.items() if value}


def lease_times(seconds: int) -> bytes:
    """Options 51, 58 and 59: lease time, T1 at a half, T2 at seven eighths (RFC 2131 §4.4.5)."""
    lease = m.option(m.LEASE_TIME, number("lease_seconds", seconds, 4))
    if seconds == INFINITE:
        return lease
    return (
        lease
        + m.option(m.RENEWAL_TIME, (seconds // 2).to_bytes(4, "big"))
        + m.option(m.REBINDING_TIME, (seconds * 7 // 8).to_bytes(4, "big"))
    )


def classless_routes(network: NetworkSpec, is_default: bool) -> bytes:
    """RFC 3442. A client that takes this option ignores the router option, so the default route is said again here."""
    routes = list(network.host_routes)
    if network.userdata and network.service_ip:
        routes.insert(0, (f"{METADATA_ADDRESS}/32", network.service_ip))
    if routes and is_default and network.gateway:
        routes.append(("0.0.0.0/0", network.gateway))
    encoded = b""
    for destination, next_hop in routes:
        subnet = parsed_network("host_routes", destination)
        significant = subnet.network_address.packed[: (subnet.prefixlen + 7) // 8]
        encoded += bytes((subnet.prefixlen,)) + significant + address("host_routes", next_hop)
    return encoded


def domain_name(attribute: str, name: str) -> bytes:
    """A search list of one name, as RFC 1035 labels (RFC 3397)."""
    labels = ascii_text(attribute, name.rstrip(".")).split(b".")
    if not all(0 < len(label) <= 63 for label in labels):
        raise rejected("invalid_spec", f"{attribute}: {name!r} is no domain name: labels have 1 to 63 characters")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def ascii_text(attribute: str, text: str) -> bytes:
    if not text.isascii() or not text.isprintable():
        raise rejected("invalid_spec", f"{attribute}: {text!r} must be printable ASCII")
    return text.encode()


def number(attribute: str, value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError as error:
        raise rejected("invalid_spec", f"{attribute}: {value} is not between 0 and {256**size - 1}") from error


def address(attribute: str, text: str) -> bytes:
    try:
        return IPv4Address(text).packed
    except AddressValueError as error:
        raise rejected("invalid_spec", f"{attribute}: {text!r} is no IPv4 address like 10.0.0.1") from error


def parsed_network(attribute: str, text: str) -> IPv4Network:
    try:
        return IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise rejected("invalid_spec", f"{attribute}: {text!r} is no IPv4 network like 10.0.0.0/16") from error


def mac_address(attribute: str, text: str) -> bytes:
    try:
        mac = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        mac = b""
    if len(mac) != 6:
        raise rejected("invalid_spec", f"{attribute}: {text!r} is no MAC address like fa:16:3e:00:00:01")
    return mac
