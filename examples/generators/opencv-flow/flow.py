#!/usr/bin/env python3
"""A generator around OpenCV's DIS optical flow (Kroeger et al., ECCV 2016): the template that authors copy.

    pip install opencv-python-headless numpy

Frames whose mask is black are kept; each run of others is warped from both sides along the flow and blended. It knows
nothing of what it sees, so it suits pictures that resemble one another. It also makes films larger, by bicubic resampling.
"""

import os

import cv2
import numpy as np

from travel_generator import Invalid, serve

PRESETS = {"ultrafast": 0, "fast": 1, "medium": 2}

HELLO = {
    "name": "OpenCV DIS optical flow",
    "version": cv2.__version__,
    "grid": {"step": 1, "min": 2, "multiple": 2},
    "inputs": ["guide", "mask"],
    "upscales": 4,
    "settings_schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "preset": {"enum": list(PRESETS), "default": "medium", "description": "How finely motion is searched for."}
        },
        "additionalProperties": False,
    },
}


def opened(path):
    if not os.path.isfile(path):
        raise Invalid(f"{path} is not there")
    return cv2.VideoCapture(path)


def frames_of(path, job):
    clip = opened(path)
    frames = []
    while len(frames) <= job["frames"]:
        there, frame = clip.read()
        if not there:
            break
        frames.append(frame)
    clip.release()
    size = (job["height"], job["width"])
    if len(frames) != job["frames"] or any(frame.shape[:2] != size for frame in frames):
        raise Invalid(f"{path} is not {job['frames']} frames of {job['width']}x{job['height']}")
    return frames


def warped(picture, flow, share, grid):
    at = grid - share * flow
    return cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def between(a, b, count, search):
    grey_a, grey_b = (cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (a, b))
    there, back = search.calc(grey_a, grey_b, None), search.calc(grey_b, grey_a, None)
    height, width = grey_a.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    for i in range(1, count + 1):
        t = i / (count + 1)
        yield cv2.addWeighted(warped(a, there, t, grid), 1 - t, warped(b, back, 1 - t, grid), t, 0)


def writer(job):
    num, den = job["rate"]
    size = (job["width"], job["height"])
    clip = cv2.VideoWriter(job["output"], cv2.VideoWriter_fourcc(*"FFV1"), num / den, size)
    if not clip.isOpened():
        raise Invalid(f"{job['output']} cannot be written")
    return clip


def upscale(job, report):
    video, clip = opened(job["video"]), writer(job)
    size = (job["width"], job["height"])
    try:
        for written in range(1, job["frames"] + 1):
            there, frame = video.read()
            if not there:
                raise Invalid(f"{job['video']} has {written - 1} frames instead of {job['frames']}")
            clip.write(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC))
            report("upscale", written, job["frames"])
    finally:
        clip.release()
        video.release()


def render(job, report):
    guide = frames_of(job["guide"], job)
    kept = [i for i, frame in enumerate(frames_of(job["mask"], job)) if frame.mean() < 128]
    if not kept:
        raise Invalid("the mask keeps no frame")
    search = cv2.DISOpticalFlow_create(PRESETS[job["settings"].get("preset", "medium")])
    clip = writer(job)
    written = 0

    def write(frame):
        nonlocal written
        clip.write(frame)
        written += 1
        report("flow", written, job["frames"])

    try:
        for _ in range(kept[0]):
            write(guide[kept[0]])
        for here, following in zip(kept, kept[1:] + [None]):
            write(guide[here])
            if following is None:
                for _ in range(here + 1, job["frames"]):
                    write(guide[here])
            elif following > here + 1:
                for frame in between(guide[here], guide[following], following - here - 1, search):
                    write(frame)
    finally:
        clip.release()


if __name__ == "__main__":
    cv2.setNumThreads(max(1, (os.cpu_count() or 2) - 1))
    serve(HELLO, render, upscale=upscale)
