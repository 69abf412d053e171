"""Arithmetic of ranges."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.contract.error import ApiError
from controlplane.rules import ipv4


@given(st.integers(1, 29), st.integers(0, 2**32 - 1))
def test_a_cidr_becomes_gateway_and_range(prefix, base):
    network = IPv4Network((base, prefix), strict=False)
    found = ipv4.range_of_cidr(str(network))
    assert found.gateway == network[1]
    assert (found.start, found.end) == (network[2], network[-2])
    assert found.size == network.num_addresses - 3
    again = ipv4.range_of(str(found.start), str(found.end), str(network.netmask), str(found.gateway))
    assert again == found


@given(st.integers(0, 2**32 - 1))
def test_a_netmask_is_ones_then_zeros(number):
    text = ".".join(str(byte) for byte in number.to_bytes(4, "big"))
    is_mask = number > 0 and f"{number:032b}".rstrip("0").count("0") == 0
    if is_mask:
        assert ipv4.prefix_length(text) == f"{number:b}".count("1")
    else:
        with pytest.raises(ApiError):
            ipv4.prefix_length(text)


@pytest.mark.parametrize("name", ["a", "web-1", "a.b.example.org", "1a", "x" * 63])
def test_host_names(name):
    assert ipv4.is_hostname(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a..b", "a b", "ä", "x" * 64, "10.0.0.1", "a_b", ".", "a\n"])
def test_no_host_names(name):
    assert not ipv4.is_hostname(name)
