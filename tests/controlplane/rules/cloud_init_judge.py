"""Runs inside Debian's cloud-init (see `test_cloud_init.py`): what it makes of user data. JSON lines in, JSON lines out.

In: base64 of user data. Out: the parts it hands to its handlers, as [type, base64 of the content], and the cloud-config
that it merges from them.
"""

import base64
import json
import logging
import sys

from cloudinit import handlers
from cloudinit.handlers.cloud_config import CloudConfigPartHandler
from cloudinit.helpers import Paths
from cloudinit.settings import PER_ALWAYS
from cloudinit.user_data import UserDataProcessor

logging.disable(logging.CRITICAL)
paths = Paths({"cloud_dir": sys.argv[1], "run_dir": sys.argv[1]})
for line in sys.stdin:
    message = UserDataProcessor(paths).process(base64.b64decode(line))
    config = CloudConfigPartHandler(paths)
    config.handle_part(None, handlers.CONTENT_START, None, None, PER_ALWAYS, None)
    parts = []
    for part in message.walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        parts.append([part.get_content_type(), base64.b64encode(content).decode()])
        if part.get_content_type() == "text/cloud-config":
            text = content.decode()
            config.handle_part(None, part.get_content_type(), part.get_filename(), text, PER_ALWAYS, dict(part.items()))
    merged = config.cloud_buf or {}
    print(json.dumps({"parts": parts, "config": merged}, default=str), flush=True)
