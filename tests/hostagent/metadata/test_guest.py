"""curl in a guest's namespace: both addresses, CloudStack's and EC2's way, the name, and the ports that must not hang."""

from base64 import b64encode
from collections.abc import Iterator

import pytest

from tests.hostagent.network.lab import SERVICE_IP, Guest, Lab, lab, network, snapshot

pytestmark = pytest.mark.host
USER_DATA = "#cloud-config\nusers:\n- name: foobar\n"


@pytest.fixture(scope="module")
def guests() -> Iterator[list[Guest]]:
    with lab() as made:
        yield prepared(made)


def prepared(made: Lab) -> list[Guest]:
    host = made.host("one")
    host.apply(snapshot(1))
    alice, bob, stranger = (host.guest(number) for number in (11, 12, 13))
    instances = [
        alice.metadata(user_data_base64=b64encode(USER_DATA.encode()).decode()),
        bob.metadata(tokens="required"),
    ]
    ports = [alice.port(), bob.port(), stranger.port()]
    host.apply(snapshot(2, networks=[network(ports)], instances=instances))
    for guest in (alice, bob, stranger):
        guest.configure()
        guest.run("ip", "route", "add", "169.254.169.254/32", "via", SERVICE_IP)
    return [alice, bob, stranger]


def curl(guest: Guest, url: str, *arguments: str) -> str:
    done = guest.run("curl", "-sS", "-m", "5", "-w", " %{http_code}", *arguments, url, check=False)
    return done.stdout or done.stderr


@pytest.mark.parametrize("address", [SERVICE_IP, "169.254.169.254"])
def test_cloudstack_and_ec2_ways(guests: list[Guest], address: str) -> None:
    alice, bob, stranger = guests
    assert curl(alice, f"http://{address}/latest/user-data") == f"{USER_DATA} 200"
    listing = curl(alice, f"http://{address}/latest/meta-data/").split()
    assert {"instance-id", "local-hostname", "local-ipv4", "public-keys", "vm-id"} <= set(listing)
    assert curl(alice, f"http://{address}/2009-04-04/meta-data/public-keys/0/openssh-key") == "ssh-ed25519 AAAA one 200"
    assert curl(stranger, f"http://{address}/latest/meta-data/instance-id") == " 404"
    assert curl(bob, f"http://{address}/latest/meta-data/instance-id") == " 401"
    ttl = ("-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60")
    token = curl(bob, f"http://{address}/latest/api/token", *ttl).split()[0]
    header = ("-H", f"X-aws-ec2-metadata-token: {token}")
    assert curl(bob, f"http://{address}/latest/meta-data/instance-id", *header) == "i-12 200"


def test_the_password_port_answers_and_other_ports_refuse(guests: list[Guest]) -> None:
    alice = guests[0]
    password = ("-H", "DomU_Request: send_my_password")
    assert curl(alice, f"http://{SERVICE_IP}:8080/", *password) == "saved_password 200"
    closed = alice.run("curl", "-sS", "-m", "5", f"http://{SERVICE_IP}:22/", check=False)
    assert closed.returncode == 7, "refused, not timed out"


def test_the_name_leads_to_the_service(guests: list[Guest]) -> None:
    alice = guests[0]
    for name, said in (("data-server", SERVICE_IP), ("data-server.lan.example", SERVICE_IP)):
        found = alice.run("busybox", "nslookup", "-type=a", name, SERVICE_IP, check=False).stdout
        assert f"Address: {said}" in found.replace("\t", " "), found
    other = alice.run("busybox", "nslookup", "-type=a", "example.com", SERVICE_IP, check=False)
    assert "REFUSED" in other.stdout + other.stderr
