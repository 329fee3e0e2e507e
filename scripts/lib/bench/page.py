"""The results as one page that needs nothing else: plots as SVG inside it, and every figure in a table below its plot."""

import html
import re

from . import goals, tables
from .figures import brief, engine_median
from .servers import TITLES

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --panel: #f6f7f9; --ink: #1b2430; --muted: #5d6b7c; --rule: #d9dee5;
  --weir: #0b6bcb; --nchan: #d9741a; --bare: #7c8794; --pushpin: #2b8a5f; --better-sse: #8b5cc4;
  --good: #1a7f45; --good-ground: #e2f4e8; --bad: #b3261e; --bad-ground: #fbe6e4; --idle-ground: #eceff3; --warn-ground: #fff3d6;
  --warn: #7a5200; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --panel: #1a2029; --ink: #e6ebf1; --muted: #9aa8b8; --rule: #303946;
  --weir: #58a6ff; --nchan: #f0954a; --bare: #98a4b3; --pushpin: #4cc38a; --better-sse: #b794f0;
  --good: #6fd598; --good-ground: #143423; --bad: #ff938a; --bad-ground: #43191a; --idle-ground: #262e39; --warn-ground: #3a2f12;
  --warn: #f3cf7a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 21px; margin: 56px 0 8px; }
p { margin: 8px 0; max-width: 76ch; }
.lead, .about, .facts, figcaption, .absent { color: var(--muted); }
.about { font-size: 15px; }
.absent { font-size: 14px; }
code { font: 0.88em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--panel); padding: 1px 5px; border-radius: 4px;
  overflow-wrap: anywhere; }
.strip { border-radius: 8px; padding: 10px 16px; margin: 18px 0; font-size: 15px; background: var(--warn-ground); color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 14px; margin: 28px 0 8px; }
.tile { background: var(--panel); border-radius: 10px; padding: 16px 18px; }
.tile b { display: block; font-size: 28px; line-height: 1.15; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 14px; line-height: 1.4; display: block; margin-top: 4px; }
figure { margin: 18px 0 10px; }
figcaption { font-size: 14px; margin-top: 6px; }
figure svg { width: 100%; height: auto; display: block; overflow: visible; }
small { color: var(--muted); font-size: 12px; white-space: nowrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; margin: 10px 0; }
caption { text-align: left; color: var(--muted); padding: 6px 0; }
th { text-align: left; font-weight: 600; color: var(--muted); border-bottom: 1px solid var(--rule); padding: 6px 10px 6px 0;
  vertical-align: bottom; }
td { border-bottom: 1px solid var(--rule); padding: 6px 10px 6px 0; vertical-align: top; }
.number { text-align: right; white-space: nowrap; }
tr.ours td:first-child { font-weight: 600; }
.state { display: inline-block; border-radius: 999px; padding: 1px 10px; font-size: 13px; white-space: nowrap; background: var(--idle-ground);
  color: var(--muted); }
.state.met { background: var(--good-ground); color: var(--good); }
.state.not-met { background: var(--bad-ground); color: var(--bad); }
.key { display: flex; flex-wrap: wrap; gap: 6px 20px; font-size: 14px; color: var(--muted); }
.key i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 7px; vertical-align: -1px; }
details summary { cursor: pointer; color: var(--muted); font-size: 14px; }
"""


def escape(text):
    return html.escape(str(text))


def table(head, rows, caption="", numbers_from=1):
    """Cells are HTML already; a row is (class, cells)."""
    def cell(tag, place, text):
        return f"<{tag}{' class=number' if place >= numbers_from else ''}>{text}</{tag}>"

    lines = ["<div class=scroll><table>", f"<caption>{caption}</caption>" if caption else "",
             "<thead><tr>" + "".join(cell("th", place, text) for place, text in enumerate(head)) + "</tr></thead><tbody>"]
    for name, cells in rows:
        lines.append(f"<tr{f' class={name}' if name else ''}>" + "".join(cell("td", place, text) for place, text in enumerate(cells)) +
                     "</tr>")
    return "".join(lines) + "</tbody></table></div>\n"


# ---- Plots ------------------------------------------------------------------------------------------------------------


def bar_panels(results, part):
    for case in part["cases"]:
        found = results["figures"].get(tables.figure_of(case))
        if found:
            yield case["title"], case["unit"], found


def percentile_panels(results, part):
    for case in part["cases"]:
        rows = {}
        for figure in tables.figures_of(results, case):
            label = tables.label_of(case, figure).removesuffix(", us")
            for server, row in results["figures"][figure].items():
                rows.setdefault(server, []).append((label, row))
        if rows:
            yield case["title"], rows


def growth_panels(results, colours):
    by_server = {}
    for figure, found in results["figures"].items():
        count = re.fullmatch(r"growth_(\d+)_us_per_delivery", figure)
        for server, row in found.items() if count else ():
            by_server.setdefault(server, []).append((int(count[1]), row))
    if by_server:
        yield ("What a delivery costs", "subscribers of one session", "us of the server's time",
               [(TITLES[server], colours[server], sorted(points, key=lambda point: point[0])) for server, points in by_server.items()])
    names = {1: "small_1", 1000: "small_1000", 1000000: "1000000"}
    points = [(count, results["engine"][f"publish_1p_{name}_sessions_ns"]) for count, name in names.items()
              if f"publish_1p_{name}_sessions_ns" in results["engine"]]
    if len(points) > 1:
        yield "What a publish costs", "sessions it goes around", "ns in process", [("weir", colours["weir"], points)]


ENGINE_ROWS = (("publish, one producer", "publish_1p_ns", "baseline_publish_1p_ns", "bare_copy_ns"),
               ("the same, a reader to be told", "publish_1p_notify_ns", None, None),
               ("publish by name", "publish_1p_by_name_ns", "baseline_publish_1p_by_name_ns", None),
               ("publish, two producers", "publish_2p_ns", "baseline_publish_2p_ns", None),
               ("from core to core", "live_hop_ns", "baseline_live_hop_ns", "bare_live_ns"),
               ("replay", "replay_event_ns", "baseline_replay_event_ns", None))


def engine_rows(results):
    found = results["engine"]
    return [(label, found[ours], found.get(baseline), found.get(floor)) for label, ours, baseline, floor in ENGINE_ROWS if ours in found]


def draw(results, name, part):
    """The SVG of a part, or an empty text."""
    from . import plots  # matplotlib is there only where scripts/setup --bench has been

    if name == "engine":
        rows = engine_rows(results)
        return plots.with_style(plots.pairs, name, rows) if rows else ""
    if name == "latency":
        panels = list(percentile_panels(results, part))
        return plots.with_style(plots.percentiles, name, panels) if panels else ""
    if name == "growth":
        panels = list(growth_panels(results, plots.SERVER_COLOURS))
        return plots.with_style(plots.lines, name, panels) if panels else ""
    panels = list(bar_panels(results, part))
    return plots.with_style(plots.bars, name, panels) if panels else ""


# ---- Sections ---------------------------------------------------------------------------------------------------------


def tiles(results):
    """The few figures that people look for first: those that are there."""
    wanted = [("fanout_depth_16_deliveries_per_cpu_s_over_nchan", "of nchan's deliveries per server-CPU-second, {x} subscribers, 16 in flight"),
              ("fanout_depth_16_deliveries_per_cpu_s_over_bare", "of the bare io_uring loop's, which is the physical limit"),
              ("storm_times_nchan", "faster than nchan until all have caught up after a reconnect storm"),
              ("idle_rss_per_connection", "resident memory for an idle stream with a session of its own"),
              ("publish_1p_ns", "for a publish of 100 bytes in process, from any thread, by atomics only"),
              ("publish_1p_times_baseline", "faster than the straightforward design with locks")]
    rows = {row["name"]: row for row in results["goals"]}
    shown = []
    for name, text in wanted:
        if rows.get(name, {}).get("figure") is not None:
            text = text.format(x=f"{results['settings']['subscribers']:,}")
            shown.append(f"<div class=tile><b>{escape(goals.figure_text(rows[name]))}</b><span>{escape(text)}</span></div>")
    return f"<div class=tiles>{''.join(shown)}</div>" if shown else ""


def warnings(results):
    machine = results["machine"]
    told = []
    if results["quick"]:
        told.append("This was <code>--quick</code>: short runs, to see that everything works. No figure here is one to quote.")
    if machine["busy_at_start"]:
        told.append(f"The machine was not idle: its load was {machine['load_at_start']} at the start, and {machine.get('others_share', 0):.0%} "
                    "of its time went to other work. Compare servers with one another, not with other machines.")
    return "".join(f"<div class=strip>{text}</div>" for text in told)


def goals_section(results):
    rows = []
    for row in results["goals"]:
        state = f"<span class=\"state {row['state'].replace(' ', '-')}\">{row['state']}</span>"
        what = escape(row["what"]) + (f"<br><span class=about>{escape(row['note'])}</span>" if row["note"] else "")
        rows.append(("", [row["goal"], what, escape(goals.bound_text(row)), f"<b>{escape(goals.figure_text(row))}</b>", state]))
    count = goals.count(results)
    return ("<h2>What it should show, and what it shows</h2><p class=about>" + escape(goals.HEADLINE.format(**count)) + ".</p>" +
            table(["", "goal", "bound", "figure", ""], rows, numbers_from=2))


def key(results):
    present = [server for server in TITLES if any(server in found for found in results["figures"].values())]
    boxes = [f'<span><i style="background: var(--{server.replace("_", "-")})"></i>{escape(TITLES[server])}</span>' for server in present]
    boxes += [f"<span>{escape(TITLES[server])}: {escape(reason)}</span>" for server, reason in absent_everywhere(results)]
    return f"<div class=key>{''.join(boxes)}</div>"


def absent_everywhere(results):
    """(server, reason) that every part has: told once, above them all."""
    parts = [{(absent["server"], absent["reason"]) for absent in part["absent"]} for part in results["parts"].values() if "absent" in part]
    return sorted(set.intersection(*parts)) if parts else []


def figure_cell(row):
    """A median, and below it the extremes and weir's advantage."""
    _, median, least, most, runs, advantage = row
    below = [f"{least} to {most}"] if runs != "1" else []
    below += [f"weir {advantage}"] if advantage else []
    return f"{median}<br><small>{'<br>'.join(below)}</small>" if below else median


def figure_table(results, title, columns):
    """Servers down, and across the columns (case, figure, heading)."""
    cells = [{row[0]: row for row in tables.part_rows(results, case, figure)} for case, figure, _ in columns]
    servers = list(dict.fromkeys(server for rows in cells for server in rows))
    rows = [("ours" if server == "weir" else "",
             [escape(server), *(figure_cell(rows[server]) if server in rows else "-" for rows in cells)]) for server in servers]
    return table([escape(title), *(escape(heading) for _, _, heading in columns)], rows) if rows else ""


def single_table(results, case, figure):
    rows = [("ours" if row[0] == "weir" else "", [escape(cell) for cell in row]) for row in tables.part_rows(results, case, figure)]
    return table([escape(tables.label_of(case, figure)), "median", "least", "most", "runs", "weir is"], rows)


def part_tables(results, part):
    """One table for a figure in several cases, else one for each case."""
    figures = [(case, name) for case in part["cases"] for name in tables.figures_of(results, case)]
    labels = {tables.label_of(case, name) for case, name in figures}
    if len(figures) == 1:
        return single_table(results, *figures[0])
    if len(labels) == 1:
        return figure_table(results, labels.pop(), [(case, name, case["title"]) for case, name in figures])
    return "".join(figure_table(results, case["title"], [(case, name, tables.label_of(case, name)) for other, name in figures if other is case])
                   for case in part["cases"])


def absent_text(results, part):
    everywhere = absent_everywhere(results)
    told = [f"{TITLES[absent['server']]} is not measured: {absent['reason']}" for absent in part["absent"]
            if (absent["server"], absent["reason"]) not in everywhere]
    told += [f"{TITLES[run['server']]} failed in a run: {run['failed']}" for run in part["runs"] if "failed" in run]
    limited = {TITLES[run["server"]] for run in part["runs"] if run.get("report", {}).get("saturated")}
    if limited:
        told.append(f"With {', '.join(sorted(limited))} the load program was at its own limit: times there are partly its own.")
    return "".join(f"<p class=absent>{escape(text)}</p>" for text in told)


def engine_table(results):
    rows = []
    for name, row in results["engine"].items():
        baseline = engine_median(results, f"baseline_{name}")
        times = f"{brief(baseline / row['median'])} x" if baseline else ""
        hop = brief(row["line_hop_ns"]) if "line_hop_ns" in row else ""
        rows.append(("ours" if name in {ours for _, ours, _, _ in ENGINE_ROWS} else "",
                     [escape(name), brief(row["median"]), brief(row["min"]), brief(row["max"]), str(row["runs"]), hop, times]))
    return table(["ns per event", "median", "least", "most", "runs", "line hop", "times the baseline"], rows)


CAPTION = "Bar: the median; line: the extremes; small circles: single runs."
CAPTIONS = {"engine": "Medians. Blue: weir; orange: the baseline; upright mark: the floor, the same loop with nothing in it but the copy or "
                      "the hand-over.",
            "latency": "Medians of the runs' percentiles; their extremes are in the table.",
            "growth": "Lines: medians; bands: the extremes."}


def section(results, name, part, svg):
    text = f"<h2 id={name}>{escape(part['title'])}</h2><p class=about>{escape(part['about'])}</p>"
    if svg:
        text += f"<figure>{svg}<figcaption>{CAPTIONS.get(name, CAPTION)}</figcaption></figure>"
    if name == "engine":
        failed = f"<p class=absent>{escape(part['failed'])}</p>" if part["failed"] else ""
        return text + failed + f"<details><summary>all figures</summary>{engine_table(results)}</details>"
    return text + part_tables(results, part) + absent_text(results, part)


def machine_section(results):
    machine, versions = results["machine"], results["versions"]
    rows = [("processor", f"{machine['cpu']}, {machine['cores']} cores{', virtual' if machine['virtual'] else ''}"),
            ("memory", f"{machine['memory_gib']} GiB"), ("kernel", machine["kernel"]), ("compiler", machine["compiler"]),
            ("frequency governor", machine["governor"]),
            ("line hop", f"{machine['line_hop_ns']} ns: one cache line from core to core" if "line_hop_ns" in machine else "not measured"),
            ("load at the start", machine["load_at_start"]),
            ("other work meanwhile", f"{machine.get('others_share', 0):.1%} of the machine's time; {machine.get('stolen_share', 0):.1%} kept by the hypervisor"),
            ("commit", results["commit"]), *((TITLES[name], version or "of this commit") for name, version in versions.items())]
    return ("<h2>The machine, and how to do it again</h2>" + table(["", ""], [("", [escape(name), escape(value)]) for name, value in rows],
                                                                  numbers_from=9) +
            f"<p>The command was <code>{escape(results['command'])}</code>. All runs with the load program's whole reports are in "
            "<code>bench.json</code> beside this page.</p>")


NOTES = """
<h2>What is measured here, and what is not</h2>
<p>Each server runs on one processor, the load program (<code>weir bench</code>) on another; each run starts a server of its own; the
servers take turns within the same minutes, and figures are medians with their extremes. The load program compares every event at
every subscriber with what was published: a run with a hole, a repetition or a foreign byte is a failure, not a figure.</p>
<p>Everything goes over loopback, where a send does the receiver's share of the work inside the sender's system call: the price of TCP
is in the server's time, for all alike. The bare loop (<code>bench/peers/bare_loop.c</code>) sends the same batches and keeps nothing,
looks up nothing and limits nothing: what weir needs beyond it is the price of its promises. nchan runs as Debian packages it, one worker, messages in
memory.</p>
<p>Not measured: a real network, TLS, HTTP/2, several server threads, slow readers, other payload sizes than 100 bytes, and anything
that clients do with what they get.</p>
"""


def page(results, say):
    """The whole page. Without matplotlib it has its tables, and says what is missing."""
    svgs, missing = {}, ""
    try:
        svgs = {name: draw(results, name, part) for name, part in results["parts"].items()}
    except ImportError as problem:
        say(f"the page is without plots: {problem}. scripts/setup --bench installs python3-matplotlib; then: "
            "scripts/bench --report build/bench/bench.json")
        missing = "<div class=strip>The plots are missing: python3-matplotlib was not installed.</div>"
    machine = results["machine"]
    lead = (f"{escape(results['date'][:16].replace('T', ' '))} UTC, commit <code>{escape(results['commit'])}</code>, on {machine['cores']} cores of "
            f"{escape(machine['cpu'])}, Linux {escape(machine['kernel'].split('-')[0])}. " +
            (f"Medians of {results['settings']['runs']} runs." if results["settings"]["runs"] > 1 else "One run of each."))
    body = [f"<h1>How fast weir is</h1><p class=lead>{lead}</p>", warnings(results), missing, tiles(results), goals_section(results),
            key(results), *(section(results, name, part, svgs.get(name, "")) for name, part in results["parts"].items()), NOTES,
            machine_section(results)]
    return ("<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\">"
            f"<title>weir: benchmarks of {escape(results['commit'])}</title><style>{STYLE}</style></head><body><main>\n" + "\n".join(body) +
            "</main></body></html>\n")
