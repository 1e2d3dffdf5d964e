#!/usr/bin/env python3
"""In-betweening beside its peers, in one run: what a segment costs, and how near it comes to the frames that were left out.

    inbetween.py --inbetween BIN [--ffmpeg FFMPEG] [--onnx MODEL] [--rounds 3] [--size 832x480] [--frames 81]
                 [--speed A B] [--sheets FOLDER] CLIP[:FIRST:LAST[:NAME]] ...

BIN is the example `inbetween` of this crate, built with --release. Speed is measured on the pictures A and B (or on the
first clip's first frame and the one 20 later), brought to --size. Every method gets the same PNG files, writes nothing,
and takes its turn in every round, so that whatever else the machine does meets all of them; the table gives the median
of wall seconds and of CPU seconds (user and system, all threads). Quality is taken at the clips' own size: the method is
given frames i and i + g, and its frame in the middle is held against the clip's own. PSNR over RGB, SSIM over luma
(Wang et al. 2004, Gaussian window of 1.5).

Needs numpy and opencv-python-headless; onnxruntime where --onnx is given.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

GAPS = (6, 20)
WINDOWS = 4  # starting points a clip and gap, spread evenly


def timed(command):
    """Wall and CPU seconds of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{error.decode()}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def minterpolate(args, a, b, steps, sink):
    """FFmpeg's motion compensation; two pictures are padded to the four that it needs."""
    work = Path(tempfile.mkdtemp(dir=args.work))
    for number, source in enumerate((a, a, b, b)):
        shutil.copy(source, work / f"{number}.png")
    how = f"minterpolate=fps={steps}:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:scd=none"
    return [args.ffmpeg, "-v", "error", "-y", "-framerate", "1", "-i", work / "%d.png", "-vf", how, *sink]


def rife(args, a, b, between, out, settings="null", generator="rife"):
    return [args.inbetween, a, b, str(between), out, "--generator", generator, "--settings", settings]


class Dis:
    """Dense flow by inverse search, both ways; each side warped, weighted by the agreement of the two flows."""

    def __init__(self, a, b):
        self.a, self.b = a.astype(np.float32), b.astype(np.float32)
        grey = [cv2.cvtColor(p, cv2.COLOR_BGR2GRAY) for p in (a, b)]
        flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.there, self.back = flow.calc(*grey, None), flow.calc(*grey[::-1], None)
        rows, columns = grey[0].shape
        self.grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).astype(np.float32)
        self.trust = [self.agreement(self.there, self.back), self.agreement(self.back, self.there)]

    def look(self, picture, offset):
        return cv2.remap(picture, self.grid + offset, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def agreement(self, one, other):
        return np.exp(-np.linalg.norm(one + self.look(other, one), axis=-1))

    def at(self, t):
        sides = [(self.a, -t * self.there, 1 - t, self.trust[0]), (self.b, -(1 - t) * self.back, t, self.trust[1])]
        weights = [share * (self.look(trust, offset) + 1e-3) for _, offset, share, trust in sides]
        total = sum(w[..., None] * self.look(picture, offset) for w, (picture, offset, _, _) in zip(weights, sides))
        return np.clip(total / sum(weights)[..., None] + 0.5, 0, 255).astype(np.uint8)


def psnr(x, y):
    error = np.mean((x.astype(np.float64) - y) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def ssim(x, y):
    x, y = (cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(np.float64) for p in (x, y))
    mean = lambda p: cv2.GaussianBlur(p, (11, 11), 1.5)
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))))


def speed(args, a, b):
    between = args.frames - 2
    methods = {
        "dissolve": rife(args, a, b, between, "-", generator="dissolve"),
        "rife fast": rife(args, a, b, between, "-", '{"quality":"fast"}'),
        "rife balanced": rife(args, a, b, between, "-"),
        "rife high": rife(args, a, b, between, "-", '{"quality":"high"}'),
        "minterpolate": minterpolate(args, a, b, args.frames - 1, ["-f", "null", "-"]),
        "OpenCV DIS": [sys.executable, __file__, "--run-dis", a, b, str(between)],
    }
    if args.onnx:
        methods["onnxruntime, the network alone"] = [sys.executable, __file__, "--run-onnx", args.onnx, str(between)]
    seen = {name: [] for name in methods}
    for _ in range(args.rounds):
        for name, command in methods.items():
            seen[name].append(timed(command))
    print(f"\n{args.frames} frames of {args.size}, medians of {args.rounds} interleaved rounds")
    print("| method | wall s | CPU s | peak MiB | wall against minterpolate | CPU |\n|---|---|---|---|---|---|")
    medians = {name: [statistics.median(run[i] for run in runs) for i in range(3)] for name, runs in seen.items()}
    wall, cpu, _ = medians["minterpolate"]
    for name, (w, c, m) in medians.items():
        print(f"| {name} | {w:.2f} | {c:.2f} | {m:.0f} | {w / wall:.2f} | {c / cpu:.2f} |")


def middles(args, work, a, b, gap):
    """The frame in the middle between two, by every method."""
    read = lambda path: cv2.imread(str(path))
    pictures = read(a), read(b)
    made = {"dissolve": cv2.addWeighted(pictures[0], 0.5, pictures[1], 0.5, 0), "OpenCV DIS": Dis(*pictures).at(0.5)}
    out = work / "mint"
    out.mkdir(exist_ok=True)
    timed(minterpolate(args, a, b, gap, ["-start_number", "0", out / "%d.png"]))
    # The output starts at the first of the four pictures; the second stands one step, `gap` frames, later.
    made["minterpolate"] = read(out / f"{gap + gap // 2}.png")
    for quality in ("fast", "balanced", "high"):
        out = work / quality
        timed(rife(args, a, b, gap - 1, out, f'{{"quality":"{quality}"}}'))
        made[f"rife {quality}"] = read(out / f"{gap // 2:05}.png")
    return made


def quality(args, name, frames):
    for gap in GAPS:
        room = len(frames) - gap - 1
        if room < 0:
            continue
        starts = sorted({round(room * i / max(WINDOWS - 1, 1)) for i in range(WINDOWS)})
        scores = {}
        for start in starts:
            work = Path(tempfile.mkdtemp(dir=args.work))
            truth = cv2.imread(str(frames[start + gap // 2]))
            made = middles(args, work, frames[start], frames[start + gap], gap)
            for method, picture in made.items():
                scores.setdefault(method, []).append((psnr(picture, truth), ssim(picture, truth)))
            if args.sheets:
                pictures = {"truth": truth, **made}
                labelled = [
                    cv2.putText(p.copy(), m, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 255, 255), 2)
                    for m, p in pictures.items()
                ]
                Path(args.sheets).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(f"{args.sheets}/{name}-{gap}-{start}.png", np.vstack(labelled))
        mean = {m: [statistics.mean(s[i] for s in all_) for i in (0, 1)] for m, all_ in scores.items()}
        cells = " | ".join(f"{p:.2f} / {s:.4f}" for p, s in mean.values())
        print(f"| {name}, gap {gap} ({len(starts)}) | {cells} |", flush=True)


def frames_of(args, clip):
    path, first, last, name = (clip.split(":") + [None] * 3)[:4]
    folder = Path(tempfile.mkdtemp(dir=args.work))
    span = f"select=between(n\\,{first or 0}\\,{last or 1 << 30})"
    subprocess.run([args.ffmpeg, "-v", "error", "-i", path, "-vf", span, "-vsync", "0", folder / "%05d.png"], check=True)
    return name or Path(path).stem, sorted(folder.iterdir())


def run_dis(a, b, between):
    dis = Dis(cv2.imread(a), cv2.imread(b))
    for i in range(1, int(between) + 1):
        dis.at(i / (int(between) + 1))


def run_onnx(model, between, width=448, height=256):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    a, b = (np.random.default_rng(seed).random((1, 3, height, width), np.float32) for seed in (1, 2))
    columns, rows = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    grid = np.stack(np.meshgrid(columns, rows))[None].astype(np.float32)
    norm = np.array([2 / (width - 1), 2 / (height - 1)], np.float32).reshape(1, 2, 1, 1)
    for i in range(1, int(between) + 1):
        tm = np.full((1, 1, height, width), i / (int(between) + 1), np.float32)
        session.run(None, {"a": a, "b": b, "tm": tm, "grid": grid, "norm": norm})


def main():
    if sys.argv[1:2] == ["--run-dis"]:
        return run_dis(*sys.argv[2:])
    if sys.argv[1:2] == ["--run-onnx"]:
        return run_onnx(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inbetween", required=True)
    parser.add_argument("--ffmpeg", default="ffmpeg")
    parser.add_argument("--onnx")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="832x480")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--speed", nargs=2, metavar=("A", "B"))
    parser.add_argument("--sheets")
    parser.add_argument("clips", nargs="*")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        args.work = work
        clips = [frames_of(args, clip) for clip in args.clips]
        pair = args.speed or (clips and (clips[0][1][0], clips[0][1][min(20, len(clips[0][1]) - 1)]))
        if args.rounds and pair:
            sized = []
            for i, picture in enumerate(pair):
                sized.append(f"{work}/speed-{i}.png")
                scale = f"scale={args.size.replace('x', ':')}"
                subprocess.run([args.ffmpeg, "-v", "error", "-i", picture, "-vf", scale, sized[-1]], check=True)
            speed(args, *sized)
        if clips:
            names = ("dissolve", "OpenCV DIS", "minterpolate", "rife fast", "rife balanced", "rife high")
            print(f"\nPSNR dB / SSIM of the middle frame\n| clip | {' | '.join(names)} |\n|{'---|' * 7}")
            for name, frames in clips:
                quality(args, name, frames)


if __name__ == "__main__":
    main()
