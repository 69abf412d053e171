"""`python -m tools.guests NAME [--out PATH]`: build a guest image, or take it from the cache, and print its path."""

import argparse
import shutil
from pathlib import Path

from tools.guests import debian, installer, kernel, nano, tiny
from tools.guests.cache import image

BUILDERS = {
    "nano": nano.DISK,
    "nano-iso": nano.ISO,
    "tiny": tiny.DISK,
    "tiny-iso": tiny.ISO,
    "debian": debian.DISK,
    "installer": installer.ISO,
    "kernel": kernel.KERNEL,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.guests", description=__doc__)
    parser.add_argument("guest", choices=sorted(BUILDERS))
    parser.add_argument("--out", type=Path, help="also copy the image to this path, and print that")
    options = parser.parse_args()
    path = image(BUILDERS[options.guest])
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, options.out)
        path = options.out
    print(path)


if __name__ == "__main__":
    main()
