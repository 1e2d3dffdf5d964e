#!/usr/bin/env python3
"""What the host costs a graphics card: time that it stands idle, time that a film takes beyond it, CPU meanwhile.

    python3 tests/bench/devices.py [--seconds 5] [--segments 6] [--watch 120] [--program target/release/travel-host]

The card is played by a program over travel-generator/1 that waits so many seconds for each segment and hands its guide back
as the clip, with the moments at which it was asked and had done. Figures:

    idle        between one job's end and the next one's beginning, of two runs interleaved on one device; p50 and most
    wall        from the host's start to its end, over the time that the card worked
    host CPU    of the host's process while the card works for so long
    comfyui     a segment's phase `generate` less the time that the ComfyUI server of the tests says it worked, p50
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def be_a_card(log, seconds):
    sys.path.insert(0, os.path.join(ROOT, "examples/generators/opencv-flow"))
    from travel_generator import serve

    def render(job, report):
        begun = time.monotonic()
        until = begun + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            report("denoise", min(int((time.monotonic() - begun) / seconds * 30), 30), 30)
        shutil.copyfile(job["guide"], job["output"])
        with open(log, "a", encoding="utf-8") as out:
            out.write(f"{begun} {time.monotonic()}\n")

    serve(hello={"name": "a card", "grid": {}, "inputs": ["guide", "mask"]}, render=render)


def ask(program, folder, *args):
    done = subprocess.run([program, *args, "--json"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(args)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def submit(program, folder, name, pictures, segments, *more):
    stills = [pictures[i % len(pictures)] for i in range(segments + 1)]
    ask(program, folder, "travel", *stills, "--name", name, "--resolution", "832x480", "--segment-frames", "81", "--frame-overlap", "9",
        "--preset", "ultrafast", *more)


def desk(log, seconds):
    folder = tempfile.mkdtemp(prefix="devices-bench-")
    command = [sys.executable, os.path.abspath(__file__), "--card", log, str(seconds)]
    with open(os.path.join(folder, "travel-host.toml"), "w", encoding="utf-8") as config:
        config.write(f"[generators.card]\ncommand = {json.dumps(command)}\npool = \"gpu\"\n"
                     "[[devices]]\nname = \"gpu0\"\nmemory-mb = 1000\n")
    return folder


def interleaved(program, pictures, segments, seconds):
    log = os.path.join(tempfile.mkdtemp(prefix="devices-bench-log-"), "log")
    folder = desk(log, seconds)
    try:
        for name in ("one", "two"):
            submit(program, folder, name, pictures, segments, "--generator", "card")
        begun = time.monotonic()
        ask(program, folder, "run", "--until-idle")
        wall = time.monotonic() - begun
        with open(log, encoding="utf-8") as lines:
            jobs = sorted(tuple(map(float, line.split())) for line in lines)
        assert len(jobs) == 2 * segments, f"{len(jobs)} jobs"
        idle = [(after[0] - before[1]) * 1000 for before, after in zip(jobs, jobs[1:])]
        return idle, wall / sum(end - begin for begin, end in jobs)
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(os.path.dirname(log))


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watched(program, pictures, seconds):
    log = os.path.join(tempfile.mkdtemp(prefix="devices-bench-log-"), "log")
    folder = desk(log, seconds + 20)
    try:
        submit(program, folder, "one", pictures, 1, "--generator", "card")
        host = subprocess.Popen([program, "run", "--until-idle", "--json"], cwd=folder, stdout=subprocess.DEVNULL)
        time.sleep(10)
        before = cpu_of(host.pid)
        time.sleep(seconds)
        share = (cpu_of(host.pid) - before) / seconds
        host.terminate()
        host.terminate()
        host.wait()
        return share
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(os.path.dirname(log))


def comfyui(program, pictures, segments, python):
    script = os.path.join(ROOT, "host/generators/tests/comfyui/server.py")
    server = subprocess.Popen([python, script, "--seconds-a-step", "0.05"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    folder = tempfile.mkdtemp(prefix="devices-bench-")
    try:
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        workflow = os.path.join(ROOT, "examples/generators/comfyui/wan-vace.json")
        with open(os.path.join(folder, "travel-host.toml"), "w", encoding="utf-8") as config:
            config.write(f"[generators.comfy.comfyui]\nservers = [{json.dumps(url)}]\nworkflow = {json.dumps(workflow)}\n")
        submit(program, folder, "one", pictures, segments, "--generator", "comfy", "--fps", "16")
        ask(program, folder, "run", "--until-idle")
        with urllib.request.urlopen(f"{url}/test/seen") as answer:
            own = sorted(json.load(answer)["seconds"])
        run = ask(program, folder, "runs", "show", "one")[0]
        details = [ask(program, folder, "tasks", "show", str(task["id"]))[0] for task in run["tasks"]]
        whole = [detail["output"]["phases_ms"]["generate"] for detail in details if "generate" in detail["output"].get("phases_ms", {})]
        assert len(whole) == len(own) == segments
        return statistics.median(whole), statistics.median(own) * 1000
    finally:
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder)


def main():
    if sys.argv[1:2] == ["--card"]:
        return be_a_card(sys.argv[2], float(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--segments", type=int, default=6)
    parser.add_argument("--watch", type=float, default=120)
    parser.add_argument("--program", default=os.path.join(ROOT, "target/release/travel-host"))
    parser.add_argument("--python", default=os.path.join(ROOT, "target/python/bin/python"), help="one with aiohttp and OpenCV")
    args = parser.parse_args()
    folder = os.path.join(ROOT, "examples/photos")
    pictures = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".jpg"))
    program = os.path.abspath(args.program)

    idle, wall = interleaved(program, pictures, args.segments, args.seconds)
    print(f"idle between two jobs: p50 {statistics.median(idle):.1f} ms, most {max(idle):.1f} ms, of {len(idle)}")
    print(f"wall over the card's own time: {wall:.3f} ({2 * args.segments} segments of {args.seconds} s, two runs)")
    whole, own = comfyui(program, pictures, args.segments, args.python)
    print(f"ComfyUI: {whole:.0f} ms a segment, of which the server says {own:.0f}; beyond it {whole - own:.0f} ms")
    print(f"host CPU while the card works: {watched(program, pictures, args.watch) * 100:.3f} % of a core, over {args.watch:.0f} s")


if __name__ == "__main__":
    main()
