"""A ComfyUI server for tests, written from its documented routes and messages; it renders with OpenCV instead of a model.

    server.py [--era old|middle|new] [--fault NAME] [--seconds-a-step S]

Prints its port as its first line. `old` knows no prompt ids of clients, no `/api/jobs`, and interrupts whatever runs; `middle` interrupts
one job alone.
Faults: see FAULTS. Its routes beyond ComfyUI's own are below `/test`.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import re
import struct
import tempfile
import time
import uuid
from pathlib import Path

import cv2
import numpy as np
from aiohttp import WSMsgType, web

FAULTS = [
    "none", "no socket", "drop socket", "no events", "rename uploads", "lose answer", "out of memory", "node raises", "forget",
    "gifs", "nothing saved", "pictures only", "missing node", "cut download", "busy", "interrupted", "garbage", "unauthorized",
]
ANY = object()


class Invalid(Exception):
    def __init__(self, kind, message, details=""):
        super().__init__(message)
        self.error = {"type": kind, "message": message, "details": details, "extra_info": {}}


# class: (inputs: {name: type or list of choices}, optional inputs, outputs, saves)
def nodes():
    text, whole, real, image, video, mask = "STRING", "INT", "FLOAT", "IMAGE", "VIDEO", "MASK"
    samplers, schedulers = ["euler", "uni_pc", "dpmpp_2m"], ["simple", "normal", "beta"]
    sampler = {"model": "MODEL", "positive": "CONDITIONING", "negative": "CONDITIONING", "latent_image": "LATENT", "seed": whole,
               "steps": whole, "cfg": real, "sampler_name": samplers, "scheduler": schedulers, "denoise": real}
    size = {"width": whole, "height": whole, "length": whole, "batch_size": whole}
    to_video = {"positive": "CONDITIONING", "negative": "CONDITIONING", "vae": "VAE", **size}
    return {
        "UNETLoader": ({"unet_name": ["wan2.1_vace_14B_fp16.safetensors", "wan2.1_flf2v_720p_14B_fp16.safetensors"],
                        "weight_dtype": ["default", "fp8_e4m3fn"]}, {}, ["MODEL"], False),
        "CLIPLoader": ({"clip_name": ["umt5_xxl_fp8_e4m3fn_scaled.safetensors"], "type": ["wan", "sd3"]},
                       {"device": ["default", "cpu"]}, ["CLIP"], False),
        "VAELoader": ({"vae_name": ["wan_2.1_vae.safetensors"]}, {}, ["VAE"], False),
        "ModelSamplingSD3": ({"model": "MODEL", "shift": real}, {}, ["MODEL"], False),
        "CLIPTextEncode": ({"text": text, "clip": "CLIP"}, {}, ["CONDITIONING"], False),
        "LoadVideo": ({"file": text}, {}, [video], False),
        "LoadImage": ({"image": text}, {}, [image, mask], False),
        "GetVideoComponents": ({"video": video}, {}, [image, "AUDIO", real], False),
        "ImageToMask": ({"image": image, "channel": ["red", "green", "blue", "alpha"]}, {}, [mask], False),
        "WanVaceToVideo": ({**to_video, "strength": real},
                           {"control_video": image, "control_masks": mask, "reference_image": image},
                           ["CONDITIONING", "CONDITIONING", "LATENT", whole], False),
        "WanFirstLastFrameToVideo": (to_video, {"clip_vision_start_image": "CLIP_VISION_OUTPUT",
                                                "clip_vision_end_image": "CLIP_VISION_OUTPUT",
                                                "start_image": image, "end_image": image},
                                     ["CONDITIONING", "CONDITIONING", "LATENT"], False),
        "KSampler": (sampler, {}, ["LATENT"], False),
        "TrimVideoLatent": ({"samples": "LATENT", "trim_amount": whole}, {}, ["LATENT"], False),
        "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, {}, [image], False),
        "CreateVideo": ({"images": image, "fps": real}, {"audio": "AUDIO"}, [video], False),
        "SaveVideo": ({"video": video, "filename_prefix": text, "format": ["auto", "mp4"], "codec": ["auto", "h264"]}, {}, [], True),
        "SaveImage": ({"images": image, "filename_prefix": text}, {}, [], True),
    }


def frames_of(path):
    reader = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = reader.read()
        if not there:
            return frames
        frames.append(frame)


class Node:
    """What the nodes do; frames are lists of BGR pictures, a latent is what shall be decoded."""

    def __init__(self, server, job):
        self.server, self.job = server, job

    def LoadVideo(self, file):
        frames = frames_of(self.server.input / file)
        if not frames:
            raise ValueError(f"{file} cannot be decoded")
        return [frames]

    def LoadImage(self, image):
        return [[cv2.imread(str(self.server.input / image))], None]

    def GetVideoComponents(self, video):
        return [video, None, 16.0]

    def ImageToMask(self, image, channel):
        return [[frame.mean() > 127.5 for frame in image]]

    def WanVaceToVideo(self, positive, negative, vae, width, height, length, batch_size, strength, control_video=None,
                       control_masks=None, reference_image=None):
        if (length - 1) % 4:
            raise ValueError(f"length {length} is not 4n+1")
        keep = [not white for white in control_masks][:length]
        latent = {"frames": control_video[:length], "keep": keep, "size": (width, height), "reference": None}
        if reference_image:
            # In front of all others, for the model to look at; whoever decodes has to cut it off again.
            latent["reference"] = cv2.resize(reference_image[0], (width, height))
            latent["frames"] = [latent["reference"]] * 4 + latent["frames"]
            latent["keep"] = [True] * 4 + keep
        return [positive, negative, latent, 1 if reference_image else 0]

    def WanFirstLastFrameToVideo(self, positive, negative, vae, width, height, length, batch_size, start_image=None,
                                 end_image=None, **vision):
        frames = [start_image[0]] * (length - 1) + [end_image[0]]
        keep = [True] + [False] * (length - 2) + [True]
        return [positive, negative, {"frames": frames, "keep": keep, "size": (width, height)}]

    def TrimVideoLatent(self, samples, trim_amount):
        cut = {key: samples[key][4 * trim_amount:] for key in ("frames", "keep")}
        return [{**samples, **cut}]

    def VAEDecode(self, samples, vae):
        frames, keep = samples["frames"], samples["keep"]
        kept = [i for i, kept in enumerate(keep) if kept]
        made = []
        for i, frame in enumerate(frames):
            before = max((k for k in kept if k <= i), default=kept[0])
            after = min((k for k in kept if k >= i), default=kept[-1])
            share = 0.0 if before == after else (i - before) / (after - before)
            picture = cv2.resize(cv2.addWeighted(frames[before], 1 - share, frames[after], share, 0), samples["size"])
            if samples.get("reference") is not None and not keep[i]:
                picture = cv2.addWeighted(picture, 0.7, samples["reference"], 0.3, 0)
            made.append(picture)
        return [made]

    def CreateVideo(self, images, fps, audio=None):
        return [(images, fps)]

    def SaveVideo(self, video, filename_prefix, format, codec):
        images, fps = video
        name = f"{filename_prefix}_00001_.mp4"
        height, width = images[0].shape[:2]
        writer = cv2.VideoWriter(str(self.server.output / name), cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
        for image in images:
            writer.write(image)
        writer.release()
        return name


class Server:
    def __init__(self, options):
        self.era, self.fault, self.pace = options.era, options.fault, options.seconds_a_step
        self.folder = tempfile.TemporaryDirectory(prefix="comfyui-")
        root = Path(self.folder.name)
        self.input, self.output = root / "input", root / "output"
        self.input.mkdir()
        self.output.mkdir()
        self.pending, self.running, self.history, self.sockets, self.cache = [], None, {}, {}, {}
        self.known, self.number, self.faults_done = set(), 0, 0
        self.stop, self.wake = None, asyncio.Event()
        self.seen = {"interrupts": [], "prompts": 0, "sockets": 0, "deleted": [], "seconds": []}

    def once(self, fault):
        """Whether a fault that happens once happens now."""
        if self.fault == fault and not self.faults_done:
            self.faults_done += 1
            return True
        return False

    # Messages.

    async def send(self, job, kind, **data):
        if self.fault == "no events":
            return
        text = json.dumps({"type": kind, "data": {**data, "prompt_id": job["id"]}})
        await self.say(job["client"], text)
        # What others do reaches everybody, as it does there.
        for client in list(self.sockets):
            await self.say(client, json.dumps({"type": "progress", "data": {"value": 9, "max": 9, "prompt_id": "another"}}))

    async def say(self, client, message):
        socket = self.sockets.get(client)
        if socket is None or socket.closed:
            return
        try:
            await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        except (ConnectionError, RuntimeError):
            pass

    async def status(self):
        remaining = len(self.pending) + (self.running is not None)
        for client in list(self.sockets):
            await self.say(client, json.dumps({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": remaining}}}}))

    async def ws(self, request):
        if self.fault == "no socket":
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.seen["sockets"] += 1
        client = request.query.get("clientId") or uuid.uuid4().hex
        self.sockets[client] = socket
        remaining = len(self.pending) + (self.running is not None)
        await self.say(client, json.dumps({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": remaining}}, "sid": client}}))
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
        if self.sockets.get(client) is socket:
            del self.sockets[client]
        return socket

    # The queue.

    def check(self, prompt):
        known = self.nodes()
        errors, good = {}, 0
        for id, node in prompt.items():
            if node.get("class_type") not in known:
                raise Invalid("invalid_prompt", f"Cannot execute because node {node.get('class_type')} does not exist.", f"Node ID '#{id}'")
        if not any(known[node["class_type"]][3] for node in prompt.values()):
            raise Invalid("prompt_no_outputs", "Prompt has no outputs")
        for id, node in prompt.items():
            required, optional, _, saves = known[node["class_type"]]
            wrong = []
            for name, kind in required.items():
                if name not in node["inputs"]:
                    wrong.append(("required_input_missing", "Required input is missing", name))
            for name, value in node["inputs"].items():
                kind = {**required, **optional}.get(name)
                if isinstance(value, list):
                    given = known[prompt[value[0]]["class_type"]][2][value[1]]
                    if kind is not None and given != kind:
                        wrong.append(("return_type_mismatch", "Return type mismatch between linked nodes", f"{name}, {given} != {kind}"))
                elif isinstance(kind, list) and value not in kind:
                    wrong.append(("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {kind}"))
                elif kind == "INT" and not isinstance(value, int) or kind == "FLOAT" and not isinstance(value, (int, float)):
                    wrong.append(("invalid_input_type", "Failed to convert an input value", f"{name}, {value}"))
                elif name in ("file", "image") and kind == "STRING" and not (self.input / value).is_file():
                    wrong.append(("custom_validation_failed", "Custom validation failed for node", f"{name} - Invalid file: {value}"))
            if wrong:
                errors[id] = {"errors": [{"type": t, "message": m, "details": d, "extra_info": {}} for t, m, d in wrong],
                              "dependent_outputs": [], "class_type": node["class_type"]}
            elif saves:
                good += 1
        if errors:
            error = Invalid("prompt_outputs_failed_validation", "Prompt outputs failed validation")
            error.node_errors = errors
            raise error

    def nodes(self):
        all = nodes()
        if self.fault == "missing node":
            del all["WanVaceToVideo"]
        return all

    async def prompt(self, request):
        self.seen["prompts"] += 1
        if self.fault == "busy":
            return web.Response(status=503, text="try later")
        if self.fault == "garbage":
            return web.Response(text="<html>")
        body = await request.json()
        wanted = body.get("prompt_id") if self.era == "new" else None
        if wanted is not None and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", wanted):
            return web.json_response({"error": {"type": "invalid_prompt_id", "message": "not a UUID"}, "node_errors": {}}, status=400)
        if wanted in self.known:
            return web.json_response({"error": {"type": "prompt_id_in_use", "message": "used"}}, status=409)
        try:
            if "prompt" not in body:
                raise Invalid("no_prompt", "No prompt provided")
            self.check(body["prompt"])
        except Invalid as invalid:
            return web.json_response({"error": invalid.error, "node_errors": getattr(invalid, "node_errors", {})}, status=400)
        id = wanted or str(uuid.uuid4())
        self.known.add(id)
        self.number += 1
        job = {"number": self.number, "id": id, "prompt": body["prompt"], "client": body.get("client_id"), "extra": body.get("extra_data", {})}
        self.pending.append(job)
        self.wake.set()
        await self.status()
        if self.once("lose answer"):
            request.transport.abort()
        return web.json_response({"prompt_id": id, "number": job["number"], "node_errors": {}})

    async def work(self):
        while True:
            while not self.pending or self.running:
                self.wake.clear()
                await self.wake.wait()
            job = self.running = self.pending.pop(0)
            self.stop = asyncio.Event()
            if self.once("forget"):
                self.running = None
                continue
            begun = time.monotonic()
            outputs, messages = {}, [["execution_start", {"prompt_id": job["id"]}]]
            await self.send(job, "execution_start")
            try:
                outputs = await self.execute(job)
                messages.append(["execution_success", {"prompt_id": job["id"]}])
            except asyncio.CancelledError:
                raise
            except InterruptedError:
                messages.append(["execution_interrupted", {"prompt_id": job["id"]}])
            except Exception as error:
                node = getattr(error, "node", "?")
                said = {"prompt_id": job["id"], "node_id": node, "node_type": job["prompt"].get(node, {}).get("class_type"), "executed": [],
                        "exception_message": str(error), "exception_type": getattr(error, "kind", type(error).__name__), "traceback": []}
                messages.append(["execution_error", said])
            self.running = None
            self.seen["seconds"].append(time.monotonic() - begun)
            good = messages[-1][0] == "execution_success"
            entry = {"prompt": [job["number"], job["id"], job["prompt"], job["extra"], []], "outputs": outputs, "meta": {},
                     "status": {"status_str": "success" if good else "error", "completed": good, "messages": messages}}
            self.history[job["id"]] = entry
            if self.era == "new" or not good:
                await self.send(job, messages[-1][0], **{k: v for k, v in messages[-1][1].items() if k != "prompt_id"})
            if good:
                await self.send(job, "executing", node=None)
            await self.status()

    async def execute(self, job):
        prompt, values, outputs = job["prompt"], {}, {}
        doer = Node(self, job)
        cached = self.cache.get(json.dumps(prompt, sort_keys=True))
        if cached:
            await self.send(job, "execution_cached", nodes=list(prompt))
            return {}

        async def value(id):
            if id in values:
                return values[id]
            node = prompt[id]
            inputs = {name: (await value(v[0]))[v[1]] if isinstance(v, list) else v for name, v in node["inputs"].items()}
            await self.send(job, "executing", node=id, display_node=id)
            try:
                values[id] = await self.do(job, doer, id, node["class_type"], inputs, outputs)
            except Exception as error:
                error.node = getattr(error, "node", id)
                raise
            return values[id]

        await self.send(job, "execution_cached", nodes=[])
        for id, node in prompt.items():
            if self.nodes()[node["class_type"]][3]:
                await value(id)
        self.cache[json.dumps(prompt, sort_keys=True)] = True
        return outputs

    async def do(self, job, doer, id, kind, inputs, outputs):
        if kind == "KSampler":
            await self.sample(job, id, inputs["steps"])
            return [inputs["latent_image"]]
        if kind == "SaveVideo":
            return await self.save(job, doer, id, inputs, outputs)
        if kind == "SaveImage":
            names = []
            for i, image in enumerate(inputs["images"]):
                names.append(f"{inputs['filename_prefix']}_{i + 1:05}_.png")
                cv2.imwrite(str(self.output / names[-1]), image)
            outputs[id] = {"images": [{"filename": name, "subfolder": "", "type": "output"} for name in names]}
            return []
        if hasattr(doer, kind):
            return await asyncio.to_thread(getattr(doer, kind), **inputs)
        return [kind] * len(self.nodes()[kind][2])

    async def sample(self, job, id, steps):
        if self.fault == "out of memory":
            error = RuntimeError("Allocation on device 0 would exceed allowed memory.")
            error.kind = "torch.OutOfMemoryError"
            raise error
        if self.fault == "node raises":
            raise ValueError("shapes do not match")
        for step in range(1, steps + 1):
            try:
                await asyncio.wait_for(self.stop.wait(), self.pace)
            except TimeoutError:
                pass
            if self.stop.is_set() or self.once("interrupted"):
                raise InterruptedError()
            await self.send(job, "progress", value=step, max=steps, node=id)
            jpeg = cv2.imencode(".jpg", np.full((8, 8, 3), step * 7 % 255, np.uint8))[1].tobytes()
            if self.era == "new":
                told = json.dumps({"prompt_id": job["id"], "node_id": id, "image_type": "image/jpeg"}).encode()
                await self.say(job["client"], struct.pack(">II", 4, len(told)) + told + jpeg)
                await self.send(job, "progress_state", nodes={id: {"value": step, "max": steps, "state": "running"}})
            else:
                await self.say(job["client"], struct.pack(">II", 1, 1) + jpeg)
            if step == 2 and self.once("drop socket"):
                for socket in list(self.sockets.values()):
                    await socket.close()

    async def save(self, job, doer, id, inputs, outputs):
        if self.fault == "nothing saved":
            return []
        name = await asyncio.to_thread(lambda: doer.SaveVideo(**inputs))
        file = {"filename": name, "subfolder": "", "type": "output"}
        if self.fault == "gifs":
            outputs[id] = {"gifs": [{**file, "format": "video/h264-mp4", "frame_rate": 16.0, "fullpath": str(self.output / name)}]}
        elif self.fault == "pictures only":
            outputs[id] = {"images": [{**file, "filename": "frame_00001_.png"}]}
        else:
            outputs[id] = {"images": [file], "animated": [True]}
        await self.send(job, "executed", node=id, output=outputs[id])
        return []

    def interrupt_now(self):
        if self.stop is not None and self.running is not None:
            self.stop.set()

    async def interrupt(self, request):
        text = await request.text()
        body = json.loads(text) if text else {}
        self.seen["interrupts"].append(body)
        wanted = body.get("prompt_id") if self.era != "old" else None
        if wanted is None or (self.running and self.running["id"] == wanted):
            self.interrupt_now()
        return web.Response()

    async def change_queue(self, request):
        body = await request.json()
        if body.get("clear"):
            self.pending.clear()
        for id in body.get("delete", []):
            self.seen["deleted"].append(id)
            self.pending = [job for job in self.pending if job["id"] != id]
        return web.Response()

    async def cancel_job(self, request):
        if self.era != "new":
            raise web.HTTPNotFound()
        id = request.match_info["id"]
        there = [job for job in self.pending if job["id"] == id]
        self.pending = [job for job in self.pending if job["id"] != id]
        if self.running and self.running["id"] == id:
            there.append(self.running)
            self.interrupt_now()
        return web.json_response({"cancelled": bool(there)})

    # Everything else.

    async def queue(self, _):
        entry = lambda job: [job["number"], job["id"], job["prompt"], job["extra"], []]
        return web.json_response({"queue_running": [entry(self.running)] if self.running else [],
                                  "queue_pending": [entry(job) for job in self.pending]})

    async def exec_info(self, _):
        return web.json_response({"exec_info": {"queue_remaining": len(self.pending) + (self.running is not None)}})

    async def all_history(self, request):
        newest = list(self.history.items())[-int(request.query.get("max_items", len(self.history)) or 1):]
        return web.json_response(dict(newest))

    async def one_history(self, request):
        id = request.match_info["id"]
        return web.json_response({id: self.history[id]} if id in self.history else {})

    async def view(self, request):
        roots = {"output": self.output, "input": self.input}
        name = request.query["filename"]
        if ".." in name or name.startswith("/"):
            return web.Response(status=400)
        path = roots[request.query.get("type", "output")] / request.query.get("subfolder", "") / name
        if not path.is_file():
            return web.Response(status=404)
        if self.once("cut download"):
            answer = web.StreamResponse(headers={"Content-Length": str(path.stat().st_size)})
            await answer.prepare(request)
            await answer.write(path.read_bytes()[: path.stat().st_size // 2])
            request.transport.abort()
            return answer
        return web.FileResponse(path)

    async def upload(self, request):
        form = await request.post()
        file, folder = form["image"], form.get("subfolder", "")
        data, name = file.file.read(), Path(file.filename).name
        root = self.input / folder
        root.mkdir(exist_ok=True)
        stem, ending = Path(name).stem, Path(name).suffix
        if self.fault == "rename uploads":
            (root / name).touch()
        number = 1
        while (root / name).exists() and form.get("overwrite") not in ("true", "1"):
            if hashlib.sha256((root / name).read_bytes()).digest() == hashlib.sha256(data).digest():
                break
            name = f"{stem} ({number}){ending}"
            number += 1
        (root / name).write_bytes(data)
        return web.json_response({"name": name, "subfolder": folder, "type": "input"})

    async def object_info(self, request):
        def told(kind, node):
            required, optional, outputs, saves = node
            spell = lambda inputs: {name: [what] for name, what in inputs.items()}
            return {"name": kind, "display_name": kind, "input": {"required": spell(required), "optional": spell(optional)},
                    "output": outputs, "output_node": saves, "category": "test"}
        wanted = request.match_info.get("kind")
        known = self.nodes()
        names = [wanted] if wanted in known else [] if wanted else list(known)
        return web.json_response({name: told(name, known[name]) for name in names})

    async def stats(self, _):
        version = {"old": "0.3.40", "middle": "0.3.60", "new": "0.3.75"}[self.era]
        return web.json_response({"system": {"os": "posix", "comfyui_version": version, "python_version": "3"},
                                  "devices": [{"name": "cpu", "type": "cpu", "index": 0, "vram_total": 0, "vram_free": 0}]})

    async def told(self, _):
        return web.json_response({**self.seen, "history": len(self.history)})

    async def foreign(self, request):
        """Somebody else's job, which takes so many seconds and is told of as any other."""
        seconds = float(request.query["seconds"])
        old, self.pace = self.pace, seconds
        job = {"number": self.number, "id": "foreign", "prompt": {"1": {"class_type": "KSampler", "inputs": {}}}, "client": None, "extra": {}}

        async def run():
            self.running, self.stop = job, asyncio.Event()
            try:
                await asyncio.wait_for(self.stop.wait(), seconds)
                self.seen["foreign"] = "stopped"
            except TimeoutError:
                self.seen["foreign"] = "done"
            self.running, self.pace = None, old
            self.wake.set()
        self.foreigner = asyncio.create_task(run())
        await asyncio.sleep(0)
        return web.Response()

    @web.middleware
    async def guard(self, request, handler):
        if self.fault == "unauthorized" and not request.path.startswith("/test"):
            expected = "Basic " + base64.b64encode(b"a:b").decode()
            if request.headers.get("Authorization") != expected:
                return web.Response(status=401, text="who are you?")
        return await handler(request)

    def app(self):
        app = web.Application(client_max_size=1 << 30, middlewares=[self.guard])
        for prefix in ("", "/api"):
            app.add_routes([
                web.get(f"{prefix}/ws", self.ws), web.get(f"{prefix}/prompt", self.exec_info), web.post(f"{prefix}/prompt", self.prompt),
                web.get(f"{prefix}/queue", self.queue), web.post(f"{prefix}/queue", self.change_queue),
                web.post(f"{prefix}/interrupt", self.interrupt), web.get(f"{prefix}/history", self.all_history),
                web.get(f"{prefix}/history/{{id}}", self.one_history), web.get(f"{prefix}/view", self.view),
                web.post(f"{prefix}/upload/image", self.upload), web.get(f"{prefix}/object_info", self.object_info),
                web.get(f"{prefix}/object_info/{{kind}}", self.object_info), web.get(f"{prefix}/system_stats", self.stats),
            ])
        app.add_routes([web.post("/api/jobs/{id}/cancel", self.cancel_job), web.get("/test/seen", self.told),
                        web.post("/test/foreign", self.foreign)])
        return app


async def main():
    words = argparse.ArgumentParser()
    words.add_argument("--era", choices=["old", "middle", "new"], default="new")
    words.add_argument("--fault", choices=FAULTS, default="none")
    words.add_argument("--seconds-a-step", type=float, default=0.01)
    server = Server(words.parse_args())
    runner = web.AppRunner(server.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    worker = asyncio.create_task(server.work())
    # Ends with whoever started it: its standard input is closed then.
    await asyncio.get_running_loop().run_in_executor(None, input_ends)
    worker.cancel()
    await runner.cleanup()
    server.folder.cleanup()


def input_ends():
    import sys

    while sys.stdin.buffer.read(1 << 16):
        pass


asyncio.run(main())
