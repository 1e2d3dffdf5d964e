#!/usr/bin/env python3
"""Stitches the same clips with travel-host, FFmpeg's xfade and MoviePy, in one run, and prints medians.

    python3 tests/bench/stitch.py [--segments 10] [--rounds 3] [--clip real-footage.mp4]

Clips are 1280x720, 16 frames a second, 81 frames, H.264 crf 17; neighbours overlap by 12 frames. All stitch with x264
medium, crf 17. Without --clip the footage is synthetic (FFmpeg's testsrc2 over a slow mandelbrot). MoviePy takes part when
this Python has it. Rounds are interleaved, so that a busy machine is busy for everybody.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

OVERLAP, FRAMES, RATE = 12, 81, 16
MOVIEPY = """
import sys
from moviepy import VideoFileClip, CompositeVideoClip, vfx
out, overlap, *names = sys.argv[1:]
fade = int(overlap) / 16
clips, at = [], 0.0
for i, name in enumerate(names):
    clip = VideoFileClip(name)
    effects = [vfx.CrossFadeIn(fade)] if i else []
    clips.append(clip.with_effects(effects).with_start(at))
    at += clip.duration - fade
CompositeVideoClip(clips).write_videofile(out, fps=16, codec="libx264", preset="medium", audio=False,
    ffmpeg_params=["-crf", "17"], logger=None)
"""


def run(command):
    """Wall seconds, CPU seconds, peak MiB."""
    begun = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stderr = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed: {stderr.decode()[-800:]}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def frames(path):
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries",
               "stream=nb_read_frames", "-of", "csv=p=0", path]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().strip(","))


def make(folder, n, clip):
    names = []
    for i in range(n):
        name = os.path.join(folder, f"s{i}.mp4")
        if clip:
            start = i * (FRAMES - OVERLAP) / RATE
            source = ["-stream_loop", "-1", "-ss", f"{start}", "-i", clip]
        else:
            mix = (f"testsrc2=s=1280x720:r={RATE}[a];mandelbrot=s=1280x720:r={RATE}:start_scale={1.5 + i % 10 / 5}[b];"
                   "[a][b]blend=all_opacity=0.3,format=yuv420p")
            source = ["-f", "lavfi", "-i", mix]
        subprocess.run(["ffmpeg", "-v", "error", "-y", *source, "-vf", f"scale=1280:720,setsar=1,fps={RATE}", "-frames:v", str(FRAMES),
                        "-c:v", "libx264", "-crf", "17", "-preset", "medium", "-pix_fmt", "yuv420p", "-an",
                        "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
                        name], check=True)
        names.append(name)
    return names


def xfade(out, names):
    inputs = [a for name in names for a in ("-i", name)]
    graph, last = [], "0:v"
    for i in range(1, len(names)):
        offset = i * (FRAMES - OVERLAP) / RATE
        graph.append(f"[{last}][{i}:v]xfade=duration={OVERLAP / RATE}:offset={offset}[v{i}]")
        last = f"v{i}"
    return ["ffmpeg", "-v", "error", "-y", *inputs, "-filter_complex", ";".join(graph), "-map", f"[{last}]",
            "-c:v", "libx264", "-preset", "medium", "-crf", "17", "-pix_fmt", "yuv420p", out]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clip", help="footage to cut the clips from")
    parser.add_argument("--alone", action="store_true", help="without the peers, for memory at other lengths")
    parser.add_argument("--program", default="target/release/examples/stitch_bench")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="stitch-bench-")
    try:
        names = make(folder, args.segments, args.clip)
        want = args.segments * FRAMES - (args.segments - 1) * OVERLAP
        out = os.path.join(folder, "out.mp4")
        peers = {"travel-host": [args.program, out, str(OVERLAP), "2", *names], "xfade": xfade(out, names)}
        if args.alone:
            del peers["xfade"]
        elif subprocess.run([sys.executable, "-c", "import moviepy"], capture_output=True).returncode == 0:
            peers["MoviePy"] = [sys.executable, "-c", MOVIEPY, out, str(OVERLAP), *names]
        seen = {name: [] for name in peers}
        counts = {}
        for _ in range(args.rounds):
            for name, command in peers.items():
                seen[name].append(run(command))
                counts[name] = frames(out)
        ours = statistics.median(s[0] for s in seen["travel-host"])
        print(f"{args.segments} clips of {FRAMES} frames, {want} frames in all; medians of {args.rounds}; load {os.getloadavg()[0]:.1f}")
        print(f"{'':12} {'wall s':>7} {'CPU s':>7} {'peak MiB':>9} {'frames':>7} {'ours / it':>10}")
        for name, results in seen.items():
            wall, cpu, peak = (statistics.median(r[i] for r in results) for i in range(3))
            print(f"{name:12} {wall:7.2f} {cpu:7.2f} {peak:9.0f} {counts[name]:7} {ours / wall:10.2f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
