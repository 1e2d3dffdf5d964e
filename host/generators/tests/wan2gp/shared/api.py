"""Wan2GP's Python API as it is documented, rendering by copying the guide; it lies as its option --lie says."""

import os
import queue
import shutil
import tempfile
import threading
from types import SimpleNamespace


# The settings that the real one starts from; a bridge has to overrule some of them.
DEFAULTS = {"num_inference_steps": 30, "multi_prompts_gen_type": "PG", "remove_background_images_ref": 1,
            "sliding_window_size": 129}


def init(root=None, config_path=None, output_dir=None, callbacks=None, cli_args=(), console_output=True, console_isatty=None):
    assert os.path.isfile(os.path.join(root, "wgp.py"))
    print("Loading model weights", flush=True)  # as its libraries do, whatever console_output says
    return Session(cli_args[1] if cli_args else "nothing")


def refusal(settings):
    """What the real one would get wrong with such settings."""
    if settings["video_prompt_type"] != ("VAI" if settings.get("image_refs") else "VA"):
        return "guide, mask and references are not read as such"
    if "image_refs" in settings and not (settings["image_refs"] and all(map(os.path.isfile, settings["image_refs"]))):
        return "references are an empty list, or not there"
    if settings["multi_prompts_gen_type"] != "FG":
        return "the prompt would be cut into several clips"
    if settings["sliding_window_size"] < settings["video_length"]:
        return "the clip would be made in several windows"
    if settings["video_length"] % 4 != 1:
        return "the length is not 4n+1"
    if settings["force_fps"] != "16":
        return "the guide would be resampled"
    if not all(os.path.isabs(settings[key]) for key in ("video_guide", "video_mask")):
        return "paths are relative to Wan2GP's folder"
    if settings["remove_background_images_ref"] or not settings["prompt"]:
        return "defaults were left that harm"
    return None


class Session:
    def __init__(self, lie):
        self.lie = lie
        self.folder = tempfile.mkdtemp()

    def get_default_settings(self, model):
        return {"model_type": model, **DEFAULTS}

    def submit_task(self, settings):
        return Job(self, settings)


class Job:
    def __init__(self, session, settings):
        self.events = SimpleNamespace(iter=self.iter)
        self.queue = queue.Queue()
        self.stop = threading.Event()
        self.answer = None
        threading.Thread(target=self.work, args=(session, settings), daemon=True).start()

    def iter(self, timeout=None):
        while (event := self.queue.get()) is not None:
            yield event

    def cancel(self):
        self.stop.set()

    def result(self):
        return self.answer

    def tell(self, kind, **data):
        self.queue.put(SimpleNamespace(kind=kind, data=SimpleNamespace(**data)))

    def end(self, files=(), errors=(), success=None):
        success = not errors if success is None else success
        self.answer = SimpleNamespace(success=success, generated_files=list(files), errors=list(errors))
        self.queue.put(None)

    def work(self, session, settings):
        lie = session.lie
        fault = refusal(settings)
        if fault:
            return self.end(errors=[SimpleNamespace(message=fault, stage="validation")])
        for step in range(1, settings["num_inference_steps"] + 1):
            self.tell("progress", phase="denoising", status="Denoising", progress=0, current_step=step,
                      total_steps=settings["num_inference_steps"], raw_phase="", unit="steps")
            if lie == "never ends" and self.stop.wait(None):
                return self.end(errors=[SimpleNamespace(message="cancelled", stage="cancelled")])
        self.tell("stream", stream="stdout", text="VAE decoding")
        if lie == "out of memory":
            return self.end(errors=[SimpleNamespace(message="CUDA out of memory. Tried to allocate 2 GiB", stage="generation")])
        path = os.path.join(session.folder, settings["output_filename"] + ".mp4")
        if lie not in ("nothing made", "no file"):
            shutil.copy(settings["video_guide"], path)
        self.end(files=[] if lie == "nothing made" else [path, path] if lie == "two windows" else [path])
