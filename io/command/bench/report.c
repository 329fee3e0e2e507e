#include "report.h"

#include <stdio.h>

#include <jansson.h>

#include "command/command.h"

/* The shares of all deliveries that the report tells. */
static const struct {
    const char *key;  /* in JSON */
    const char *name; /* to a person */
    double share;
} percentiles[] = {{"p50", "p50", 0.5},
                   {"p90", "p90", 0.9},
                   {"p99", "p99", 0.99},
                   {"p99_9", "p99.9", 0.999},
                   {"p99_99", "p99.99", 0.9999}};

static unsigned long long number(uint64_t value) {
    return value;
}

/* ---- For a person ----------------------------------------------------------------------------------------------- */

static void print_load(const struct load *load) {
    const struct bench_options *options = &load->plan->options;
    printf("%llu subscribers of %llu sessions at %s, %llu publishers, ", number(options->subscribers),
           number(options->sessions), load->plan->subscribe.name, number(options->publishers));
    if (options->rate > 0)
        printf("%llu events a second", number(options->rate));
    else
        printf("%llu in flight each until %s", number(options->depth),
               options->until == UNTIL_DELIVERED ? "delivered" : "answered");
    printf(", %llu bytes, %s\n", number(options->size), load->backend->operations->name);
}

static void print_histogram(const char *name, const struct histogram *histogram) {
    printf("%-12s", name);
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
        printf(" %s %.1f,", percentiles[i].name, (double)histogram_at(histogram, percentiles[i].share) / 1e3);
    }
    printf(" max %.1f us\n", (double)histogram->max / 1e3);
}

static void print_server(const struct load *load, const struct outcome *outcome) {
    if (!outcome->has_server) return;
    printf("server       %.2f s of processor time, %.3f us per delivery, %.0f deliveries per second of it\n",
           outcome->server_cpu_s, outcome->server_us_per_delivery, outcome->deliveries_per_server_cpu_s);
    printf("memory       %.0f resident bytes per stream (%.0f proportional), %u processes\n",
           outcome->rss_per_connection, outcome->pss_per_connection, load->connected.servers.processes);
}

static void print_storms(const struct load *load) {
    const struct storm *storm = &load->storm;
    if (load->plan->options.storm == 0) return;
    printf("storms       %llu; all had caught up after p50 %.1f, max %.1f ms\n", number(storm->count),
           (double)histogram_at(storm->durations, 0.5) / 1e6, (double)storm->durations->max / 1e6);
}

void report_table(const struct load *load, const struct outcome *outcome) {
    print_load(load);
    printf("measured     %.2f s: %llu published, %llu deliveries\n", outcome->seconds, number(outcome->published),
           number(outcome->deliveries));
    printf("rate         %.0f published, %.0f delivered, %.1f MB a second; %.1f events per read\n",
           outcome->published_per_s, outcome->deliveries_per_s, outcome->bytes_per_s / 1e6, outcome->events_per_read);
    if (load->publisher_count > 0) {
        print_histogram("latency", &load->ledger->latency);
        if (load->ledger->window > 0) print_histogram("to all", &load->ledger->to_all);
        if (load->plan->options.rate > 0) print_histogram("sent late", &load->ledger->send_delay);
    }
    print_storms(load);
    print_server(load, outcome);
    printf("this program ran %.0f %% of the time, and waited %.0f %% for a core\n", outcome->own_share * 100,
           outcome->own_starved_share * 100);
    printf("checked      %llu events: lost %llu, repeated %llu, disordered %llu, foreign %llu, changed %llu\n",
           number(outcome->received), number(outcome->lost_silently), number(outcome->repeated),
           number(outcome->disordered), number(outcome->strange), number(outcome->corrupt));
    printf("told         %llu lost in %llu gaps, %llu publishes refused, %llu streams cut, %llu vain returns\n",
           number(outcome->lost_told), number(outcome->gaps), number(outcome->refused), number(load->cuts),
           number(load->fruitless));
}

/* ---- For a program ---------------------------------------------------------------------------------------------- */

static void put(json_t *object, const char *name, uint64_t value) {
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void put_real(json_t *object, const char *name, double value) {
    json_object_set_new(object, name, json_real(value));
}

/* Microseconds. */
static json_t *histogram_object(const struct histogram *histogram) {
    json_t *object = json_object();
    put(object, "count", histogram->count);
    put_real(object, "mean", histogram_mean(histogram) / 1e3);
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
        put_real(object, percentiles[i].key, (double)histogram_at(histogram, percentiles[i].share) / 1e3);
    }
    put_real(object, "max", (double)histogram->max / 1e3);
    return object;
}

static json_t *load_object(const struct load *load) {
    const struct bench_options *options = &load->plan->options;
    json_t *object = json_object();
    json_object_set_new(object, "server", json_string(load->plan->subscribe.name));
    json_object_set_new(object, "subscribe", json_string(load->plan->subscribe.path));
    json_object_set_new(object, "publish", json_string(load->plan->publish.path));
    json_object_set_new(object, "mode",
                        json_string(options->publishers == 0 ? "idle"
                                    : options->rate > 0      ? "open"
                                                             : "closed"));
    json_object_set_new(object, "io", json_string(load->backend->operations->name));
    put(object, "subscribers", options->subscribers);
    put(object, "sessions", options->sessions);
    put(object, "publishers", options->publishers);
    put(object, "depth", options->rate > 0 ? 0 : options->depth);
    put(object, "rate", options->rate);
    put(object, "size", options->size);
    put(object, "slow", options->slow);
    return object;
}

static json_t *checked_object(const struct load *load, const struct outcome *outcome) {
    json_t *object = json_object();
    put(object, "received", outcome->received);
    put(object, "lost", outcome->lost_silently);
    put(object, "repeated", outcome->repeated);
    put(object, "disordered", outcome->disordered);
    put(object, "foreign", outcome->strange);
    put(object, "changed", outcome->corrupt);
    put(object, "lost_told", outcome->lost_told);
    put(object, "gaps", outcome->gaps);
    put(object, "refused", outcome->refused);
    put(object, "ends", load->ledger->ends);
    put(object, "cuts", load->cuts);
    put(object, "vain_returns", load->fruitless);
    return object;
}

static json_t *server_object(const struct load *load, const struct outcome *outcome) {
    json_t *object = json_object();
    put(object, "processes", load->connected.servers.processes);
    put_real(object, "cpu_s", outcome->server_cpu_s);
    put_real(object, "cpu_share", outcome->server_share);
    put_real(object, "cpu_us_per_delivery", outcome->server_us_per_delivery);
    put_real(object, "deliveries_per_cpu_s", outcome->deliveries_per_server_cpu_s);
    put_real(object, "rss_per_connection", outcome->rss_per_connection);
    put_real(object, "pss_per_connection", outcome->pss_per_connection);
    return object;
}

static json_t *storm_object(const struct storm *storm) {
    json_t *object = json_object();
    put(object, "count", storm->count);
    put_real(object, "caught_up_p50_ms", (double)histogram_at(storm->durations, 0.5) / 1e6);
    put_real(object, "caught_up_mean_ms", histogram_mean(storm->durations) / 1e6);
    put_real(object, "caught_up_max_ms", (double)storm->durations->max / 1e6);
    return object;
}

void report_json(const struct load *load, const struct outcome *outcome) {
    json_t *object = json_object();
    json_object_set_new(object, "ok", json_boolean(outcome->clean && load->problem[0] == '\0' && !load->stalled));
    if (load->problem[0] != '\0') json_object_set_new(object, "problem", json_string(load->problem));
    json_object_set_new(object, "stalled", json_boolean(load->stalled));
    json_object_set_new(object, "load", load_object(load));
    put_real(object, "seconds", outcome->seconds);
    put(object, "published", outcome->published);
    put_real(object, "published_per_s", outcome->published_per_s);
    put(object, "deliveries", outcome->deliveries);
    put_real(object, "deliveries_per_s", outcome->deliveries_per_s);
    put_real(object, "bytes_per_s", outcome->bytes_per_s);
    put_real(object, "events_per_read", outcome->events_per_read);
    json_object_set_new(object, "latency_us", histogram_object(&load->ledger->latency));
    if (load->ledger->window > 0) {
        json_object_set_new(object, "to_all_us", histogram_object(&load->ledger->to_all));
    }
    if (load->plan->options.rate > 0) {
        json_object_set_new(object, "sent_late_us", histogram_object(&load->ledger->send_delay));
    }
    json_object_set_new(object, "checked", checked_object(load, outcome));
    if (load->plan->options.storm > 0) json_object_set_new(object, "storms", storm_object(&load->storm));
    if (outcome->has_server) json_object_set_new(object, "server", server_object(load, outcome));
    put_real(object, "own_cpu_share", outcome->own_share);
    put_real(object, "own_starved_share", outcome->own_starved_share);
    json_object_set_new(object, "saturated", json_boolean(outcome->saturated));
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7));
    putchar('\n');
    json_decref(object);
}

/* ---- Warnings --------------------------------------------------------------------------------------------------- */

void report_warnings(const struct load *load, const struct outcome *outcome) {
    if (outcome->saturated) {
        command_say(
            "bench",
            "warning: this program ran %.0f %% of the time and waited %.0f %% for a core: the figures measure "
            "it, not the server",
            outcome->own_share * 100, outcome->own_starved_share * 100);
    }
    if (load->plan->options.storm > 0 && load->storm.count == 0 && outcome->seconds > 0) {
        command_say("bench", "warning: there was no storm: it needs every stream to be open and to have got an id");
    }
    if (load->stalled) {
        command_say("bench", "nothing went forward for %llu ms, so the run ended early",
                    number(load->plan->options.patience));
    }
    if (load->problem[0] != '\0') command_say("bench", "%s", load->problem);
    if (!outcome->clean) {
        command_say(
            "bench",
            "the streams are not what was published: lost %llu, repeated %llu, disordered %llu, foreign %llu, "
            "changed %llu",
            number(outcome->lost_silently), number(outcome->repeated), number(outcome->disordered),
            number(outcome->strange), number(outcome->corrupt));
    }
}
