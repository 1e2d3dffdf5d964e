"""Wan2GP as a generator: travel-generator/1 in front of its Python API (`shared/api.py`), so that a model stays loaded.

Started by the host in Wan2GP's own folder, with the Python of its own environment. Its arguments are a JSON object:
{"model": …, "args": [options of wgp.py], "config": a folder or null}. Nothing of Wan2GP is imported before a model is asked for.
"""

import json
import os
import queue
import shutil
import sys
import threading
import traceback

OPTIONS = json.loads(sys.argv[1])
MODEL = OPTIONS["model"]
# Their frames a second; all other Wan models have 16.
RATES = {"ti2v_2_2": 24, "ti2v_2_2_fastwan": 24, "multitalk": 25, "vace_multitalk_14B": 25, "animate": 30}
# What the host itself decides, or what would make several clips of one.
TAKEN = ["model_type", "prompt", "negative_prompt", "resolution", "video_length", "seed", "video_guide", "video_mask", "image_guide",
         "image_mask", "output_filename", "repeat_generation", "multi_prompts_gen_type", "force_fps", "image_refs", "image_start",
         "image_end", "video_source", "sliding_window_size"]
HELLO = {
    "name": "Wan2GP",
    "version": MODEL,
    "grid": {"step": 4, "offset": 1, "min": 17, "max": 1281, "multiple": 16, "anchor_hold": 4},
    "rates": [[RATES.get(MODEL, 16), 1]],
    "inputs": ["guide", "mask", "prompt", "seed"],
    "models": [MODEL],
    "notice": "renders with WanGP (Wan2GP), under the WanGP Community License 2.0: say so where you show or document what you make "
              "with it, and do not sell it as a hosted service without a licence",
    "settings_schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "description": "Any setting of Wan2GP but those that the host decides",
        "propertyNames": {"not": {"enum": TAKEN}},
        "properties": {
            "num_inference_steps": {"type": "integer", "minimum": 1, "description": "Steps of denoising."},
            "guidance_scale": {"type": "number", "description": "How closely the prompt is followed."},
            "flow_shift": {"type": "number", "description": "Where along the noise schedule most steps are spent."},
            "activated_loras": {"type": "array", "items": {"type": "string"}, "description": "LoRAs, by file name."},
            "loras_multipliers": {"type": "string", "description": "A factor for each, as \"0.7 1\", or by phase \"1;0 0;1\"."},
            "video_prompt_type": {"type": "string", "description": "How guide and mask are read; VA unless set."},
        },
    },
}


def field(record, name):
    """A field of what may be an object or a dict."""
    return record.get(name) if isinstance(record, dict) else getattr(record, name, None)


class Cancelled(Exception):
    pass


class Refused(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def settings_of(job, defaults):
    """Wan2GP's settings for one segment."""
    for role in ("guide", "mask"):
        # Wan2GP drops an attachment that is missing, and renders without it.
        if not os.path.isfile(job[role]):
            raise Refused("invalid", f"the {role} {job[role]} is not there")
    num, den = job["rate"]
    return {
        **defaults,
        "sliding_window_overlap": 0,
        "sliding_window_discard_last_frames": 0,
        "remove_background_images_ref": 0,
        "mask_expand": 0,
        "keep_frames_video_guide": "",
        "video_prompt_type": "VA",
        **job["settings"],
        "model_type": MODEL,
        "prompt": job["prompt"].strip() or " ",
        "negative_prompt": job["negative_prompt"],
        "resolution": f"{job['width']}x{job['height']}",
        "video_length": job["frames"],
        "sliding_window_size": max(job["frames"], 129),
        "force_fps": str(num / den).removesuffix(".0"),
        "video_guide": job["guide"],
        "video_mask": job["mask"],
        # As one text: it would be cut at blank lines into several clips otherwise.
        "multi_prompts_gen_type": "FG",
        "repeat_generation": 1,
        "seed": job["seed"] % 2**31,
        "output_filename": f"travel-{job['id']}",
    }


def kind_of(message):
    """What kind of trouble a message tells of."""
    text = message.lower()
    if "out of memory" in text or "outofmemory" in text:
        return "out-of-memory"
    return "transient"


class Bridge:
    def __init__(self, out):
        self.out = out
        self.lock = threading.Lock()
        self.session = None
        self.running = None
        self.cancelled = set()

    def say(self, **reply):
        with self.lock:
            self.out.write(json.dumps(reply) + "\n")
            self.out.flush()

    def load(self):
        if self.session is None:
            self.say(type="progress", phase="start Wan2GP")
            sys.path.insert(0, os.getcwd())
            from shared import api

            self.session = api.init(root=os.getcwd(), config_path=OPTIONS.get("config"), cli_args=OPTIONS.get("args", []),
                                    console_output=False)

    def unload(self):
        # Its API has no word for it; a new start has.
        raise Refused("invalid", "Wan2GP keeps its model until it ends")

    def cancel(self, job_id):
        self.cancelled.add(job_id)
        running = self.running
        if running is not None and running[0] == job_id:
            running[1].cancel()

    def generate(self, job):
        self.load()
        defaults = self.session.get_default_settings(MODEL) or {}
        task = self.session.submit_task(settings_of(job, defaults))
        self.running = (job["id"], task)
        try:
            if job["id"] in self.cancelled:
                task.cancel()
            for event in task.events.iter():
                self.tell(event)
            result = task.result()
        finally:
            self.running = None
        if job["id"] in self.cancelled:
            raise Cancelled("cancelled as asked")
        self.take(result, job)

    def tell(self, event):
        kind, data = field(event, "kind"), field(event, "data")
        if kind == "progress":
            step, of = int(field(data, "current_step") or 0), int(field(data, "total_steps") or 0)
            self.say(type="progress", phase=str(field(data, "phase") or "work"), step=min(step, of) if of else step, of=of)
        elif kind == "stream":
            print(field(data, "text") or data, file=sys.stderr, flush=True)
        elif kind in ("status", "info", "error"):
            print(f"{kind}: {data}", file=sys.stderr, flush=True)
            self.say(type="progress")

    def take(self, result, job):
        """Moves the clip to where it belongs. That Wan2GP reports success is no proof of a clip."""
        told = field(result, "errors") or []
        errors = "; ".join(str(field(error, "message") or error) for error in told)
        if not field(result, "success"):
            stages = {field(error, "stage") for error in told}
            raise Refused("invalid" if stages == {"validation"} else kind_of(errors), errors or "Wan2GP does not say why")
        clips = [path for path in field(result, "generated_files") or [] if str(path).lower().endswith((".mp4", ".mkv", ".mov", ".webm"))]
        if len(clips) != 1:
            raise Refused("transient", f"Wan2GP reports success and {len(clips)} clips instead of one; {errors}")
        if not os.path.isfile(clips[0]):
            raise Refused("transient", f"Wan2GP reports a clip at {clips[0]}, and there is none")
        shutil.move(clips[0], job["output"])

    def answer(self, job_id, work, reply):
        try:
            work()
        except Cancelled as error:
            self.say(type="error", id=job_id, **{"class": "cancelled"}, message=str(error))
        except Refused as error:
            self.say(type="error", id=job_id, **{"class": error.kind}, message=str(error))
        except Exception as error:
            traceback.print_exc()
            self.say(type="error", id=job_id, **{"class": kind_of(str(error))}, message=f"{type(error).__name__}: {error}")
        else:
            self.say(**reply)


def main():
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    bridge, requests = Bridge(out), queue.Queue()

    def listen():
        for line in sys.stdin:
            request = json.loads(line)
            if request["type"] == "cancel":
                bridge.cancel(request["id"])
            else:
                requests.put(request)
        requests.put({"type": "bye"})

    threading.Thread(target=listen, daemon=True).start()
    while (request := requests.get())["type"] != "bye":
        kind = request["type"]
        if kind == "hello":
            bridge.say(type="hello", protocol="travel-generator/1", **HELLO)
        elif kind == "load":
            bridge.answer(None, bridge.load, {"type": "loaded"})
        elif kind == "unload":
            bridge.answer(None, bridge.unload, {"type": "unloaded"})
        elif kind == "generate":
            done = {"type": "done", "id": request["id"], "output": request["output"]}
            bridge.answer(request["id"], lambda request=request: bridge.generate(request), done)
    # Threads of torch may hold a clean end up.
    out.flush()
    os._exit(0)


main()
