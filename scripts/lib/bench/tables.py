"""The results as text for a terminal."""

from .figures import brief
from .goals import bound_text, figure_text
from .servers import TITLES


def figure_of(case):
    name = case["figure"]
    return name if name.startswith(case["name"]) else f"{case['name']}_{name}"


def figures_of(results, case):
    """All figures of a case, its own first."""
    return [name for name in results["figures"] if name.startswith(case["name"] + "_")]


def times_text(weir, other, lower_is_better):
    """How weir stands beside another server."""
    if not weir or not other:
        return ""
    times = other / weir if lower_is_better else weir / other
    return f"{brief(times)} x better" if times >= 0.995 else f"{brief(1 / times)} x worse"


LABELS = {"deliveries_per_cpu_s": "deliveries per server-CPU-second", "caught_up_ms": "all caught up, ms", "lost": "lost",
          "told_lost": "lost and told in a gap", "repeated": "repeated", "storms": "storms",
          "rss_per_connection": "resident bytes a connection", "cpu_share": "cores used while idle",
          "us_per_delivery": "us of the server's time a delivery"}


def label_of(case, figure):
    """What a figure is called beside its case."""
    name = figure.removeprefix(case["name"] + "_")
    if name in LABELS:
        return LABELS[name]
    return name.removeprefix("last_").removesuffix("_us").replace("_", ".") + ", us"


def part_rows(results, case, figure):
    """(server, median, least, most, runs, how weir stands beside it), weir first."""
    found = results["figures"].get(figure, {})
    weir = found.get("weir", {}).get("median")
    for server, row in sorted(found.items(), key=lambda item: item[0] != "weir"):
        advantage = "" if server == "weir" else times_text(weir, row["median"], case["lower_is_better"])
        yield TITLES[server], brief(row["median"]), brief(row["min"]), brief(row["max"]), str(row["runs"]), advantage


def part_text(results, name):
    part = results["parts"][name]
    lines = []
    for case in part["cases"]:
        for figure in figures_of(results, case):
            lines += ["", f"{part['title']}, {case['title']}: {label_of(case, figure)}",
                      f"  {'':<12}{'median':>14}{'least':>14}{'most':>14}{'runs':>6}{'weir is':>16}"]
            lines += [f"  {server:<12}{middle:>14}{least:>14}{most:>14}{runs:>6}{advantage:>16}"
                      for server, middle, least, most, runs, advantage in part_rows(results, case, figure)]
    lines += [f"  {TITLES[absent['server']]:<12}not measured: {absent['reason']}" for absent in part["absent"]]
    lines += [f"  {TITLES[run['server']]:<12}failed: {run['failed']}" for run in part["runs"] if "failed" in run]
    return "\n".join(lines)


def goals_text(results):
    lines = ["", f"{'':<3}{'goal':<76}{'bound':>16}{'figure':>12}  "]
    for row in results["goals"]:
        note = f" ({row['note']})" if row["note"] else ""
        lines.append(f"{row['goal']:<3}{row['what']:<76}{bound_text(row):>16}{figure_text(row):>12}  {row['state']}{note}")
    return "\n".join(lines)
