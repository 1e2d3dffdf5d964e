#!/usr/bin/env python3
"""What the host itself costs a segment: all wall time of a run but generation, encoding and decoding.

    python3 tests/bench/overhead.py [--segments 20] [--rounds 5] [--program target/release/travel-host]

Each round submits a film of so many 81-frame 832x480 legs to a fresh database, with `dissolve` as the generator, and lets
`run --until-idle` make it; tasks follow one another, because neighbours overlap. From the stored attempts and phases:

    overhead = (last task's end - run's acceptance by a host - guide - generate - verify - measure - stitch) / segments

`guide` decodes, scales and encodes the guide and mask clips, `verify` and `measure` decode, `stitch` decodes and encodes. What
is left is the queue, the plugins, threads, hashing, `fsync` and the moving of files. The limit is the disk: the same bytes
are written and synced once, without a host, in the same round.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

CODEC_PHASES = ("guide", "generate", "verify", "post", "measure", "stitch", "contact-sheet")


def ask(program, folder, *args):
    done = subprocess.run([program, *args, "--json"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(args)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def sync_again(paths, folder):
    """Milliseconds to write and sync the same bytes, file by file."""
    begun = time.monotonic()
    for i, path in enumerate(paths):
        with open(path, "rb") as source, open(os.path.join(folder, f"copy-{i}"), "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
    return (time.monotonic() - begun) * 1000


def one_round(program, pictures, segments):
    folder = tempfile.mkdtemp(prefix="overhead-bench-")
    try:
        stills = [pictures[i % len(pictures)] for i in range(segments + 1)]
        ask(program, folder, "travel", *stills, "--name", "bench", "--resolution", "832x480", "--segment-frames", "81",
            "--frame-overlap", "16", "--generator", "dissolve", "--preset", "ultrafast")
        ask(program, folder, "run", "--until-idle")
        run = ask(program, folder, "runs", "show", "bench")[0]
        if run["state"] != "succeeded":
            sys.exit(f"the run is {run['state']}: {run['error']}")
        details = [ask(program, folder, "tasks", "show", str(task["id"]))[0] for task in run["tasks"]]
        began = min(attempt["started_at"] for detail in details for attempt in detail["attempts"])
        phases = {}
        for detail in details:
            for phase, ms in detail["output"]["phases_ms"].items():
                phases[phase] = phases.get(phase, 0) + ms
        wall = run["finished_at"] - began
        codec = sum(phases.get(phase, 0) for phase in CODEC_PHASES)
        cas = os.path.join(folder, "travel-host.data", "cas")
        made = [file for detail in details for file in detail["made"]]
        stored = [os.path.join(cas, file["hash"][:2], file["hash"][2:]) for file in made]
        disk = sync_again(stored, folder)
        return [wall, codec, (wall - codec) / segments, phases.get("store", 0) / segments, disk / segments]
    finally:
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", default="target/release/travel-host")
    parser.add_argument("--pictures", default="examples/photos")
    args = parser.parse_args()
    folder = os.path.abspath(args.pictures)
    pictures = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".jpg"))
    program = os.path.abspath(args.program)
    rounds = [one_round(program, pictures, args.segments) for _ in range(args.rounds)]
    wall, codec, overhead, store, disk = (statistics.median(column) for column in zip(*rounds))
    print(f"{args.segments} segments of 832x480; medians of {args.rounds} rounds; load {os.getloadavg()[0]:.1f}")
    print(f"run {wall / 1000:.2f} s, of which generating, encoding, decoding {codec / 1000:.2f} s")
    print(f"overhead {overhead:.1f} ms a segment, of which storing files {store:.1f} ms (bare write and fsync: {disk:.1f} ms)")


if __name__ == "__main__":
    main()
