"""Two clients for ComfyUI that others wrote drive the server of these tests, unchanged.

    clients.py PORT WORKFLOW GUIDE MASK REFERENCE

Prints a JSON object: what each client got.
"""

import asyncio
import json
import sys
from pathlib import Path

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from comfykit.comfyui.websocket_executor import WebSocketExecutor

port, workflow, guide, mask, reference = sys.argv[1:]
url = f"http://127.0.0.1:{port}"


def simplified():
    api = ComfyApiWrapper(url)
    assert "KSampler" in api.get_object_info() and api.get_system_stats()["devices"]
    flow = ComfyWorkflowWrapper(workflow)
    slots = (("travel: guide=file", "file", guide), ("travel: mask=file", "file", mask),
             ("travel: reference_1=image", "image", reference))
    for title, slot, path in slots:
        file = api.upload_image(path, subfolder="simplified")
        flow.set_node_param(title, slot, f"{file['subfolder']}/{file['name']}")
    flow.set_node_param("travel: width=width, height=height, frames=length, strength=strength", "length", 17)
    flow.set_node_param("travel: output, name=filename_prefix", "filename_prefix", "simplified")
    # It takes every binary message for a picture, previews too.
    prompt_id, pictures = asyncio.run(api.queue_prompt_and_wait(flow))
    entry = api.get_history(prompt_id)[prompt_id]
    file = entry["outputs"]["24"]["images"][0]
    clip = api.get_image(file["filename"], file["subfolder"], file["type"])
    assert api.get_queue() == {"queue_running": [], "queue_pending": []}
    return {"previews": len(pictures), "status": entry["status"]["status_str"], "bytes": len(clip)}


async def kit():
    executor = WebSocketExecutor(url)
    flow = json.loads(Path(workflow).read_text())
    for node, slot, file in (("7", "file", guide), ("8", "file", mask), ("13", "image", reference)):
        flow[node]["inputs"][slot] = await executor._upload_media(file)
    flow["12"]["inputs"]["length"] = 17
    flow["24"]["inputs"]["filename_prefix"] = "kit"
    flow["24"]["_meta"]["title"] = "$output.video"
    path = Path(guide).with_name("kit.json")
    path.write_text(json.dumps(flow))
    result = await executor.execute_workflow(str(path), {})
    return {"status": result.status, "message": result.msg, "videos": result.videos, "images": result.images}


print(json.dumps({"simplified": simplified(), "kit": asyncio.run(kit())}))
