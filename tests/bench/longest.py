#!/usr/bin/env python3
"""Submits the longest run that there may be, 10,000 segments, and a run of one, and prints how much longer and larger that is.

    python3 tests/bench/longest.py [--rounds 3] [--different 5]

--different says how many of the 10,001 stills are files of their own: each is decoded once and stored, which is nearly all of the
time where they are many. `make build` first. The photographs of examples/ are used.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
STILLS = 10_001
FILM = ["--generator", "dissolve", "--resolution", "96x64", "--segment-frames", "5", "--frame-overlap", "2"]


def submit(program, folder, name, stills):
    """Seconds, and the peak of its memory in MiB."""
    command = [program, "travel", *stills, *FILM, "--name", name, "--json"]
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[:2]} ended with status {status}")
    return time.monotonic() - begun, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--different", type=int, default=5)
    args = parser.parse_args()
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    program = str(pathlib.Path(target, "release/travel-host").resolve())
    photos = sorted((ROOT / "examples/photos").glob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for i in range(args.different):
            files.append(os.path.join(folder, f"{i}.jpg"))
            # A file of its own by a byte behind the picture's end.
            pathlib.Path(files[-1]).write_bytes(photos[i % len(photos)].read_bytes() + bytes([i % 256, i // 256]))
        stills = [files[i % len(files)] for i in range(STILLS)]
        rounds = [(submit(program, folder, f"short-{i}", stills[:2]), submit(program, folder, f"long-{i}", stills))
                  for i in range(args.rounds)]
        short, long = zip(*rounds)
    (short_s, short_mb), (long_s, long_mb) = ([statistics.median(column) for column in zip(*runs)] for runs in (short, long))
    print(f"10,000 segments submitted, of {args.different} different stills: {long_s:.2f} s and {long_mb:.0f} MiB; "
          f"one segment: {short_s:.2f} s and {short_mb:.0f} MiB; "
          f"the difference: {long_s - short_s:.2f} s, {long_mb - short_mb:.0f} MiB; medians of {args.rounds} rounds")


main()
