"""Generate provider/wire/tfplugin6_pb2.py (and its types) from tfplugin6.proto."""

import sys
from pathlib import Path

from grpc_tools import protoc

WIRE = Path(__file__).resolve().parent.parent / "provider" / "wire"


def main() -> int:
    exit_status: int = protoc.main(
        ["protoc", f"-I{WIRE}", f"--python_out={WIRE}", f"--pyi_out={WIRE}", str(WIRE / "tfplugin6.proto")]
    )
    if exit_status == 0:
        types = WIRE / "tfplugin6_pb2.pyi"
        text = types.read_text()  # mypy --strict wants it whole
        text = text.replace("_Mapping]", "_Mapping[str, object]]").replace("**kwargs)", "**kwargs: object)")
        types.write_text(text)
    return exit_status


if __name__ == "__main__":
    sys.exit(main())
