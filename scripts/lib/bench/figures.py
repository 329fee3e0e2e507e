"""Medians and extremes of what was measured."""

import statistics


def at_path(report, path):
    for key in path.split("."):
        if not isinstance(report, dict) or key not in report:
            return None
        report = report[key]
    return report


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values),
            "values": values}


def summarise_part(part):
    """{figure: {server: summary}} of a part's runs; those that failed are not in it."""
    found = {}
    for run in part["runs"]:
        for name, value in run.get("figures", {}).items():
            if value is not None:
                key = name if name.startswith(run["case"]) else f"{run['case']}_{name}"
                found.setdefault(key, {}).setdefault(run["server"], []).append(value)
    return {figure: {server: summary(values) for server, values in servers.items()} for figure, servers in found.items()}


def summarise_engine(benchmarks):
    """{name: summary} of Google Benchmark's JSON, each with the hop between the cores where two took part."""
    runs, hops = {}, {}
    for row in benchmarks:
        if row.get("run_type") != "iteration" or row.get("error_occurred"):
            continue
        name = row["name"].split("/")[0]
        runs.setdefault(name, []).append(row["real_time"])
        if "line_hop_ns" in row:
            hops.setdefault(name, []).append(row["line_hop_ns"])
    found = {name: summary(values) for name, values in runs.items()}
    for name, values in hops.items():
        found[name]["line_hop_ns"] = statistics.median(values)
    return found


def median(results, figure, server="weir"):
    """None when it was not measured."""
    found = results["figures"].get(figure, {}).get(server)
    return found["median"] if found else None


def engine_median(results, figure):
    found = results["engine"].get(figure)
    return found["median"] if found else None


def ratio(over, under):
    return over / under if over is not None and under else None


def brief(value):
    """A figure as a person reads it: three digits that count."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.005 else f"{value:.4f}"
