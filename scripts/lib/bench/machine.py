"""Where it was measured: what a reader must know to judge the figures."""

import os
import re
import resource
import subprocess

BUSY_LOAD = 0.25  # of a core: above it somebody else's work is in the figures


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def output_of(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def commit():
    """The commit, with -dirty behind it when the tree is not what was committed."""
    found = output_of("git", "rev-parse", "--short=12", "HEAD")
    return found + "-dirty" if found and output_of("git", "status", "--porcelain") else found or "unknown"


def compiler(build):
    found = re.search(r"^CMAKE_C_COMPILER:\w+=(.*)$", read(f"{build}/CMakeCache.txt"), re.M)
    return output_of(found[1], "--version").split("\n")[0] if found else "unknown"


def facts(build):
    cpu = read("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.*)$", cpu, re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), re.M)
    load = os.getloadavg()[0]
    return {"cpu": model[1] if model else os.uname().machine, "cores": os.cpu_count(),
            "virtual": " hypervisor" in cpu, "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
            "kernel": os.uname().release, "compiler": compiler(build),
            "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
            "load_at_start": round(load, 2), "busy_at_start": load > BUSY_LOAD}


class Watch:
    """How much of the machine others have used meanwhile: work that is not ours, and time that the hypervisor kept."""

    def __init__(self):
        self.begin = self.sample()

    @staticmethod
    def sample():
        ticks = [int(word) for word in read("/proc/stat").split("\n")[0].split()[1:]]
        idle, stolen = ticks[3] + ticks[4], ticks[7]
        return {"all": sum(ticks[:8]), "busy": sum(ticks[:8]) - idle - stolen, "stolen": stolen,
                "ours": sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
                            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * os.sysconf("SC_CLK_TCK")}

    def shares(self):
        spent = {name: value - self.begin[name] for name, value in self.sample().items()}
        whole = max(spent["all"], 1)
        return {"others_share": round(max(spent["busy"] - spent["ours"], 0) / whole, 3),
                "stolen_share": round(spent["stolen"] / whole, 3)}
