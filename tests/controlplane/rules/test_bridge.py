"""Names the kernel accepts, addresses nobody else has."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.rules.bridge import LIMIT, bridge_name, nic_mac, service_mac, tap_name

UUID = st.text("0123456789abcdef", min_size=32, max_size=32)


def test_names():
    assert bridge_name("eth0", None) == "br_eth0"
    assert bridge_name("enp0s31f6", 4095) == "br_enp0s31_4095"
    assert tap_name(12, 0) == "vnic12.0"


@given(st.text("abcdefgh0123456789", min_size=1, max_size=15), st.none() | st.integers(0, 4095))
def test_names_are_short(interface, vlan):
    assert len(bridge_name(interface, vlan)) <= LIMIT


@given(UUID, UUID, st.integers(0, 23))
def test_macs_are_unicast_local_and_kept_apart(seed, l3, device_id):
    nic, service = nic_mac(seed, device_id), service_mac(l3)
    assert nic != service
    for mac in (nic, service):
        first = int(mac.split(":")[0], 16)
        assert (first & 1, first & 2) == (0, 2)
        assert len(mac) == 17
