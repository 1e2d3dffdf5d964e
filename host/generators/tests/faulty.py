"""A generator that does the one wrong thing that its first argument names, and everything else right.

Its process number, and that of whatever it starts, go to the file `pids` of the folder in which it runs.
"""

import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time

FAULT = sys.argv[1]
HELLO = {"type": "hello", "protocol": "travel-generator/1", "name": "faulty", "grid": {}, "inputs": ["guide", "mask"]}

# What a filter of FFmpeg makes of the guide.
LOOKS = {
    "black": "lutrgb=r=0:g=0:b=0",
    "frozen": "loop=loop=-1:size=1:start=0",
    "darkens": "lutrgb=r=val*0.8:g=val*0.8:b=val*0.8",
}


def note(pid):
    with open("pids", "a", encoding="utf-8") as pids:
        pids.write(f"{pid}\n")


def say(**reply):
    print(json.dumps(reply), flush=True)


def at(state):
    """Misbehaves in this state, if it is that kind of program."""
    if FAULT == f"dies-{state}":
        print(f"the roof fell in at {state}", file=sys.stderr, flush=True)
        os._exit(7)
    if FAULT == f"silent-{state}":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)


note(os.getpid())
if FAULT in ("leaves-children", "dies-leaving-children"):
    note(subprocess.Popen(["sleep", "600"]).pid)
if FAULT in ("leaves-zombies", "ignores-cancel"):
    note(subprocess.Popen(["sleep", "600"]).pid)
    subprocess.Popen(["true"])
for line in sys.stdin:
    request = json.loads(line)
    kind = request["type"]
    at(kind)
    if kind == "hello":
        hello = dict(HELLO)
        if FAULT == "speaks-another-version":
            hello["protocol"] = "travel-generator/9"
        if FAULT in ("has-models", "notes-jobs"):
            hello["models"] = ["small", "large"]
        if FAULT == "notes-jobs":
            hello["inputs"] = ["guide", "mask", "references"]
            hello["settings_schema"] = {"properties": {"cfg_star_switch": {"type": "integer", "maximum": 1}}}
        if FAULT == "dies-load" or FAULT == "silent-load":
            hello["models"] = ["small"]
        if FAULT == "has-a-strange-grid":
            hello["grid"] = {"step": 4, "offset": 4}
        if FAULT == "has-a-coarse-grid":
            hello["grid"] = {"step": 8, "offset": 4, "min": 12}
        if FAULT == "needs-tiles":
            hello["settings_schema"] = {"properties": {"tiles": {"type": "integer"}}, "additionalProperties": False}
        if FAULT == "reads-nothing":
            hello["inputs"] = ["prompt"]
        if FAULT == "returns-a-small-film" or FAULT.startswith("upscales-"):
            hello.update(inputs=[], upscales=2)
        if FAULT == "upscales-with-tiles":
            hello["settings_schema"] = {"properties": {"tiles": {"type": "integer"}}, "additionalProperties": False}
        if FAULT == "wants-much-memory":
            hello["memory_mb"] = 30000
        say(**hello)
    elif kind == "load":
        say(type="loaded")
    elif kind == "unload":
        say(type="unloaded")
    elif kind == "bye":
        break
    elif kind == "upscale" and FAULT == "upscales-never":
        say(type="error", id=request["id"], **{"class": "fatal"}, message="no luck today")
    elif kind == "upscale" and FAULT == "upscales-with-tiles" and request["settings"].get("tiles", 1) < 4:
        say(type="error", id=request["id"], **{"class": "out-of-memory"}, message="the tiles are too large")
    elif kind == "upscale" and FAULT in ("upscales-with-tiles", "upscales-black"):
        looks = "," + LOOKS["black"] if FAULT == "upscales-black" else ""
        size = ["-vf", f"scale={request['width']}:{request['height']}{looks}", "-c:v", "libx264rgb", "-qp", "0"]
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", request["video"], *size, request["output"]], check=True)
        say(type="done", id=request["id"], output=request["output"])
    elif kind == "upscale":
        shutil.copy(request["video"], request["output"])
        say(type="done", id=request["id"], output=request["output"])
    elif kind == "generate":
        job, out = request["id"], request["output"]
        if not os.path.exists(request["guide"]):
            say(type="error", id=job, **{"class": "invalid"}, message="there is no guide")
            continue
        with open("jobs-begun", "a", encoding="utf-8") as begun:
            begun.write(f"{job}\n")
        if FAULT == "notes-jobs":
            with open("jobs.jsonl", "a", encoding="utf-8") as jobs:
                jobs.write(line)
            for i, picture in enumerate(request["references"]):
                shutil.copy(picture, f"reference-{request['seed']}-{i}.png")
        say(type="progress", phase="work", step=1, of=2)
        if FAULT in ("takes-its-time", "dies-cancel"):
            if select.select([0], [], [], 1.5 if FAULT == "takes-its-time" else 600)[0]:
                if not sys.stdin.readline():
                    break
                at("cancel")
                say(type="error", id=job, **{"class": "cancelled"}, message="as asked")
                continue
        if FAULT == "dies-leaving-children":
            os._exit(7)
        if FAULT in ("prints", "invalid", "out-of-memory", "transient", "fatal"):
            print("the floor is wet", file=sys.stderr, flush=True)
        if FAULT == "prints":
            print("Loading checkpoint shards: 100%", flush=True)
        if FAULT == "says-half-a-line":
            sys.stdout.write('{"type": "do')
            sys.stdout.flush()
            os._exit(0)
        if FAULT == "says-an-endless-line":
            while True:
                sys.stdout.write("x" * 65536)
        if FAULT == "talks-without-end":
            while True:
                say(type="progress", phase="work", step=1, of=2)
        if FAULT == "ignores-cancel":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(60)
        if FAULT == "needs-tiles" and request["settings"].get("tiles", 1) < 4:
            say(type="error", id=job, **{"class": "out-of-memory"}, message="the tiles are too large")
            continue
        if FAULT == "needs-a-word" and not os.path.exists("go"):
            say(type="error", id=job, **{"class": "transient"}, message="no luck today")
            continue
        if FAULT in ("invalid", "out-of-memory", "transient", "fatal"):
            say(type="error", id=job, **{"class": FAULT}, message="no luck today")
            continue
        if FAULT == "answers-another-job":
            job = "another"
        if FAULT == "writes-outside":
            out = os.path.join(os.getcwd(), "elsewhere.mkv")
        if FAULT == "tells-what-it-has":
            limits = {name: resource.getrlimit(getattr(resource, name))[0] for name in ("RLIMIT_FSIZE", "RLIMIT_NOFILE")}
            with open("has.json", "w", encoding="utf-8") as has:
                json.dump({"env": dict(os.environ), "limits": limits}, has)
        if FAULT == "writes-a-link":
            os.symlink(request["guide"], out)
        elif FAULT == "writes-half-a-file":
            shutil.copy(request["guide"], out)
            os.truncate(out, os.path.getsize(out) // 2)
        elif FAULT == "leaves-a-frame-out":
            short = ["-frames:v", str(request["frames"] - 1), "-c:v", "libx264rgb", "-qp", "0"]
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", request["guide"], *short, out], check=True)
        elif FAULT == "writes-an-empty-file":
            open(out, "w", encoding="utf-8").close()
        elif FAULT in LOOKS:
            looks = LOOKS[FAULT]
            picture = ["-vf", looks, "-frames:v", str(request["frames"]), "-c:v", "libx264rgb", "-qp", "0"]
            subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", request["guide"], *picture, out], check=True)
        elif FAULT != "writes-nothing":
            shutil.copy(request["guide"], out)
        print("all is well", file=sys.stderr, flush=True)
        say(type="done", id=job, output=out)
