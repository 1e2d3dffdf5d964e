#!/usr/bin/env python3
"""A render farm in one file: hands jobs that come over HTTP (travel-farm/1) to programs that speak travel-generator/1.

    python3 farm.py --folder /var/lib/farm --slots 2 -- python3 ../opencv-flow/flow.py

Nothing but Python 3.11 and its own library is needed. Jobs and files lie in the folder, so that it goes on where it was after a restart. If
the variable FARM_TOKEN is set, every call has to bring it: "Authorization: Bearer TOKEN". For an address that others can reach,
set it, and put a server before this one that speaks TLS.
"""

import argparse
import fcntl
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

PROTOCOL = "travel-farm/1"
SHA256 = re.compile(r"[0-9a-f]{64}")
FILES = ("guide", "mask", "first_frame", "last_frame", "video")
MAX_JOB, MAX_FILE = 1 << 20, 8 << 30
PIECE = 1 << 18
MAX_LINE = 1 << 20
# What an answer has to say, in words.
NEEDS = {"done": ("id", "output"), "error": ("class", "message")}
GRACE = 10  # seconds between the request to stop and the end of the program
LONGEST_WAIT = 30  # seconds


def files_of(asks):
    """The files that a job needs."""
    return [asks[key] for key in FILES if asks.get(key)] + asks.get("references", [])


class Gone(Exception):
    """The program ended, or said what is not of the protocol."""


class Refused(Exception):
    """A call that is answered with this status and these words."""

    def __init__(self, status, words):
        super().__init__(words)
        self.status = status


class Job:
    def __init__(self, name, asks, state=None):
        self.name, self.asks = name, asks
        self.version, self.state = 1, state or {"state": "queued"}
        self.wanted, self.program, self.attempt = True, None, None

    def is_over(self):
        return self.state["state"] in ("done", "failed")


class Program:
    """A generator that is kept between jobs."""

    def __init__(self, command, silence):
        self.command, self.silence, self.child, self.model = command, silence, None, None
        self.lock = threading.Lock()

    def hello(self):
        """Starts it, if it does not run; what it says of itself."""
        if self.child and self.child.poll() is None:
            return self.said
        self.model = None
        self.child = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self.ask(type="hello", protocol="travel-generator/1")
        self.said = self.answer()
        if self.said["type"] != "hello":
            raise Gone(f"it answered hello with {self.said}")
        return self.said

    def ask(self, **request):
        try:
            with self.lock:
                self.child.stdin.write(json.dumps(request).encode() + b"\n")
                self.child.stdin.flush()
        except OSError:
            pass  # Its end is told by what it does not answer.

    def answer(self):
        hung = threading.Timer(self.silence, self.end)
        hung.start()
        line = self.child.stdout.readline(MAX_LINE)
        hung.cancel()
        if not line.endswith(b"\n"):
            self.end()
            raise Gone(f"the generator ended with status {self.child.returncode}, or said too much in a line")
        try:
            reply = json.loads(line)
            for key in NEEDS.get(reply["type"], ()):
                reply[key] + ""
        except (ValueError, TypeError, KeyError):
            raise Gone(f"the generator said {line[:200]!r}, which is not of its protocol") from None
        return reply

    def make(self, request, report):
        """The answer to a job: done or error."""
        self.hello()
        if request["model"] and request["model"] != self.model:
            report({"state": "running", "phase": "load"})
            self.ask(type="load", model=request["model"])
            reply = self.until(("loaded", "error"), report)
            if reply["type"] == "error":
                return reply
            self.model = request["model"]
        self.ask(**request)
        return self.until(("done", "error"), report)

    def until(self, kinds, report):
        while True:
            reply = self.answer()
            if reply["type"] in kinds:
                return reply
            if reply["type"] == "progress":
                report({"state": "running", **{key: reply[key] for key in ("phase", "step", "of") if key in reply}})

    def cancel(self, name):
        self.ask(type="cancel", id=name)

    def end(self):
        """Ends it, and whatever it has started."""
        if not self.child:
            return
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


class Farm:
    def __init__(self, folder, command, slots, keep, silence):
        self.folder, self.keep = folder, keep
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Gone(f"another farm works in {folder}") from None
        for name in ("files", "jobs", "work"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for rest in (folder / "work").iterdir():
            shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
        self.changed = threading.Condition()
        self.jobs, self.queue = {}, []
        for path in sorted((folder / "jobs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            try:
                stored = json.loads(path.read_text())
            except ValueError:  # Cut off by a power failure; whoever wants it hands it in again.
                path.unlink()
                continue
            job = self.jobs[path.stem] = Job(path.stem, stored["asks"], stored["state"])
            # Another version than it had, which whoever looks may still know.
            job.version = time.time_ns()
            if not job.is_over():
                self.put(job, {"state": "queued"})
                self.queue.append(job)
        self.programs = [Program(command, silence) for _ in range(slots)]
        self.hello = {**self.programs[0].hello(), "protocol": PROTOCOL}
        if not {"name", "grid"} <= self.hello.keys():
            raise Gone("the generator's hello lacks its name or its grid")
        del self.hello["type"]
        for program in self.programs:
            threading.Thread(target=self.work, args=(program,), daemon=True).start()
        threading.Thread(target=self.tidy, daemon=True).start()

    def file(self, sha256):
        return self.folder / "files" / sha256

    def put(self, job, state):
        """A job's new state; what changes more often than now and then is not written down."""
        with self.changed:
            is_news = state["state"] != job.state["state"] or job.version == 1
            job.state, job.version = state, job.version + 1
            if is_news and job.wanted:
                path = self.folder / "jobs" / f"{job.name}.json"
                part = path.with_suffix(".part")
                with part.open("w", encoding="utf-8") as file:
                    json.dump({"asks": job.asks, "state": state}, file)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            self.changed.notify_all()

    def submit(self, name, asks):
        with self.changed:
            job = self.jobs.get(name)
            if job and job.state["state"] != "failed":
                return job
            missing = [sha256 for sha256 in files_of(asks) if not self.has(sha256)]
            if missing:
                return missing
            job = Job(name, asks)
            self.put(job, {"state": "queued"})  # On a full disk there is no job.
            self.jobs[name] = job
            self.queue.append(job)
            self.changed.notify_all()
            return job

    def has(self, sha256):
        try:
            os.utime(self.file(sha256))
            return True
        except FileNotFoundError:
            return False

    def forget(self, name):
        with self.changed:
            job = self.jobs.pop(name, None)
            if not job:
                return False
            job.wanted = False
            if job in self.queue:
                self.queue.remove(job)
            (self.folder / "jobs" / f"{name}.json").unlink(missing_ok=True)
            self.changed.notify_all()
            program = job.program
        if program:
            program.cancel(job.attempt)
            timer = threading.Timer(GRACE, lambda: program.end() if job.program else None)
            timer.daemon = True
            timer.start()
        return True

    def shown(self, job):
        with self.changed:
            before = {"before": self.queue.index(job)} if job in self.queue else {}
            return {"id": job.name, "version": job.version, **job.state, **before}

    def look(self, name, since, wait):
        with self.changed:
            self.changed.wait_for(lambda: name not in self.jobs or self.jobs[name].version != since, timeout=wait)
            job = self.jobs.get(name)
            return self.shown(job) if job else None

    def work(self, program):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.queue)
                job = self.queue.pop(0)
                job.program = program
            folder = None
            try:
                self.put(job, {"state": "running"})
                folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder / "work"))
                state = self.make(program, job, folder)
            except Exception as fault:  # Whatever it is, it is this job's, and the next one is done.
                program.end()
                state = {"state": "failed", "class": "transient", "message": f"{type(fault).__name__}: {fault}"}
            with self.changed:
                job.program = None
                try:
                    self.put(job, state)
                except OSError:
                    job.state, job.version = state, job.version + 1
                    self.changed.notify_all()
            if folder:
                shutil.rmtree(folder, ignore_errors=True)

    def make(self, program, job, folder):
        # Not the job's own name: what was cancelled may be handed in again, and is not cancelled then.
        name = job.attempt = f"{job.name[:16]}-{time.monotonic_ns()}"
        request = {**job.asks, "id": name, "output": str(folder / "clip.mkv"), "work_dir": str(folder)}
        for key in FILES:
            if request.get(key):
                request[key] = str(self.file(request[key]))
        if "references" in request:
            request["references"] = [str(self.file(sha256)) for sha256 in request["references"]]
        reply = program.make(request, lambda state: self.put(job, state))
        if reply["type"] == "error":
            if reply["class"] in ("out-of-memory", "fatal"):
                program.end()  # Memory that was not enough is best given back so.
            return {"state": "failed", "class": reply["class"], "message": reply["message"]}
        clip = folder / "clip.mkv"
        if (reply["id"], reply["output"]) != (name, str(clip)) or clip.is_symlink() or not clip.is_file() or not clip.stat().st_size:
            return {"state": "failed", "class": "transient", "message": "the generator made no clip where it should"}
        with clip.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        length = clip.stat().st_size
        clip.replace(self.file(sha256))
        return {"state": "done", "clip": {"sha256": sha256, "bytes": length}}

    def tidy(self):
        """Removes what nobody has asked for in a while."""
        while True:
            oldest = time.time() - self.keep
            with self.changed:
                for job in list(self.jobs.values()):
                    path = self.folder / "jobs" / f"{job.name}.json"
                    if job.is_over() and path.stat().st_mtime < oldest:
                        self.forget(job.name)
                needed = {sha256 for job in self.jobs.values() for sha256 in files_of(job.asks)}
                needed |= {job.state["clip"]["sha256"] for job in self.jobs.values() if "clip" in job.state}
                for path in (self.folder / "files").iterdir():
                    if path.name not in needed and path.stat().st_mtime < oldest:
                        path.unlink()
            time.sleep(min(self.keep, 600))

    def end(self):
        for program in self.programs:
            program.end()


class Calls(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def do(self):
        farm, self.left = self.server.farm, 0
        try:
            length = self.headers.get("Content-Length") or "0"
            if not (length.isascii() and length.isdigit()):
                self.close_connection = True
                raise Refused(400, "the length is no number")
            self.left = int(length)
            token = os.environ.get("FARM_TOKEN")
            given = self.headers.get("Authorization", "").encode("latin-1", "replace")
            if token and not hmac.compare_digest(given, f"Bearer {token}".encode()):
                raise Refused(401, "the token is wrong or missing")
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            kind, _, name = url.path.strip("/").partition("/")
            if name and not SHA256.fullmatch(name):
                raise Refused(400, "a file and a job are called by a SHA-256 of 64 hexadecimal digits")
            match (self.command, kind, bool(name)):
                case ("GET", "hello", False):
                    self.say(200, farm.hello)
                case ("PUT", "files", True):
                    self.receive(farm, name)
                case ("GET", "files", True):
                    self.send_file(farm.file(name))
                case ("PUT", "jobs", True):
                    self.submit(farm, name)
                case ("GET", "jobs", True):
                    try:
                        since, wait = int(query.get("since", 0)), float(query.get("wait", 0))
                    except ValueError:
                        raise Refused(400, "since and wait are numbers") from None
                    look = farm.look(name, since, min(max(wait, 0), LONGEST_WAIT))
                    self.say(*((200, look) if look else (404, {"message": "there is no such job"})))
                case ("DELETE", "jobs", True):
                    self.say(200 if farm.forget(name) else 404, {})
                case _:
                    raise Refused(404, f"there is no {self.command} {url.path}")
        except Refused as refusal:
            self.say(refusal.status, {"message": str(refusal)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_PUT = do_DELETE = do

    def submit(self, farm, name):
        if self.left > MAX_JOB:
            raise Refused(413, f"a job has at most {MAX_JOB} bytes")
        text = self.rfile.read(self.left)
        self.left = 0
        if hashlib.sha256(text).hexdigest() != name:
            raise Refused(422, "the job is not called by the SHA-256 of its text")
        try:
            asks = json.loads(text)
            if asks["type"] not in ("generate", "upscale") or not all(map(SHA256.fullmatch, files_of(asks))):
                raise ValueError("its type or a file's name is wrong")
            asks["model"]
        except (ValueError, TypeError, KeyError, AttributeError) as fault:
            raise Refused(400, f"this is no job: {fault}") from None
        job = farm.submit(name, asks)
        if isinstance(job, list):
            self.say(409, {"missing": job})
        else:
            self.say(200, farm.shown(job))

    def receive(self, farm, sha256):
        if "Content-Length" not in self.headers:
            raise Refused(411, "a file's length has to be told")
        if self.left > MAX_FILE:
            raise Refused(413, f"a file has at most {MAX_FILE} bytes")
        part = farm.folder / "work" / f"{sha256}-{threading.get_ident()}.part"
        found = hashlib.sha256()
        try:
            with part.open("wb") as file:
                while self.left:
                    piece = self.rfile.read(min(PIECE, self.left))
                    if not piece:
                        raise ConnectionError("the connection ended")
                    self.left -= len(piece)
                    found.update(piece)
                    file.write(piece)
            if found.hexdigest() != sha256:
                raise Refused(422, "the file is not what its name says")
            part.replace(farm.file(sha256))
        finally:
            part.unlink(missing_ok=True)
        self.say(201, {})

    def send_file(self, path):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise Refused(404, "there is no such file") from None
        with file:
            length, first = os.fstat(file.fileno()).st_size, 0
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if wanted:
                first = int(wanted[1])
                if first >= length:
                    raise Refused(416, f"the file has {length} bytes")
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{length - 1}/{length}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(length - first))
            self.end_headers()
            file.seek(first)
            shutil.copyfileobj(file, self.wfile, PIECE)

    def say(self, status, words):
        text = json.dumps(words).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if self.left:  # What was not read would be taken for the next call.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):  # Who hangs up has no need of an answer.
            super().handle_error(request, client_address)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=pathlib.Path, required=True, help="where jobs and files are kept")
    options.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    options.add_argument("--port", type=int, default=8190, help="0 for any that is free (8190)")
    options.add_argument("--slots", type=int, default=1, help="programs that render side by side (1)")
    options.add_argument("--keep-hours", type=float, default=24, help="how long files and ended jobs are kept (24)")
    options.add_argument("--silence", type=float, default=600, help="seconds without a word after which a program is ended (600)")
    options.add_argument("command", nargs="+", metavar="COMMAND", help="the generator and its arguments, after --")
    chosen = options.parse_args()
    try:
        server = Server((chosen.host, chosen.port), Calls)
        farm = Farm(chosen.folder.resolve(), chosen.command, max(chosen.slots, 1), chosen.keep_hours * 3600, chosen.silence)
    except (Gone, OSError, OverflowError) as fault:
        sys.exit(f"farm.py: {fault}")
    server.farm = farm

    def stop(*_):
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"http://{chosen.host}:{server.server_port}", flush=True)
    server.serve_forever()
    farm.end()


if __name__ == "__main__":
    main()
