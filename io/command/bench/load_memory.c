#include "load_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/probe.h"

/* Receive buffers are large, because with many events on the way one system call should take many of them. */
static bool make_backend(struct load *load) {
    const struct io_backend_config config = {.queue_entries = 4096, .receive_buffers = 64, .receive_size = 32 * 1024};
    struct io_probe probe;
    io_probe((enum io_choice)load->plan->options.io, &probe);
    if (!probe.usable) {
        snprintf(load->problem, sizeof load->problem, "%s", probe.reason);
        return false;
    }
    int error = probe.backend == IO_URING ? io_uring_backend_create(&load->backend, &config)
                                          : io_epoll_backend_create(&load->backend, &config);
    if (error == 0) return true;
    load->backend = NULL;
    snprintf(load->problem, sizeof load->problem, "the I/O backend: %s", strerror(-error));
    return false;
}

static bool make_ledger(struct load *load) {
    const struct bench_options *options = &load->plan->options;
    struct ledger_shape shape = {.sessions = (uint32_t)options->sessions,
                                 .publishers = (uint32_t)options->publishers};
    if (options->rate == 0 && options->until == UNTIL_DELIVERED) shape.window = (uint32_t)options->depth;
    uint32_t *waited_for = calloc(options->sessions, sizeof *waited_for);
    load->ledger = calloc(1, sizeof *load->ledger);
    bool made = false;
    if (waited_for != NULL && load->ledger != NULL) {
        for (uint64_t i = 0; i < options->subscribers - options->slow; i++) {
            waited_for[i % options->sessions]++;
        }
        shape.waited_for = waited_for;
        made = ledger_init(load->ledger, &shape);
    }
    free(waited_for);
    return made;
}

static bool make_connections(struct load *load) {
    const struct bench_options *options = &load->plan->options;
    load->away = calloc(options->subscribers, sizeof *load->away);
    load->subscribers = calloc(options->subscribers, sizeof *load->subscribers);
    load->publishers = calloc(options->publishers + 1, sizeof *load->publishers);
    if (load->away == NULL || load->subscribers == NULL || load->publishers == NULL) return false;
    for (uint32_t i = 0; i < options->subscribers; i++) {
        if (!subscriber_init(&load->subscribers[i], load->ledger, load->plan, load->backend, i)) return false;
        load->subscriber_count++;
    }
    for (uint32_t i = 0; i < options->publishers; i++) {
        if (!publisher_init(&load->publishers[i], load->ledger, load->plan, load->backend, i,
                            load->subscriber_count + i)) {
            return false;
        }
        load->publisher_count++;
    }
    return true;
}

bool load_memory_take(struct load *load) {
    load->storm.durations = calloc(1, sizeof *load->storm.durations);
    return load->storm.durations != NULL && make_backend(load) && make_ledger(load) && make_connections(load);
}

void load_memory_free(struct load *load) {
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        subscriber_free(&load->subscribers[i]);
    }
    for (uint32_t i = 0; i < load->publisher_count; i++) {
        publisher_free(&load->publishers[i]);
    }
    free(load->away);
    free(load->subscribers);
    free(load->publishers);
    free(load->storm.durations);
    if (load->ledger != NULL) ledger_free(load->ledger);
    free(load->ledger);
}
