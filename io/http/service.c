/* Health, readiness, metrics, and the page. */
#include "page_data.h"
#include "respond.h"
#include "router.h"

static void respond_text(const struct route_call *call, unsigned status, const char *type, struct span body) {
    struct response response = {
        .status = status,
        .content_type = type,
        .body = body,
        .head_only = call->request->method == HTTP_METHOD_HEAD,
        .close = !call->request->keep_alive,
    };
    respond(call->connection, &response);
}

void handle_page(const struct route_call *call) {
    struct span page = {page_html, page_html_size};
    respond_text(call, 200, "text/html; charset=utf-8", page);
}

void handle_health(const struct route_call *call) {
    respond_text(call, 200, "application/json", SPAN("{\"status\":\"ok\"}\n"));
}

void handle_ready(const struct route_call *call) {
    if (u32_load_relaxed(&call->connection->reactor->shared->control) == 0)
        respond_text(call, 200, "application/json", SPAN("{\"status\":\"ready\"}\n"));
    else
        respond_error(call->connection, call->request, 503, "draining", "The server is going down.", NULL);
}

/* ---- Metrics (Prometheus text format 0.0.4) --------------------------------------------------------------------- */

struct sums {
    uint64_t connections, streams, accepted, requests, refused, deliveries, sends, gaps, heartbeats, stalled, lagged,
        over_limit, accept_errors;
};

static void add_reactor(struct sums *sums, const struct reactor_counters *counters) {
    sums->connections += u64_load_relaxed(&counters->connections);
    sums->streams += u64_load_relaxed(&counters->streams);
    sums->accepted += u64_load_relaxed(&counters->accepted);
    sums->requests += u64_load_relaxed(&counters->requests);
    sums->refused += u64_load_relaxed(&counters->refused);
    sums->deliveries += u64_load_relaxed(&counters->deliveries);
    sums->sends += u64_load_relaxed(&counters->sends);
    sums->gaps += u64_load_relaxed(&counters->gaps);
    sums->heartbeats += u64_load_relaxed(&counters->heartbeats);
    sums->stalled += u64_load_relaxed(&counters->stalled);
    sums->lagged += u64_load_relaxed(&counters->lagged);
    sums->over_limit += u64_load_relaxed(&counters->over_limit);
    sums->accept_errors += u64_load_relaxed(&counters->accept_errors);
}

struct metrics {
    struct buffer body;
    bool failed; /* no memory for a line */
};

static void write_metric(struct metrics *out, const char *name, const char *type, const char *help, uint64_t value) {
    if (!buffer_append_format(&out->body, "# HELP weir_%s %s\n# TYPE weir_%s %s\nweir_%s %llu\n", name, help, name,
                              type, name, (unsigned long long)value))
        out->failed = true;
}

static void write_server_metrics(struct metrics *out, const struct reactor_shared *shared) {
    struct sums sums = {0};
    for (uint32_t i = 0; i < shared->reactor_count; i++)
        add_reactor(&sums, &shared->reactors[i]->counters);
    write_metric(out, "connections", "gauge", "Open connections.", sums.connections);
    write_metric(out, "streams", "gauge", "Open event streams.", sums.streams);
    write_metric(out, "connections_accepted_total", "counter", "Connections accepted.", sums.accepted);
    write_metric(out, "connections_over_limit_total", "counter", "Connections refused at max_connections.",
                 sums.over_limit);
    write_metric(out, "accept_errors_total", "counter", "Accepts that failed for want of resources.",
                 sums.accept_errors);
    write_metric(out, "requests_total", "counter", "Requests whose head was received.", sums.requests);
    write_metric(out, "requests_refused_total", "counter", "Answers of status 400 and above.", sums.refused);
    write_metric(out, "deliveries_total", "counter", "Events sent, once per subscriber.", sums.deliveries);
    write_metric(out, "sends_total", "counter", "Sends started.", sums.sends);
    write_metric(out, "gap_frames_total", "counter", "Gaps told to subscribers.", sums.gaps);
    write_metric(out, "heartbeats_total", "counter", "Heartbeats sent.", sums.heartbeats);
    write_metric(out, "stalled_total", "counter", "Connections closed because a send made no progress.",
                 sums.stalled);
    write_metric(out, "lagged_total", "counter", "Streams ended by the slow policy.", sums.lagged);
}

static void write_engine_metrics(struct metrics *out, const weir_engine *engine) {
    weir_stats stats;
    weir_engine_stats(engine, &stats);
    write_metric(out, "sessions", "gauge", "Sessions.", stats.sessions);
    write_metric(out, "subscribers", "gauge", "Subscribers.", stats.subscribers);
    write_metric(out, "sessions_created_total", "counter", "Sessions created.", stats.sessions_created);
    write_metric(out, "sessions_ended_total", "counter", "Sessions ended.", stats.sessions_ended);
    write_metric(out, "sessions_expired_total", "counter", "Sessions ended because they were idle.",
                 stats.sessions_expired);
    write_metric(out, "published_total", "counter", "Events published.", stats.published);
    write_metric(out, "published_bytes_total", "counter", "Payload bytes published.", stats.published_bytes);
    write_metric(out, "publish_full_total", "counter", "Publishes refused by a full live queue.", stats.publish_full);
    write_metric(out, "publish_refused_total", "counter", "Publishes refused for another reason.",
                 stats.publish_refused);
    write_metric(out, "wakeups_total", "counter", "Times a sleeping reactor was woken by a publish.", stats.wakeups);
    write_metric(out, "gaps_total", "counter", "Gaps that readers of the engine met.", stats.gaps);
    write_metric(out, "lost_events_total", "counter", "Events named in those gaps.", stats.lost);
    write_metric(out, "cell_bytes", "gauge", "Bytes of event memory taken from the allocator.", stats.cell_bytes);
    write_metric(out, "event_kinds", "gauge", "Event kinds known.", stats.kinds);
}

void handle_metrics(const struct route_call *call) {
    struct metrics metrics = {{NULL, 0, 0}, false};
    write_server_metrics(&metrics, call->connection->reactor->shared);
    write_engine_metrics(&metrics, call->connection->reactor->shared->engine);
    if (metrics.failed)
        respond_status(call->connection, call->request, WEIR_NO_MEMORY);
    else
        respond_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", buffer_span(&metrics.body));
    buffer_free(&metrics.body);
}
