#!/usr/bin/env python3
"""When a film is there after its last segment: encoded part by part (--stitch auto), in one piece (--stitch full), by xfade.

    python3 tests/bench/parts.py [--segments 10] [--seconds 6] [--program target/release/travel-host]

The clips are those of stitch.py: 1280x720, 81 frames, overlaps of 12, x264 medium, crf 17. A card is played by a program over
travel-generator/1 that takes so many seconds a segment and hands such a clip over. Figures, by the run's own events:

    auto, full    from the success of the last segment to the run's
    stitch        of auto: the stitch task alone, all parts being there
    xfade         FFmpeg over the same clips
"""

import argparse
import functools
import json
import os
import shutil
import sys
import tempfile
import time

import devices
import stitch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def be_a_card(folder, seconds):
    sys.path.insert(0, os.path.join(ROOT, "examples/generators/opencv-flow"))
    from travel_generator import serve

    def render(job, report):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            report("denoise", 1, 2)
        count = os.path.join(folder, "count")
        done = int(open(count, encoding="utf-8").read()) if os.path.exists(count) else 0
        shutil.copyfile(os.path.join(folder, f"s{done}.mp4"), job["output"])
        with open(count, "w", encoding="utf-8") as out:
            out.write(str(done + 1))

    serve(hello={"name": "a card", "grid": {}, "inputs": ["guide", "mask"]}, render=render)


def film(program, clips, how, segments, seconds, pictures):
    """Seconds from the last segment to the film, and of the stitch."""
    desk = tempfile.mkdtemp(prefix="parts-bench-")
    try:
        count = os.path.join(clips, "count")
        if os.path.exists(count):
            os.remove(count)
        command = [sys.executable, os.path.abspath(__file__), "--card", clips, str(seconds)]
        with open(os.path.join(desk, "travel-host.toml"), "w", encoding="utf-8") as config:
            config.write(f"[generators.card]\ncommand = {json.dumps(command)}\npool = \"gpu\"\nallow-still = true\n")
        stills = [pictures[i % len(pictures)] for i in range(segments + 1)]
        frames = ",".join(["81"] + [str(stitch.FRAMES - stitch.OVERLAP)] * (segments - 1))
        ask = functools.partial(devices.ask, program, desk)
        ask("render", *stills, "-o", "film.mp4", "--name", "film", "--generator", "card", "--resolution", "1280x720", "--stitch", how,
            "--segment-frames", frames, "--frame-overlap", str(stitch.OVERLAP), "--param", "crossfade.colour_match=off")
        want = segments * stitch.FRAMES - (segments - 1) * stitch.OVERLAP
        assert stitch.frames(os.path.join(desk, "film.mp4")) == want
        names = {task["id"]: task["name"] for task in ask("tasks", "list", "film")[0]}
        ends, begins = {}, {}
        for event in ask("runs", "events", "film"):
            name = names.get(event["task"], "run")
            if event["kind"] in ("task_succeeded", "run_succeeded"):
                ends[name] = event["at"]
            if event["kind"] == "task_started":
                begins[name] = event["at"]
        last = max(at for name, at in ends.items() if name.startswith("segment"))
        size = os.path.getsize(os.path.join(desk, "film.mp4"))
        return (ends["run"] - last) / 1000, (ends["stitch"] - begins["stitch"]) / 1000, size
    finally:
        shutil.rmtree(desk)


def main():
    if sys.argv[1:2] == ["--card"]:
        return be_a_card(sys.argv[2], float(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--program", default="target/release/travel-host")
    args = parser.parse_args()
    program = os.path.abspath(args.program)
    photos = os.path.join(ROOT, "examples/photos")
    pictures = sorted(os.path.join(photos, name) for name in os.listdir(photos) if name.endswith(".jpg"))
    clips = tempfile.mkdtemp(prefix="parts-bench-clips-")
    try:
        names = stitch.make(clips, args.segments, None)
        full, _, full_size = film(program, clips, "full", args.segments, 0, pictures)
        auto, alone, auto_size = film(program, clips, "auto", args.segments, args.seconds, pictures)
        xfade, _, _ = stitch.run(stitch.xfade(os.path.join(clips, "out.mp4"), names))
        print(f"{args.segments} segments, load {os.getloadavg()[0]:.1f}")
        print(f"full   {full:6.2f} s after the last segment")
        print(f"auto   {auto:6.2f} s, {auto / full:.3f} of full; its film is {auto_size / full_size - 1:+.1%} as large")
        print(f"stitch {alone:6.2f} s, {alone / full:.3f} of full, {alone / xfade:.3f} of xfade")
        print(f"xfade  {xfade:6.2f} s")
    finally:
        shutil.rmtree(clips)


if __name__ == "__main__":
    main()
