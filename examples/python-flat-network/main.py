"""VMs on a flat network, one on each KVM host, with user data from Python objects: `examples/flat-network` in Python.

    pip install steppe_cdktf-*.whl
    HOST_IPS=10.0.0.11,10.0.0.12,10.0.0.13 IMAGE_URL=http://… SSH_PUBLIC_KEY="$(cat ~/.ssh/id_ed25519.pub)" python main.py
    cd cdktf.out/stacks/flat-network && terraform init && terraform apply

The endpoint and the login come from STEPPE_ENDPOINT, STEPPE_USERNAME and STEPPE_PASSWORD.
"""

import os

from cdktf import App, TerraformOutput, TerraformStack
from constructs import Construct
from steppe_cdktf import (
    DEFAULT_USER,
    CloudConfig,
    FlatNetwork,
    Group,
    KvmCluster,
    SteppeProvider,
    User,
    VirtualMachine,
    instance_offering,
)


class FlatNetworkStack(TerraformStack):
    """One VM for each host."""

    def __init__(self, scope: Construct, id: str, *, host_ips: list[str], image_url: str, key: str) -> None:
        super().__init__(scope, id)
        SteppeProvider(self, "steppe")
        # Each host's agent has enrolled before: `steppe CreateHostEnrollmentToken` prints the command to run there.
        cluster = KvmCluster(self, "cloud", hosts=host_ips)
        # Every host answers DHCP and serves metadata for its own guests.
        flat = FlatNetwork(
            self,
            "flat",
            cluster=cluster,
            interface="eth1",
            cidr="10.20.0.0/24",
            dhcp=("10.20.0.10", "10.20.0.200"),
            dns=["10.20.0.1"],
            dns_domain="flat.example",
        )
        image = cluster.image("guest", url=image_url)
        small = instance_offering(self, "small", cpus=1, memory="512 MiB")
        foobar = User(
            name="foobar",
            gecos="Foo B. Bar",
            primary_group="foobar",
            groups=["users", "cloud-users"],
            shell="/bin/bash",
            lock_passwd=True,
            ssh_authorized_keys=[key],
        )
        config = CloudConfig(
            groups=[Group("ubuntu", ["foo", "bar"]), "cloud-users"],
            users=[DEFAULT_USER, foobar],
        )
        for number, host in enumerate(cluster.hosts, 1):
            vm = VirtualMachine(
                self,
                f"vm-{number}",
                image=image,
                offering=small,
                network=flat,
                on=host,
                hostname=f"vm-{number}",
                user_data=config,
                ssh_keys=[key],
            )
            TerraformOutput(self, f"ip-{number}", value=vm.ip)


app = App()
FlatNetworkStack(
    app,
    "flat-network",
    host_ips=os.environ["HOST_IPS"].split(","),
    image_url=os.environ["IMAGE_URL"],
    key=os.environ["SSH_PUBLIC_KEY"],
)
app.synth()
