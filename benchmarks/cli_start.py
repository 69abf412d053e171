"""How long `steppe help` takes beside `python -c pass`: the start of the command, without a server.

    python -m benchmarks.cli_start --runs 30

User and system time of the processes are shown too: on a busy machine they tell more than the clock.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.priority import ahead

ROOT = Path(__file__).resolve().parents[1]
TARGET = 0.15  # seconds


def spent(words: list[str], home: str, runs: int) -> tuple[list[float], float]:
    """Seconds by the clock of each run, and of the processor for one on average."""
    environment = {**os.environ, "HOME": home}

    def run() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment, cwd=ROOT)
        return time.perf_counter() - begun

    run()  # files are cached, the table of declarations is made
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = [run() for _ in range(runs)]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    ahead()
    with tempfile.TemporaryDirectory() as home:
        print(f"{'':22} {'best':>8} {'median':>8} {'processor':>10}")
        bare = 0.0
        for what, words in (("python -c pass", ["-c", "pass"]), ("steppe help", ["-m", "cli.main", "help"])):
            times, processor = spent(words, home, options.runs)
            best, median = min(times), statistics.median(times)
            bare = bare or best
            print(f"{what:22} {best:7.3f}s {median:7.3f}s {processor:9.3f}s  {best / bare:5.1f} x  (target {TARGET} s)")


if __name__ == "__main__":
    main()
