"""The host's side of travel-generator/1, for generators in Python: copy this file beside yours.

    from travel_generator import Invalid, serve

    def render(job, report):          # job: the request as a dict; report(phase, step, of) also notices cancelling
        ...                           # write job["output"]

    serve(hello={...}, render=render) # upscale=..., likewise, for a hello with "upscales"

Whatever is printed goes to standard error: standard output belongs to the protocol.
"""

import json
import os
import queue
import sys
import threading
import traceback

PROTOCOL = "travel-generator/1"


class Invalid(Exception):
    """The job can never be rendered so."""


class OutOfMemory(Exception):
    """The device's memory does not suffice."""


class Transient(Exception):
    """It may succeed if tried again."""


class Cancelled(Exception):
    """The host does not want the clip any more; raised by report()."""


CLASSES = {Invalid: "invalid", OutOfMemory: "out-of-memory", Transient: "transient", Cancelled: "cancelled"}


def serve(hello, render=None, load=None, unload=None, upscale=None):
    """Answers the host until it says bye or goes away."""
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # print() of this program and of every library
    requests = queue.Queue()
    cancelled = set()

    def listen():
        for line in sys.stdin:
            request = json.loads(line)
            if request["type"] == "cancel":
                cancelled.add(request["id"])
            else:
                requests.put(request)
        requests.put({"type": "bye"})

    def say(**reply):
        out.write(json.dumps(reply) + "\n")

    def attempt(job_id, work, answer):
        try:
            work()
        except Exception as error:
            known = next((name for kind, name in CLASSES.items() if isinstance(error, kind)), None)
            if known is None:
                traceback.print_exc()
            say(type="error", id=job_id, **{"class": known or "transient"}, message=str(error) or type(error).__name__)
        else:
            say(**answer)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        request = requests.get()
        kind = request["type"]
        if kind == "hello":
            say(type="hello", protocol=PROTOCOL, **hello)
        elif kind == "load":
            attempt(None, lambda: load and load(request["model"]), {"type": "loaded"})
        elif kind in ("generate", "upscale"):
            job_id = request["id"]
            work = render if kind == "generate" else upscale

            def report(phase, step, of):
                if job_id in cancelled:
                    raise Cancelled("cancelled as asked")
                say(type="progress", phase=phase, step=step, of=of)

            answer = {"type": "done", "id": job_id, "output": request["output"]}
            attempt(job_id, lambda: work(request, report), answer)
            cancelled.discard(job_id)
        elif kind == "unload":
            attempt(None, lambda: unload and unload(), {"type": "unloaded"})
        elif kind == "bye":
            return
