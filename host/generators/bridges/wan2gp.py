"""Wan2GP as a generator: travel-generator/1 in front of its Python API (`shared/api.py`), so that a model stays loaded; or, for
versions without one, of its command line, which loads the model anew for each segment.

Started by the host in Wan2GP's own folder, with the Python of its own environment. Its argument is a JSON object:
{"mode": "api" or "process", "model": …, "args": [options of wgp.py], "config": a folder or null}. Nothing of Wan2GP is imported
before a model is asked for.
"""

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
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
    "inputs": ["guide", "mask", "references", "prompt", "seed"],
    "models": [MODEL],
    "notice": "renders with WanGP (Wan2GP), under the WanGP Community License 2.0: say so where you show or document what you make "
              "with it, and do not sell it as a hosted service without a licence"
              + ("; its command line loads the model anew for each segment" if OPTIONS["mode"] == "process" else ""),
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
            "video_prompt_type": {"type": "string", "description": "How guide and mask are read; " + OPTIONS["reads"] + " unless set."},
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
    for picture in job["references"]:
        if not os.path.isfile(picture):
            raise Refused("invalid", f"the reference {picture} is not there")
    num, den = job["rate"]
    reads = job["settings"].get("video_prompt_type", OPTIONS["reads"])
    references = {}
    if job["references"]:
        # An empty list is not the same as none to it.
        reads += "" if "I" in reads else "I"
        references = {"image_refs": job["references"]}
    return {
        **defaults,
        "sliding_window_overlap": 0,
        "sliding_window_discard_last_frames": 0,
        "remove_background_images_ref": 0,
        "mask_expand": 0,
        "keep_frames_video_guide": "",
        **job["settings"],
        "video_prompt_type": reads,
        **references,
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


def is_clip(path):
    return str(path).lower().endswith((".mp4", ".mkv", ".mov", ".webm"))


class Bridge:
    """What both ways have in common: words to the host, and a running job that can be stopped."""

    def __init__(self, out):
        self.out = out
        self.lock = threading.Lock()
        self.running = None
        self.cancelled = set()

    def say(self, **reply):
        with self.lock:
            self.out.write(json.dumps(reply) + "\n")
            self.out.flush()

    def cancel(self, job_id):
        self.cancelled.add(job_id)
        running = self.running
        if running is not None and running[0] == job_id:
            running[1]()

    def under(self, job, stop, work):
        """Does the work of a job, which `stop` ends when it is cancelled."""
        self.running = (job["id"], stop)
        try:
            if job["id"] in self.cancelled:
                stop()
            result = work()
        finally:
            self.running = None
        if job["id"] in self.cancelled:
            self.cancelled.discard(job["id"])
            raise Cancelled("cancelled as asked")
        return result

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


class Api(Bridge):
    """Over the Python API: the model stays loaded."""

    session = None

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

    def generate(self, job):
        self.load()
        defaults = self.session.get_default_settings(MODEL) or {}
        task = self.session.submit_task(settings_of(job, defaults))

        def work():
            for event in task.events.iter():
                self.tell(event)
            return task.result()

        self.take(self.under(job, task.cancel, work), job)

    def tell(self, event):
        kind, data = field(event, "kind"), field(event, "data")
        if kind == "progress":
            step, of = int(field(data, "current_step") or 0), int(field(data, "total_steps") or 0)
            self.say(type="progress", phase=str(field(data, "phase") or "work"), step=min(step, of) if of else step, of=of)
        elif kind == "stream":
            print(field(data, "text") or data, file=sys.stderr, flush=True)
            self.say(type="progress")
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
        clips = [path for path in field(result, "generated_files") or [] if is_clip(path)]
        if len(clips) != 1:
            raise Refused("transient", f"Wan2GP reports success and {len(clips)} clips instead of one; {errors}")
        if not os.path.isfile(clips[0]):
            raise Refused("transient", f"Wan2GP reports a clip at {clips[0]}, and there is none")
        shutil.move(clips[0], job["output"])


def hear(stream, heard):
    """Hears a program line by line: it ends one with a newline, or returns the carriage to write over it; so the newest is not
    ended yet."""
    said = b""
    while part := stream.read1(65536):
        *lines, said = re.split(rb"[\r\n]", said + part)
        said = said[-65536:]
        for line in lines:
            heard.line(line.decode(errors="replace"))
        if b"|" in said:  # the phase before it is whole
            heard.step(said.decode(errors="replace"))
    heard.line(said.decode(errors="replace"))


class Command(Bridge):
    """Over the command line. Its exit status is no proof of anything: tasks that it skips do not count as failed."""

    def load(self):
        """The model is loaded with each job."""

    unload = load

    def generate(self, job):
        settings = {"settings_version": 2.74, **settings_of(job, {})}
        folder = tempfile.mkdtemp(prefix="wan2gp-", dir=os.path.dirname(job["output"]))
        try:
            task, clips = os.path.join(folder, "task.json"), os.path.join(folder, "clips")
            with open(task, "w", encoding="utf-8") as file:
                json.dump(settings, file)
            command = [sys.executable, "wgp.py", "--process", task, "--output-dir", clips, "--verbose", "1"]
            if OPTIONS.get("config"):
                command += ["--config", OPTIONS["config"]]
            self.say(type="progress", phase="start Wan2GP")
            child = subprocess.Popen(command + OPTIONS.get("args", []), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            heard = Heard(self.say, [os.path.basename(job[role]) for role in ("guide", "mask")])

            def work():
                hear(child.stdout, heard)
                return child.wait()

            try:
                status = self.under(job, lambda: child.send_signal(signal.SIGINT), work)
            finally:
                child.kill()
                child.wait()
            self.take(status, heard, clips, job)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def take(self, status, heard, folder, job):
        """Moves the clip to where it belongs, if there is exactly one and nothing speaks against it."""
        if heard.skipped:
            raise Refused("invalid", heard.skipped)
        if heard.errors:
            errors = "; ".join(heard.errors)
            raise Refused(kind_of(errors), errors)
        if heard.dropped:
            raise Refused("transient", f"Wan2GP rendered without what it was given: {heard.dropped}")
        if status:
            raise Refused("transient", f"Wan2GP ended with exit status {status} and does not say why")
        clips = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if is_clip(name)] if os.path.isdir(folder) else []
        # Of a clip and what was made of it, the last that it saved is meant.
        if len(clips) > 1 and heard.postprocessed and os.path.realpath(heard.postprocessed) in map(os.path.realpath, clips):
            clips = [heard.postprocessed]
        if len(clips) != 1:
            raise Refused("transient", f"Wan2GP ended with exit status 0 and left {len(clips)} clips instead of one")
        shutil.move(clips[0], job["output"])


class Heard:
    """What the command line of Wan2GP has said of a job."""

    # `[12/30] Prompt 1/3 - Denoising | …`; each phase counts from 0 again.
    STEP = re.compile(r"\s*\[(\d+)/(\d+)\]\s*(?:Prompt \d+/\d+\s*-?\s*)?([^|]*)")
    SAVED = re.compile(r"\s*(New video|Postprocessed video|Remuxed Video) saved to Path:\s*(.+?)\s*$", re.IGNORECASE)
    # A file that is not there is dropped with a warning, and the job goes on without it.
    DROPPED = re.compile(r"\b(not found|missing|does(?: not|n't) exist|skipp\w+|drop\w+|ignor\w+)\b", re.IGNORECASE)

    def __init__(self, say, given):
        self.say = say
        self.given = ["video_guide", "video_mask", "attachment", *given]
        self.errors, self.skipped, self.dropped, self.postprocessed, self.last = [], None, None, None, None

    def step(self, text):
        """Tells of a step, once; whether the line is of one."""
        step = self.STEP.match(text)
        if step and step.groups() != self.last:
            self.last = step.groups()
            done, of = int(step[1]), int(step[2])
            self.say(type="progress", phase=step[3].strip().lower() or "work", step=min(done, of), of=of)
        return step is not None

    def line(self, text):
        if not text.strip():
            return
        print(text, file=sys.stderr, flush=True)
        if self.step(text):
            return
        self.say(type="progress")
        saved = self.SAVED.match(text)
        if saved and not saved[1].lower().startswith("new"):
            self.postprocessed = saved[2]
        elif text.lstrip().startswith("[SKIP]"):
            self.skipped = text.strip()
        elif text.lstrip().startswith("[ERROR]"):
            self.errors.append(text.strip().removeprefix("[ERROR]").strip())
        # The line with the task's number has words of the prompt, which may be any.
        elif not text.startswith("[Task ") and self.DROPPED.search(text) and any(name in text.lower() for name in self.given):
            self.dropped = text.strip()


def main():
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Where it is ignored, so would it be by what is started here, and nothing could be cancelled.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    bridge, requests = {"api": Api, "process": Command}[OPTIONS["mode"]](out), queue.Queue()

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
