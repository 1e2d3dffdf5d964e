"""A generator on a bad day: most jobs succeed, the others go wrong in one of the ways that programs do.

Its process number, and that of whatever it starts, go to the file `pids` of the folder in which it runs.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time

FAULTS = {"dies": 4, "half a line": 2, "garbage": 2, "transient": 4, "out-of-memory": 3, "no clip": 2, "cut clip": 2, "elsewhere": 1,
          "leaves a child": 2, "silent": 1, "invalid": 1, "fatal": 1}
DICE = random.SystemRandom()


def note(pid):
    with open("pids", "a", encoding="utf-8") as pids:
        pids.write(f"{pid}\n")


def say(**reply):
    print(json.dumps(reply), flush=True)


note(os.getpid())
for line in sys.stdin:
    request = json.loads(line)
    kind = request["type"]
    if kind == "hello":
        say(type="hello", protocol="travel-generator/1", name="unreliable", grid={}, inputs=["guide", "mask"])
    elif kind == "unload":
        say(type="unloaded")
    elif kind == "bye":
        break
    elif kind == "generate":
        job, out = request["id"], request["output"]
        fault = DICE.choices([None, *FAULTS], [100 - sum(FAULTS.values()), *FAULTS.values()])[0]
        say(type="progress", phase="work", step=1, of=2)
        if fault == "dies":
            print("the roof fell in", file=sys.stderr, flush=True)
            os._exit(7)
        if fault == "half a line":
            sys.stdout.write('{"type": "do')
            sys.stdout.flush()
            os._exit(0)
        if fault == "garbage":
            print("Loading checkpoint shards", flush=True)
        if fault == "silent":
            time.sleep(3600)
        if fault == "leaves a child":
            note(subprocess.Popen(["sleep", "3600"]).pid)
        if fault in ("transient", "out-of-memory", "invalid", "fatal"):
            say(type="error", id=job, **{"class": fault}, message="no luck today")
            continue
        if fault == "elsewhere":
            out = os.path.join(os.getcwd(), "elsewhere.mkv")
        if fault != "no clip":
            shutil.copy(request["guide"], out)
        if fault == "cut clip":
            os.truncate(out, os.path.getsize(out) // 2)
        say(type="done", id=job, output=out)
