#!/usr/bin/env python3
"""How soon what runs has stopped after `runs cancel`, and how soon a program that does not listen is gone.

    python3 tests/bench/stop.py [--rounds 7] [--program target/release/travel-host]

Each round lets a host work on a leg that would take minutes, waits until it generates (or renders the guide), cancels the run and
reads the host's events. Figures, in milliseconds from the start of the command, p50 and most:

    guide       a guide is being rendered
    rife        the network is at work
    program     a program over travel-generator/1 works and listens
    deaf        one that ignores the request: until its process group is gone
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

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = {
    "guide": ("dissolve", "60000", lambda e: e.get("phase") == "guide"),
    "rife": ("rife", "60", lambda e: e.get("phase") == "generate"),
    "program": ("patient", "81", lambda e: str(e.get("phase", "")).startswith("generate: ")),
    "deaf": ("deaf", "81", lambda e: str(e.get("phase", "")).startswith("generate: ")),
}


def be_patient():
    sys.path.insert(0, os.path.join(ROOT, "examples/generators/opencv-flow"))
    from travel_generator import serve

    def render(job, report):
        for step in range(1000):
            report("denoise", step, 1000)
            time.sleep(0.1)

    serve(hello={"name": "patient", "grid": {}, "inputs": ["guide", "mask"]}, render=render)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def one_round(program, pictures, case):
    generator, frames, has_begun = CASES[case]
    folder = tempfile.mkdtemp(prefix="stop-bench-")
    try:
        commands = {
            "patient": [sys.executable, os.path.abspath(__file__), "--patient"],
            "deaf": [sys.executable, os.path.join(ROOT, "host/generators/tests/faulty.py"), "ignores-cancel"],
        }
        with open(os.path.join(folder, "travel-host.toml"), "w", encoding="utf-8") as config:
            for name, command in commands.items():
                config.write(f"[generators.{name}]\ncommand = {json.dumps(command)}\npool = \"cpu\"\n")
        subprocess.run([program, "travel", *pictures[:2], "--name", "bench", "--resolution", "640x432", "--segment-frames", frames,
                        "--generator", generator, "--json"], cwd=folder, check=True, capture_output=True)
        host = subprocess.Popen([program, "run", "--until-idle", "--json"], cwd=folder, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
        events = map(json.loads, host.stdout)
        next(event for event in events if has_begun(event))
        begun = time.monotonic()
        subprocess.run([program, "runs", "cancel", "bench", "--json"], cwd=folder, check=True, capture_output=True)
        next(event for event in events if event["event"] == "task-cancelled")
        if case == "deaf":
            with open(os.path.join(folder, "pids"), encoding="utf-8") as pids:
                noted = pids.read().split()
            while any(map(lives, noted)):
                time.sleep(0.01)
        took = (time.monotonic() - begun) * 1000
        host.communicate()
        return took
    finally:
        shutil.rmtree(folder)


def main():
    if sys.argv[1:2] == ["--patient"]:
        return be_patient()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--program", default=os.path.join(ROOT, "target/release/travel-host"))
    args = parser.parse_args()
    folder = os.path.join(ROOT, "examples/photos")
    pictures = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".jpg"))
    program = os.path.abspath(args.program)
    print(f"| what runs | stopped after ms, p50 | most of {args.rounds} |\n|---|---:|---:|")
    for case in CASES:
        times = [one_round(program, pictures, case) for _ in range(args.rounds)]
        print(f"| {case} | {statistics.median(times):.0f} | {max(times):.0f} |")


if __name__ == "__main__":
    main()
