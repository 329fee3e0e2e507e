"""Runs the cases server by server, and the benchmarks in process."""

import json
import os
import subprocess
import tempfile

from . import figures
from .servers import Unavailable

LOAD_SECONDS = 180  # more than any run takes


class Failed(Exception):
    """What went wrong in a run, for a person."""


def run_load(build, core, words):
    """One run of `weir bench`: its report. Whatever it says went wrong is a failure."""
    command = [f"{build}/weir", "bench", "--json", *words]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                check=False, timeout=LOAD_SECONDS, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    except subprocess.TimeoutExpired:
        raise Failed(f"the load did not end within {LOAD_SECONDS} s") from None
    said = " ".join(line.removeprefix("weir bench: ") for line in result.stderr.split("\n")[:3])
    if not result.stdout:
        raise Failed(said or f"weir bench ended with {result.returncode}")
    report = json.loads(result.stdout)
    if not report["ok"]:
        raise Failed(report.get("problem") or said or "the streams were not what was published")
    return report


def run_case(case, server_class, build, cores):
    """One run of a case on a server of its own: {"server", "case", "figures", "report"} or {..., "failed"}."""
    outcome = {"server": server_class.name, "case": case.name}
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        os.chmod(scratch, 0o755)  # nginx's worker is another user
        server = server_class(build, cores[0], scratch, case.replay)
        try:
            server.start()
            report = run_load(build, cores[1], [*server.words(case.depth), *case.words])
            outcome["figures"] = {name: figures.at_path(report, path) for name, path in case.figures.items()}
            outcome["report"] = report
        except (Failed, Unavailable) as problem:
            outcome["failed"] = str(problem)
        finally:
            server.stop()
    return outcome


def tell_run(say, part, case, number, runs, title, outcome):
    first = next(iter(case.figures))
    if "failed" in outcome:
        told = "FAILED: " + outcome["failed"]
    else:
        told = f"{figures.brief(outcome['figures'][first])} {case.unit if len(case.figures) == 1 else first}"
        if outcome["report"]["saturated"]:
            told += "  (the load program was at its limit)"
    say(f"{part.name:<8} {case.title:<36} run {number} of {runs}  {title:<10} {told}")


def run_part(part, servers, absent, settings, say):
    """The part's runs, the servers by turns; and who is not in it, and why."""
    outcome = {"title": part.title, "about": part.about, "runs": [],
               "cases": [{"name": case.name, "title": case.title, "unit": case.unit, "figure": next(iter(case.figures)),
                          "lower_is_better": case.lower_is_better} for case in part.cases],
               "absent": [{"server": server.name, "reason": server.lacks[part.name]}
                          for server in servers if part.name in server.lacks] + absent}
    able = [server for server in servers if part.name not in server.lacks]
    for case in part.cases:
        for number in range(1, settings.runs + 1):
            for server in able:
                run = run_case(case, server, settings.build, settings.cores)
                outcome["runs"].append(run)
                tell_run(say, part, case, number, settings.runs, server.title, run)
    return outcome


# ---- In process -----------------------------------------------------------------------------------------------------

# What the goals ask for, the least that --quick must show.
QUICK = ("line_hop|bare_(copy|live)|(baseline_)?publish_[12]p|(baseline_)?live_hop|(baseline_)?replay_event"
         "|publish_1p_(notify|small_1_sessions|small_1000_sessions|1000000_sessions)")


def run_engine(part, settings, say):
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        command = [f"{settings.build}/bin/weir_bench", f"--benchmark_out={scratch}/engine.json"]
        if settings.quick:
            command += [f"--benchmark_filter=^({QUICK})_ns/", "--benchmark_repetitions=1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                say(f"engine   {line.rstrip()}")
        failed = None if process.returncode == 0 else f"weir_bench ended with {process.returncode}"
        try:
            with open(f"{scratch}/engine.json", encoding="utf-8") as file:
                benchmark = json.load(file)
        except (OSError, ValueError):
            benchmark, failed = {"benchmarks": []}, failed or "weir_bench wrote no results"
    return {"title": part.title, "about": part.about, "failed": failed, "benchmark": benchmark}
