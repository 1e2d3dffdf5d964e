#!/usr/bin/env python3
"""How a join looks by each way to make it, by stock FFmpeg's signalstats and siti, on two clips that have drifted apart.

    python3 tests/bench/crossfades.py [--shift 6] [--program target/release/travel-host]

A photograph is panned over by 2 pixels a frame, 640x360, 16 frames a second. The second clip shows the same pan, but as models
give it back: so many pixels to the side, 2 % brighter, a little more colourful. Clips of 41 frames overlap by 12. Figures:

    luma     largest step of mean luma from frame to frame in and beside the join, beyond the pan's own, 8-bit code values
    sharp    largest step of spatial information (ITU-T P.910) likewise, of its mean
    middle   spatial information in the middle of the join, of that of the two clips: what is seen twice is soft
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FRAMES, OVERLAP, RATE, SEED = 41, 12, 16, 12345
WAYS = [
    ("cosine", {}),
    ("linear, no match", {"curve": "linear", "colour_match": "off"}),
    ("original", {"curve": "original"}),
    ("linear", {"curve": "linear"}),
    ("sharp", {"curve": "sharp"}),
    ("linear light", {"mixing": "linear-light"}),
    ("aligned", {"mixing": "aligned"}),
    ("auto", {"mixing": "auto"}),
    ("4 frames", {"fade_frames": 4}),
    ("cut", {"fade_frames": 0}),
]


def be_a_card(folder):
    sys.path.insert(0, os.path.join(ROOT, "examples/generators/opencv-flow"))
    from travel_generator import serve

    def render(job, report):
        # Segment i has the seed SEED + i.
        name = "first" if job["seed"] == SEED else "second"
        shutil.copyfile(os.path.join(folder, name + ".mkv"), job["output"])

    serve(hello={"name": "a card", "grid": {}, "inputs": ["guide", "mask"]}, render=render)


def clips(folder, photo, shift):
    for name, begin, drift in [("first", 0, ""), ("second", FRAMES - OVERLAP, "eq=brightness=0.02:saturation=1.06,")]:
        x = f"40+2*(n+{begin})+{shift if drift else 0}"
        pan = f"scale=1000:-2,crop=640:360:'{x}':40,{drift}format=gbrp"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-loop", "1", "-framerate", str(RATE), "-i", photo, "-vf", pan, "-frames:v", str(FRAMES), "-c:v", "ffv1",
                        os.path.join(folder, name + ".mkv")], check=True)


def measured(film):
    """Mean luma and spatial information of each frame."""
    command = ["ffmpeg", "-v", "error", "-i", film, "-vf", "signalstats,siti,metadata=print:file=-", "-f", "null", "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [[float(v) for v in re.findall(key + r"=([0-9.]+)", text)] for key in (r"signalstats\.YAVG", r"siti\.si")]


def steps(values, at):
    """The largest change from frame to frame in and beside the join, less what the pan does by itself."""
    changes = [b - a for a, b in zip(values, values[1:])]
    own = statistics.median(changes[:at - 2] + changes[at + OVERLAP + 2:])
    return max(abs(change - own) for change in changes[at - 2:at + OVERLAP + 2])


def main():
    if sys.argv[1:2] == ["--card"]:
        return be_a_card(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shift", type=int, default=6)
    parser.add_argument("--keep", help="folder for the films")
    parser.add_argument("--program", default="target/release/travel-host")
    args = parser.parse_args()
    program, photos = os.path.abspath(args.program), os.path.join(ROOT, "examples/photos")
    photo = os.path.join(photos, "1-coffee.jpg")
    desk = args.keep or tempfile.mkdtemp(prefix="crossfades-bench-")
    try:
        os.makedirs(desk, exist_ok=True)
        clips(desk, photo, args.shift)
        command = [sys.executable, os.path.abspath(__file__), "--card", desk]
        with open(os.path.join(desk, "travel-host.toml"), "w", encoding="utf-8") as config:
            config.write(f"[generators.card]\ncommand = {json.dumps(command)}\npool = \"gpu\"\n")
        at = FRAMES - OVERLAP
        print(f"{args.shift} pixels apart\n{'':18} {'luma':>6} {'sharp':>7} {'middle':>7}")
        for name, params in WAYS:
            film = os.path.join(desk, re.sub(r"\W+", "-", name) + ".mp4")
            flags = [f"--param=crossfade.{key}={value}" for key, value in params.items()]
            done = subprocess.run([program, "render", photo, photo, photo, "-o", film, "--overwrite", "--generator", "card", "--resolution",
                                   "640x360", "--fps", str(RATE), "--segment-frames", f"{FRAMES},{at}", "--frame-overlap", str(OVERLAP),
                                   "--crf", "10", *flags], cwd=desk, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            luma, si = measured(film)
            ends = statistics.mean(si[:at - 2] + si[at + OVERLAP + 2:])
            middle = statistics.mean(si[at + OVERLAP // 2 - 1:at + OVERLAP // 2 + 1]) / ends
            print(f"{name:18} {steps(luma, at):6.2f} {steps(si, at) / ends:7.1%} {middle:7.1%}")
    finally:
        if not args.keep:
            shutil.rmtree(desk)


if __name__ == "__main__":
    main()
