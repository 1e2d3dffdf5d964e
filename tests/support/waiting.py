"""A generator that takes its time: it renders when there is a file `go` in the folder in which it runs, and hears nothing before.

Its process number goes to the file `pids` of that folder.
"""

import json
import os
import shutil
import sys
import time


def say(**reply):
    print(json.dumps(reply), flush=True)


with open("pids", "a", encoding="utf-8") as pids:
    pids.write(f"{os.getpid()}\n")
for line in sys.stdin:
    request = json.loads(line)
    kind = request["type"]
    if kind == "hello":
        say(type="hello", protocol="travel-generator/1", name="waiting", grid={}, inputs=["guide", "mask"])
    elif kind == "unload":
        say(type="unloaded")
    elif kind == "bye":
        break
    elif kind == "generate":
        say(type="progress", phase="work", step=1, of=2)
        while not os.path.exists("go"):
            time.sleep(0.05)
        shutil.copy(request["guide"], request["output"])
        say(type="done", id=request["id"], output=request["output"])
