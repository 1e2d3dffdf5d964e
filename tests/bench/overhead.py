#!/usr/bin/env python3
"""What the host itself costs a segment: everything but generating, encoding and decoding.

    python3 tests/bench/overhead.py [--program target/release/travel-host] [--segments 20] [--size 832x480]

Renders one film with the dissolve generator and reads what the host recorded of each task. A segment's overhead is the
time between the ends of two neighbouring segments, less its phases `guide`, `generate` and `verify`, which are encoding
and decoding: so claiming, planning in the sandbox, storing, finishing and waking up the next are all in it.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/travel-host")
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--size", default="832x480")
    args = parser.parse_args()
    program = os.path.abspath(args.program)
    folder = tempfile.mkdtemp(prefix="overhead-bench-")
    try:
        images = []
        for i in range(args.segments + 1):
            name = os.path.join(folder, f"{i:03}.png")
            subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"gradients=s={args.size}:seed={i}", "-frames:v", "1",
                            name], check=True)
            images.append(name)

        def ask(*words):
            done = subprocess.run([program, *words, "--json"], cwd=folder, check=True, capture_output=True, text=True)
            return json.loads(done.stdout.splitlines()[-1])

        ask("render", *images, "-o", "film.mp4", "--generator", "dissolve", "--resolution", args.size,
            "--segment-frames", "17", "--frame-overlap", "4", "--preset", "ultrafast", "--name", "bench")
        tasks = [ask("tasks", "show", str(t["id"])) for t in ask("tasks", "list", "bench")]
        segments = [t for t in tasks if t["task"]["kind"] == "travel_segment"]
        ends = [t["task"]["finished_at"] for t in segments]
        media = [sum(t["output"]["phases_ms"].get(p, 0) for p in ("guide", "generate", "verify")) for t in segments]
        overhead = [b - a - m for a, b, m in zip(ends, ends[1:], media[1:])]
        plan = [t["output"]["phases_ms"].get("plan", 0) for t in segments]
        print(f"{len(segments)} segments of {args.size}; load {os.getloadavg()[0]:.1f}")
        print(f"overhead a segment: median {statistics.median(overhead):.1f} ms, most {max(overhead):.1f} ms")
        print(f"  of it planning (inputs parsed, sandbox call, checks): median {statistics.median(plan):.2f} ms")
        print(f"media work a segment: median {statistics.median(media):.0f} ms")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
