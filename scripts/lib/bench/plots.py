"""The plots, as SVG to stand inside a page: matplotlib draws them in stand-in colours, which become the page's own
variables, so that one drawing is readable on light and on dark ground."""

import io
import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: E402

from .figures import brief  # noqa: E402
from .servers import TITLES  # noqa: E402

# Stand-ins, each for one variable of the page.
INK, MUTED, RULE, GROUND = "#010101", "#020202", "#030303", "#040404"
SERVER_COLOURS = {"weir": "#050501", "nchan": "#050502", "bare": "#050503", "pushpin": "#050504", "better_sse": "#050505"}
VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", GROUND: "ground",
             **{colour: server.replace("_", "-") for server, colour in SERVER_COLOURS.items()}}
WIDTH = 9.2  # inches; the page scales it

STYLE = {"svg.fonttype": "none", "font.size": 10, "text.color": INK, "axes.edgecolor": RULE, "axes.labelcolor": MUTED,
         "xtick.color": MUTED, "ytick.color": INK, "xtick.labelcolor": MUTED, "axes.spines.top": False,
         "axes.spines.right": False, "axes.linewidth": 0.8, "figure.facecolor": "none", "axes.facecolor": "none",
         "savefig.facecolor": "none", "grid.color": RULE, "grid.linewidth": 0.6, "axes.axisbelow": True,
         "axes.titlesize": 10, "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlepad": 8}


def as_svg(figure, name):
    """The drawing without a document around it; ids get the plot's name, for they must differ within the page."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", bbox_inches="tight", pad_inches=0.04, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    svg = text.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'url\(#', f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, 'DejaVu Sans', sans-serif", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg.replace("<svg", '<svg role="img"', 1)


def compact(value, _=None):
    """12,000,000 as 12 M."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def servers_of(found):
    order = list(SERVER_COLOURS)
    return sorted(found, key=order.index)


# ---- Bars: one figure of each server ----------------------------------------------------------------------------------


def draw_bars(axes, found, title, best_is=None):
    names = servers_of(found)
    widest = max(row["max"] for row in found.values()) or 1
    for place, name in enumerate(names):
        row, colour = found[name], SERVER_COLOURS[name]
        axes.barh(place, row["median"], height=0.56, color=colour, linewidth=0)
        axes.plot([row["min"], row["max"]], [place, place], color=INK, linewidth=1, solid_capstyle="butt")
        axes.plot(row["values"], [place] * len(row["values"]), "o", color=GROUND, markeredgecolor=INK, markersize=3.2,
                  markeredgewidth=0.7)
        axes.text(max(row["max"], row["median"]) + widest * 0.015, place, brief(row["median"]), va="center",
                  fontweight="bold" if name == "weir" else "normal")
    axes.set_yticks(range(len(names)), [TITLES[name] for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, widest * 1.13)
    axes.tick_params(axis="both", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(compact))
    axes.xaxis.set_major_locator(pyplot.MaxNLocator(5))
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.set_title(title, color=INK)
    if best_is:
        axes.set_xlabel(best_is, loc="left")


def bars(name, panels):
    """`panels`: (title, unit, {server: summary})."""
    heights = [len(found) * 0.36 + 0.75 for _, _, found in panels]
    figure, rows = pyplot.subplots(len(panels), 1, figsize=(WIDTH, sum(heights)), squeeze=False,
                                   gridspec_kw={"height_ratios": heights})
    for axes, (title, unit, found) in zip(rows[:, 0], panels):
        draw_bars(axes, found, title, unit)
    figure.tight_layout(h_pad=1.4)
    return as_svg(figure, name)


# ---- Percentiles: three figures of each server, on one line -------------------------------------------------------------


def draw_percentiles(axes, title, rows):
    """`rows`: {server: [(label, summary), ...]} in growing order."""
    names = servers_of(rows)
    for place, name in enumerate(names):
        colour = SERVER_COLOURS[name]
        values = [row["median"] for _, row in rows[name]]
        axes.plot(values, [place] * len(values), color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
        for step, (label, row) in enumerate(rows[name]):
            axes.plot(row["median"], place, "o", color=colour, markersize=6.5 + 1.5 * step, markeredgecolor=GROUND)
            axes.annotate(f"{label} {brief(row['median'])}", (row["median"], place), xytext=(0, 8 if step % 2 == 0 else -8),
                          textcoords="offset points", ha="center", va="bottom" if step % 2 == 0 else "top", fontsize=8,
                          color=INK if name == "weir" else MUTED)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), [TITLES[name] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    low = min(row["median"] for parts in rows.values() for _, row in parts)
    high = max(row["median"] for parts in rows.values() for _, row in parts)
    axes.set_xlim(max(low, 0.1) / 1.5, high * 1.5)
    axes.xaxis.set_major_formatter(FuncFormatter(compact))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="both", which="both", length=0)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.set_title(title, color=INK)
    axes.set_xlabel("microseconds, logarithmic", loc="left")


def percentiles(name, panels):
    heights = [len(rows) * 0.52 + 0.85 for _, rows in panels]
    figure, places = pyplot.subplots(len(panels), 1, figsize=(WIDTH, sum(heights)), squeeze=False,
                                     gridspec_kw={"height_ratios": heights})
    for axes, (title, rows) in zip(places[:, 0], panels):
        draw_percentiles(axes, title, rows)
    figure.tight_layout(h_pad=1.4)
    return as_svg(figure, name)


# ---- Lines: how a figure grows ---------------------------------------------------------------------------------------


LINE_POINTS = 13  # between the middles of two names


def name_ends(axes, ends):
    """Names each line at its right end, one above the other where they would meet. `ends`: (label, colour, (x, summary))."""
    to_points = 72 / axes.figure.dpi
    below = None
    for label, colour, (x, row) in sorted(ends, key=lambda end: end[2][1]["median"]):
        at = axes.transData.transform((x, row["median"]))[1] * to_points
        wanted = at if below is None else max(at, below + LINE_POINTS)
        below = wanted
        axes.annotate(label, (x, row["median"]), xytext=(8, wanted - at), textcoords="offset points", va="center", color=colour,
                      fontweight="bold")


def draw_lines(axes, title, across, up, series):
    """`series`: [(label, colour, [(x, summary), ...])]."""
    for label, colour, points in series:
        places, values = [x for x, _ in points], [row["median"] for _, row in points]
        axes.fill_between(places, [row["min"] for _, row in points], [row["max"] for _, row in points], color=colour,
                          alpha=0.18, linewidth=0)
        axes.plot(places, values, "o-", color=colour, linewidth=2, markersize=5, markeredgecolor=GROUND)
    axes.set_xscale("log")
    axes.set_yscale("log")
    name_ends(axes, [(label, colour, points[-1]) for label, colour, points in series])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="both", which="both", length=0, labelcolor=MUTED)
    axes.grid(axis="both")
    axes.set_title(title, color=INK)
    axes.set_xlabel(across, loc="left")
    axes.set_ylabel(up)


def lines(name, panels):
    figure, places = pyplot.subplots(1, len(panels), figsize=(WIDTH, 3.2), squeeze=False)
    for axes, panel in zip(places[0], panels):
        draw_lines(axes, *panel)
    figure.tight_layout(w_pad=5)
    return as_svg(figure, name)


# ---- Pairs: ours and the baseline's, which may be a hundred times as much: points, for a bar has no length on such an axis ----


def draw_pair(axes, place, ours, baseline, floor):
    ends = [row["median"] for row in (ours, baseline, floor) if row]
    axes.plot([min(ends), max(ends)], [place, place], color=RULE, linewidth=3, zorder=1, solid_capstyle="round")
    if floor:
        axes.plot(floor["median"], place, "|", color=INK, markersize=15, markeredgewidth=2, zorder=2)
    for row, colour, above in ((baseline, SERVER_COLOURS["nchan"], False), (ours, SERVER_COLOURS["weir"], True)):
        if row is None:
            continue
        axes.plot(row["median"], place, "o", color=colour, markersize=9.5, markeredgecolor=GROUND, zorder=3)
        axes.annotate(brief(row["median"]), (row["median"], place), xytext=(0, 9 if above else -9), textcoords="offset points",
                      ha="center", va="bottom" if above else "top", fontsize=9, fontweight="bold" if above else "normal")


def pairs(name, rows):
    """`rows`: (label, summary of weir, summary of the baseline or None, summary of the floor or None)."""
    figure, axes = pyplot.subplots(figsize=(WIDTH, len(rows) * 0.58 + 0.6))
    for place, (_, *summaries) in enumerate(rows):
        draw_pair(axes, place, *summaries)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(compact))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="both", which="both", length=0)
    axes.grid(axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.set_xlabel("ns per event, logarithmic", loc="left")
    figure.tight_layout()
    return as_svg(figure, name)


def with_style(draw, *arguments):
    with matplotlib.rc_context(STYLE):
        return draw(*arguments)
