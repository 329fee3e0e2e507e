"""What is measured: the parts of a run, the cases of each part, and which figures of a case count."""

from dataclasses import dataclass

# Figures of a run of `weir bench`: the name in our results, and where its report has it.
DELIVERIES = {"deliveries_per_cpu_s": "server.deliveries_per_cpu_s"}


@dataclass
class Case:
    name: str
    title: str
    unit: str
    words: list
    figures: dict  # {name: path in the report}; the first one is the case's own
    depth: int = 1
    replay: int = 256
    lower_is_better: bool = False


@dataclass
class Part:
    name: str
    title: str
    about: str
    cases: list


def load(options, subscribers, sessions=1, seconds=None):
    return ["--subscribers", str(subscribers), "--sessions", str(sessions),
            "--seconds", str(seconds or options.seconds), "--warmup", "300ms" if options.quick else "1s"]


def fanout(options):
    count = options.subscribers
    cases = [Case(f"fanout_depth_{depth}", f"{count:,} subscribers, {depth} in flight", "deliveries per server-CPU-second",
                  load(options, count), DELIVERIES, depth=depth) for depth in (16, 1)]
    return Part("fanout", "Fan-out",
                f"{count:,} subscribers of one session, events of 100 bytes. In flight is what has not reached every "
                "subscriber: so nothing piles up in socket buffers, and no server gains by dropping. Deliveries are "
                "divided by the server's own processor time, user and system.", cases)


def many(options):
    count = options.subscribers
    return Part("many", "Many sessions",
                f"{count:,} sessions with one subscriber each, one connection that publishes into all of them by turns, "
                "64 publishes deep: each delivery costs a publish, its answer, and a send.",
                [Case("many", f"{count:,} sessions, 64 in flight", "deliveries per server-CPU-second",
                      load(options, count, count), DELIVERIES, depth=64)])


def latency(options):
    count = options.subscribers
    one = {"p50_us": "latency_us.p50", "p99_us": "latency_us.p99", "p99_9_us": "latency_us.p99_9"}
    last = {"last_p50_us": "to_all_us.p50", "last_p99_us": "to_all_us.p99", "last_p99_9_us": "to_all_us.p99_9"}
    return Part("latency", "Latency",
                "From the moment a publish is written until its bytes have been read and checked, one publish at a time "
                f"(closed loop). With {count:,} subscribers it is the last one's: until everybody has the event.",
                [Case("latency_one", "one subscriber", "us", load(options, 1), one, lower_is_better=True),
                 Case("latency_all", f"the last of {count:,} subscribers", "us", load(options, count), last,
                      lower_is_better=True)])


def storm(options):
    count, missed = options.subscribers, options.missed
    # Publishing goes on all the time, at a rate that every server here can carry.
    seconds = 2 + missed // options.storm_rate + (1 if options.quick else 4)
    words = [*load(options, count, seconds=seconds), "--rate", str(options.storm_rate), "--storm", "500ms",
             "--storm-once", "--storm-away", str(missed), "--patience", "20s"]
    figures = {"caught_up_ms": "storms.caught_up_mean_ms", "lost": "checked.lost", "told_lost": "checked.lost_told",
               "repeated": "checked.repeated", "storms": "storms.count"}
    return Part("storm", "Reconnect storm",
                f"{count:,} clients drop at once, stay away until {missed} events have been published without them, and "
                f"return with their last id, while {options.storm_rate} events a second go on being published. The time "
                "from their first attempt until every one of them has all that was published before it. Each server "
                "keeps 1,024 events.",
                [Case("storm", f"{count:,} clients, {missed} events each", "ms until all have caught up", words, figures,
                      replay=1024, lower_is_better=True)])


def idle(options):
    figures = {"rss_per_connection": "server.rss_per_connection", "cpu_share": "server.cpu_share"}
    words = [*load(options, options.idle, options.idle, seconds=2 if options.quick else 5), "--publishers", "0"]
    return Part("idle", "Idle connections",
                f"{options.idle:,} streams, each of a session of its own in which nothing happens: the server's resident "
                "memory with all of them open, less before the first, by their number; and its processor time while they "
                "are quiet. The kernel's memory for the sockets is not in it: it is several times that, and the same for "
                "every server.",
                [Case("idle", f"{options.idle:,} idle streams", "resident bytes a connection", words, figures,
                      lower_is_better=True)])


def growth(options):
    figures = {"us_per_delivery": "server.cpu_us_per_delivery"}
    return Part("growth", "Growth",
                "What one delivery costs the server by the number of subscribers of one session, 16 publishes in flight; "
                "and what one publish costs by the number of sessions it goes around (in process, from the engine's part).",
                [Case(f"growth_{count}", f"{count:,} subscriber{'s' if count > 1 else ''}", "us of the server's time a delivery",
                      load(options, count), figures, depth=16, lower_is_better=True) for count in options.growth])


# In process, by weir_bench: this is no case of `weir bench`.
def engine(options):
    del options
    return Part("engine", "In process",
                "C functions timed by the wall clock on pinned threads, by Google Benchmark; nanoseconds per event of "
                "100 bytes. The baseline is the straightforward design (sharded map with locks, mutex-guarded deque, "
                "bounded channel, counted heap events), written well. Two-core figures depend on how near the cores are: "
                "line_hop_ns is what one cache line takes from one to the other.", [])


PARTS = {make.__name__: make for make in (engine, fanout, many, latency, storm, idle, growth)}
