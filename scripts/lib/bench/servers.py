"""The servers that are measured: how each is started on its processor, addressed by the load program, and stopped."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

PEERS = "bench/peers"
START_SECONDS = 20


class Unavailable(Exception):
    """Why a server cannot be measured here: the end of a sentence."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fill(template, target, **values):
    with open(template, encoding="utf-8") as file:
        text = file.read()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)


def output_of(*command):
    """Standard output and error of a command; empty when there is none."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    except OSError:
        return ""


def package_version(name):
    return output_of("dpkg-query", "-W", "-f", "${Version}", name) if shutil.which("dpkg-query") else ""


class Server:
    """One start of one server. `replay` is how many events it is to keep for those who come back."""

    name = title = ""
    pipelines = True     # takes further publishes on a connection before it has answered the first
    opening = 256        # connections that it takes at once
    body = "@"           # what is posted around the payload
    lacks = {}           # part: why it cannot be measured in it

    def __init__(self, build, core, scratch, replay=256):
        self.build, self.core, self.scratch, self.replay = build, core, scratch, replay
        self.processes = []
        self.subscribe = self.publish = None

    @classmethod
    def prepare(cls, build):
        """Raises Unavailable."""

    @classmethod
    def version(cls, build):
        return ""

    def start(self):
        raise NotImplementedError

    def words(self, depth):
        """How `weir bench` addresses it."""
        words = ["--subscribe", self.subscribe, "--publish", self.publish, "--body", self.body,
                 "--opening", str(self.opening), "--server-pid", str(self.processes[0].pid)]
        return words + (["--depth", str(depth)] if self.pipelines else ["--depth", "1", "--publishers", str(depth)])

    def launch(self, command, core=None, **options):
        def prepare_child():
            os.sched_setaffinity(0, {self.core if core is None else core})
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

        with open(f"{self.scratch}/{self.name}.log", "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       preexec_fn=prepare_child, **options)
        self.processes.append(process)

    def log(self):
        with open(f"{self.scratch}/{self.name}.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_until(self, holds):
        end = time.monotonic() + START_SECONDS
        while True:
            found = holds()
            if found:
                return found
            if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                raise Unavailable("does not start: " + (" ".join(self.log().split())[-300:] or "it says nothing"))
            time.sleep(0.02)

    def wait_for_address(self):
        found = self.wait_until(lambda: re.search(r"^listening on \S*?(127\.0\.0\.1:\d+)$", self.log(), re.M))
        return "http://" + found[1]

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []


class Weir(Server):
    name = title = "weir"
    options = []

    @classmethod
    def version(cls, build):
        return output_of(f"{build}/weir", "--version").split("\n")[0].removeprefix("weir ")

    def start(self):
        self.launch([f"{self.build}/weir", "serve", "--listen", "127.0.0.1:0", "--threads", "1", "--drain", "1",
                     "--replay", str(self.replay), *self.options])
        address = self.wait_for_address()
        self.wait_until(lambda: "backend:" in self.log())
        self.subscribe, self.publish = f"{address}/sessions/b-#/events?from=now", f"{address}/sessions/b-#/events"


class BareLoop(Server):
    name, title = "bare", "bare loop"
    lacks = {"storm": "it keeps nothing that could be replayed",
             "idle": "its buffers are as large as they are convenient: it is no measure of memory"}

    def start(self):
        self.launch([f"{self.build}/bin/bare_loop"])
        address = self.wait_for_address()
        self.subscribe = self.publish = f"{address}/#"


def nginx():
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


class Nchan(Server):
    name = title = "nchan"
    MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"

    @classmethod
    def prepare(cls, build):
        if nginx() is None or not os.path.exists(cls.MODULE):
            raise Unavailable("nginx with nchan is not installed: run scripts/setup --bench")

    @classmethod
    def version(cls, build):
        return f"{package_version('libnginx-mod-nchan')} in nginx {package_version('nginx-core')}"

    def start(self):
        port = free_port()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        fill(f"{PEERS}/nchan.conf", f"{self.scratch}/nginx.conf", port=port, directory=self.scratch, files=most,
             buffer=self.replay)
        self.launch([nginx(), "-e", f"{self.scratch}/nginx.log", "-c", f"{self.scratch}/nginx.conf"])
        self.wait_until(lambda: accepts(port))
        self.subscribe, self.publish = f"http://127.0.0.1:{port}/subscribe/#", f"http://127.0.0.1:{port}/publish/#"


class Pushpin(Server):
    name = title = "pushpin"
    pipelines = False
    opening = 32
    body = r'{"items":[{"channel":"#","formats":{"http-stream":{"content":"data: @\n\n"}}}]}'
    lacks = {"storm": "it keeps no history: what a client missed is for the server behind it to know"}

    @classmethod
    def prepare(cls, build):
        missing = [program for program in ("pushpin", "condure", "zurl") if shutil.which(program) is None]
        if missing:
            raise Unavailable(f"{', '.join(missing)} is not installed: run scripts/setup --peers")

    @classmethod
    def version(cls, build):
        return f"{package_version('pushpin')} with condure {package_version('condure')}"

    def start(self):
        port, publish, origin = free_port(), free_port(), free_port()
        for folder in ("run", "log"):
            os.makedirs(f"{self.scratch}/{folder}", exist_ok=True)
        fill(f"{PEERS}/pushpin.conf", f"{self.scratch}/pushpin.conf", port=port, publish=publish, directory=self.scratch)
        with open(f"{self.scratch}/routes", "w", encoding="utf-8") as file:
            file.write(f"* 127.0.0.1:{origin}\n")
        self.launch(["pushpin", f"--config={self.scratch}/pushpin.conf"])
        self.launch([sys.executable, f"{PEERS}/pushpin_origin.py", str(origin)])
        self.wait_until(lambda: accepts(port) and accepts(publish) and accepts(origin))
        self.subscribe, self.publish = f"http://127.0.0.1:{port}/subscribe/#", f"http://127.0.0.1:{publish}/publish/"


class BetterSse(Server):
    name, title = "better_sse", "better-sse"
    lacks = {"storm": "it keeps no history: its event buffers are filled by hand, one for each session"}

    @staticmethod
    def folder(build):
        return f"{build}/bench/peers"

    @classmethod
    def version(cls, build):
        with open(f"{PEERS}/package.json", encoding="utf-8") as file:
            pinned = json.load(file)["dependencies"]["better-sse"]
        return f"{pinned} on node {output_of('node', '--version').strip()}"

    @classmethod
    def prepare(cls, build):
        """Installs the pinned version of the library beside the build, from the lock file in the tree."""
        folder = cls.folder(build)
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise Unavailable("there is no node or no npm: run scripts/setup --peers")
        os.makedirs(folder, exist_ok=True)
        same = os.path.exists(f"{folder}/node_modules/better-sse")
        for name in ("package.json", "package-lock.json"):
            with open(f"{PEERS}/{name}", "rb") as file:
                wanted = file.read()
            if os.path.exists(f"{folder}/{name}"):
                with open(f"{folder}/{name}", "rb") as file:
                    same = same and file.read() == wanted
            with open(f"{folder}/{name}", "wb") as file:
                file.write(wanted)
        if same:
            return
        result = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                                cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            shutil.rmtree(f"{folder}/node_modules", ignore_errors=True)
            raise Unavailable("npm did not install it: " + " ".join(result.stdout.split())[-200:])

    def start(self):
        self.launch(["node", os.path.abspath(f"{PEERS}/better_sse.mjs")], cwd=self.folder(self.build))
        address = self.wait_for_address()
        self.subscribe, self.publish = f"{address}/subscribe/#", f"{address}/publish/#"


USUAL = [Weir, Nchan, BareLoop]
FURTHER = [Pushpin, BetterSse]
ALL = USUAL + FURTHER
TITLES = {server.name: server.title for server in ALL}
