"""The metadata service of a flat network: what a guest may learn about itself over HTTP, and the name that leads there.

A guest is known by its network and source address alone; anti-spoofing is what makes that an authentication. One tree
of documents serves the CloudStack, EC2 (with IMDSv2) and OpenStack sources of cloud-init. Nothing here does I/O but
`server`, on sockets that its caller opened.
"""

from hostagent.metadata.directory import Directory, Guest
from hostagent.metadata.server import MetadataServer, PasswordServer
from hostagent.metadata.token import Tokens

__all__ = ["Directory", "Guest", "MetadataServer", "PasswordServer", "Tokens"]
