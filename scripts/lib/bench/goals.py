"""What the figures should be, and whether they are."""

from .figures import brief, engine_median, median, ratio

NEAR_HOP_NS = 60  # cores farther apart than that: bounds in ns for two of them say nothing

AT_MOST, AT_LEAST = "at most", "at least"


class Judge:
    """Collects rows: {"goal", "name", "what", "bound", "figure", "state"}."""

    def __init__(self, results):
        self.results, self.rows = results, []

    def add(self, goal, name, what, figure, sense, bound, unit="", excuse=None):
        """`excuse`: why the bound does not hold here, if it does not."""
        if figure is None:
            state = "not run"
        elif excuse:
            state = "not judged"
        else:
            state = "met" if (figure <= bound if sense == AT_MOST else figure >= bound) else "not met"
        self.rows.append({"goal": goal, "name": name, "what": what, "figure": figure, "sense": sense, "bound": bound,
                          "unit": unit, "state": state, "note": excuse})

    def engine(self, name, bound, times, two_cores=False):
        """A figure of weir_bench, and how many times faster it is than the baseline's."""
        figure = engine_median(self.results, f"{name}_ns")
        hop = self.results["engine"].get(f"{name}_ns", {}).get("line_hop_ns")
        excuse = None
        if two_cores and hop is not None and hop > NEAR_HOP_NS:
            excuse = f"the two cores are far apart: a line takes {brief(hop)} ns"
        what = f"{name}_ns" + (f" (line hop {brief(hop)} ns)" if hop is not None else "")
        self.add("A", f"{name}_ns", what, figure, AT_MOST, bound, "ns", excuse)
        if times:
            baseline = engine_median(self.results, f"baseline_{name}_ns")
            self.add("A", f"{name}_times_baseline", f"{name}_ns: times faster than the locked baseline",
                     ratio(baseline, figure), AT_LEAST, times, "x")

    def against(self, goal, figure, what, server, sense, bound):
        """weir's figure as a multiple of another server's."""
        self.add(goal, f"{figure}_over_{server}", what,
                 ratio(median(self.results, figure), median(self.results, figure, server)), sense, bound, "x")


def judge_engine(judge):
    judge.engine("publish_1p", 7.5, 8)
    judge.engine("publish_1p_notify", 7.5, None)
    judge.engine("publish_2p", 28, 8, two_cores=True)
    judge.engine("live_hop", 35, 5, two_cores=True)
    judge.engine("replay_event", 2.5, None)


def judge_servers(judge):
    for depth, nchan, bare in ((16, 10, 0.85), (1, 1.4, 0.8)):
        figure = f"fanout_depth_{depth}_deliveries_per_cpu_s"
        judge.against("B", figure, f"fan-out, {depth} in flight, of nchan's", "nchan", AT_LEAST, nchan)
        judge.against("B", figure, f"fan-out, {depth} in flight, of the bare loop's", "bare", AT_LEAST, bare)
    judge.against("C", "many_deliveries_per_cpu_s", "many sessions, of nchan's", "nchan", AT_LEAST, 3)
    judge.against("D", "latency_one_p50_us", "one subscriber, p50, of nchan's", "nchan", AT_MOST, 0.8)
    judge.against("D", "latency_one_p99_9_us", "one subscriber, p99.9, of nchan's", "nchan", AT_MOST, 0.5)
    judge.against("D", "latency_all_last_p99_us", "the last subscriber, p99, of nchan's", "nchan", AT_MOST, 0.5)


def judge_storm(judge):
    figure = "storm_caught_up_ms"
    faster = ratio(median(judge.results, figure, "nchan"), median(judge.results, figure))
    judge.add("E", "storm_times_nchan", "reconnect storm: times faster than nchan", faster, AT_LEAST, 5, "x")
    for what in ("lost", "repeated"):
        runs = judge.results["figures"].get(f"storm_{what}", {}).get("weir")
        judge.add("E", f"storm_{what}", f"reconnect storm: events {what}", runs["max"] if runs else None, AT_MOST, 0)


def judge_idle(judge):
    judge.add("F", "idle_rss_per_connection", "idle connection, resident bytes", median(judge.results, "idle_rss_per_connection"),
              AT_MOST, 900, "B")
    share = median(judge.results, "idle_cpu_share")
    judge.add("F", "idle_cpu_percent", "processor time while idle, of one core", share * 100 if share is not None else None,
              AT_MOST, 1, "%")


def judge_growth(judge):
    """What a publish costs among a million sessions is cache misses: shown, and not judged, for there is no bound to hold it
    to. A delivery may not cost more because there are many of them, beyond what the bare loop's own does: the kernel's
    memory outgrows the caches, too."""
    few, lots = (engine_median(judge.results, f"publish_1p_{which}_sessions_ns") for which in ("small_1000", "1000000"))
    judge.add("G", "publish_growth", "publish, 1,000 to 1,000,000 sessions: the cost grows by", ratio(lots, few), AT_MOST, None,
              "x", "what grows is the share of cold memory")
    counts = sorted(int(figure.split("_")[1]) for figure in judge.results["figures"] if figure.startswith("growth_"))
    if len(counts) < 2:
        judge.add("G", "delivery_growth", "delivery, the cost grows by", None, AT_MOST, 1.25, "x")
        return
    reach = [median(judge.results, f"growth_{count}_us_per_delivery") for count in counts]
    bare = [median(judge.results, f"growth_{count}_us_per_delivery", "bare") for count in counts]
    worst = max((ratio(reach[j], reach[i]) or 0 for i in range(len(counts)) for j in range(i + 1, len(counts))), default=None)
    floor = max((ratio(bare[j], bare[i]) or 0 for i in range(len(counts)) for j in range(i + 1, len(counts))), default=0)
    what = f"delivery, {counts[0]:,} to {counts[-1]:,} subscribers: the cost grows by (the bare loop's: {brief(floor)} x)"
    judge.add("G", "delivery_growth", what, worst, AT_MOST, round(1.25 * max(1.0, floor), 2), "x")


def judge(results):
    found = Judge(results)
    for judge_some in (judge_engine, judge_servers, judge_storm, judge_idle, judge_growth):
        judge_some(found)
    return found.rows


def bound_text(row):
    if row["bound"] is None:
        return "none"
    return f"{row['sense']} {row['bound']:g} {row['unit']}".rstrip()


def figure_text(row):
    return f"{brief(row['figure'])} {row['unit']}".rstrip() if row["figure"] is not None else "-"


HEADLINE = "{met} of {judged} goals met; {rest} not run or not judged"


def count(results):
    states = [row["state"] for row in results["goals"]]
    met, missed = states.count("met"), states.count("not met")
    return {"met": met, "judged": met + missed, "rest": len(states) - met - missed}
