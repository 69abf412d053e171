"""What the instances of the stories refer to, in the same working directory: unknown at first, as a user's own would be."""

from tests.provider.cloud import Cloud
from tests.provider.stack import land_for_vms

HOSTS = 16
MORE = """
locals {
  images    = "%(images)s"
  addresses = %(addresses)s
}
resource "steppe_zone" "b" { name = "zone b" }
"""


def land(cloud: Cloud, more: str) -> str:
    """`more` is what one story needs besides."""
    addresses = str(cloud.addresses).replace("'", '"')
    return land_for_vms(cloud) + MORE % {"images": cloud.images, "addresses": addresses} + more
