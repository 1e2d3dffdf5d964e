"""Wan2GP's command line: prints what the real one prints, renders by copying the guide, and lies as its option --lie says."""

import argparse
import json
import os
import shutil
import signal
import sys
import threading

from shared.api import refusal

options = argparse.ArgumentParser()
options.add_argument("--process")
options.add_argument("--output-dir")
options.add_argument("--verbose")
options.add_argument("--lie", default="nothing")
options = options.parse_args()
lie = options.lie

with open(options.process, encoding="utf-8") as file:
    task = json.load(file)
steps = task.get("num_inference_steps", 30)


def over(text):
    """A line that the next one is written over."""
    sys.stdout.write(f"\r  {text}")
    sys.stdout.flush()


def end(completed, skipped, status):
    print("=" * 50)
    print(f"Queue completed: {completed}/1 tasks in 5m 23s" + (f" ({skipped} skipped)" if skipped else ""), flush=True)
    sys.exit(status)


def interrupted(*_):
    print("\n\nInterrupted", flush=True)
    os._exit(130)


signal.signal(signal.SIGINT, interrupted)
print(f"WanGP CLI Mode - Processing settings: {os.path.basename(options.process)}")
print(f"Output directory: {options.output_dir}")
os.makedirs(options.output_dir, exist_ok=True)
print("Loaded 1 task(s)\n")
print(f"[Task 1/1] {task['prompt'][:60]}...")
print("tqdm: 100%|##########| 4/4", file=sys.stderr, flush=True)
fault = refusal(task) or (lie == "skipped" and "unknown model")
if fault:
    print(f"[SKIP] Task 1 failed validation: {fault}")
    end(0, 1, 0)
over("Loading model weights")
print()
if lie == "dropped":
    print(f"[WARNING] video_mask: {task['video_mask']} not found, skipping attachment")
for step in range(1, steps + 1):
    over(f"[{step}/{steps}] Prompt 1/1 - Denoising | {step}s elapsed")
    if lie == "never ends":
        threading.Event().wait()
for step in (1, 2):
    over(f"[{step}/2] Prompt 1/1 - VAE Decoding | 0s")
if lie in ("out of memory", "error"):
    what = "CUDA out of memory. Tried to allocate 2 GiB" if lie == "out of memory" else "the sampler diverged"
    print(f"\n[ERROR] {what}")
    end(0, 0, 1)
if lie == "dies":
    os._exit(42)
path = os.path.join(options.output_dir, task["output_filename"] + ".mp4")
if lie != "nothing made":
    shutil.copy(task["video_guide"], path)
    print(f"\nNew video saved to Path: {path}")
if lie == "two windows":
    shutil.copy(path, path.replace(".mp4", "_2.mp4"))
if lie == "postprocessed":
    better = path.replace(".mp4", "_post.mp4")
    shutil.move(path, better)
    # What it was made from is left beside it, and is no clip at all.
    open(path, "w", encoding="utf-8").close()
    print(f"Postprocessed video saved to Path: {better}")
print("  Task 1 completed")
end(1, 0, 0)
