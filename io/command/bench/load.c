#include "load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "backend/probe.h"
#include "command/interrupt.h"
#include "load_memory.h"
#include "progress.h"

enum { COMPLETIONS = 256, SPARE_DESCRIPTORS = 64, REFUSED_AT_FIRST = 100 };

#define TICK_NS   UINT64_C(100000000) /* between two looks at what can wait */
#define RETRY_NS  UINT64_C(100000000) /* before a cut stream returns */
#define SETTLE_NS UINT64_C(500000000) /* between the last stream and the reading of the server's memory */
#define LINGER_NS UINT64_C(100000000) /* after all has come: what still comes then is one too many */

static void fail(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct load *load, const char *format, ...) {
    if (load->problem[0] != '\0') return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(load->problem, sizeof load->problem, format, arguments);
    va_end(arguments);
}

static bool is_over(const struct load *load) {
    return load->problem[0] != '\0' || load->interrupted || load->stalled;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

void load_reopen(struct load *load, struct subscriber *subscriber) {
    load->away[(load->away_first + load->away_count++) % load->subscriber_count] =
        (uint32_t)(subscriber - load->subscribers);
}

static void tell_open_failure(struct load *load, const struct subscriber *subscriber) {
    if (subscriber->status >= 200 && subscriber->status != 200) {
        fail(load, "subscriber %u: the server answered with status %u", link_index(subscriber->link.token),
             subscriber->status);
        load->refused = subscriber->status >= 400 && subscriber->status < 500;
    } else {
        fail(load, "subscriber %u: %s", link_index(subscriber->link.token), subscriber->problem);
    }
}

static void try_again(struct load *load, struct subscriber *subscriber, uint64_t now_ns) {
    if (load->phase == LOAD_CONNECTING) tell_open_failure(load, subscriber);
    subscriber->retry_ns = now_ns + RETRY_NS;
    load_reopen(load, subscriber);
}

static bool may_open(const struct load *load) {
    return load->away_count > 0 && !load->storm.away && load->opening < load->plan->options.opening;
}

static void open_subscribers(struct load *load, uint64_t now_ns) {
    while (may_open(load) && !is_over(load)) {
        struct subscriber *subscriber = &load->subscribers[load->away[load->away_first]];
        if (subscriber->retry_ns > now_ns) return;
        load->away_first = (load->away_first + 1) % load->subscriber_count;
        load->away_count--;
        if (subscriber_open(subscriber)) {
            load->opening++;
        } else {
            load->fruitless++;
            try_again(load, subscriber, now_ns);
        }
    }
}

/* ---- Completions ------------------------------------------------------------------------------------------------ */

static void take_subscriber(struct load *load, struct subscriber *subscriber, bool is_send,
                            const struct io_completion *completion) {
    enum subscriber_state before = subscriber->state;
    subscriber_take(subscriber, is_send, completion);
    if (before == subscriber->state) return;
    if (before == SUBSCRIBER_OPENING) {
        load->opening--;
        if (subscriber->state == SUBSCRIBER_LIVE) {
            load->live++;
            load->ledger->progress_ns = subscriber->now_ns;
        } else {
            load->fruitless++;
        }
    } else if (before == SUBSCRIBER_LIVE) {
        load->live--;
        load->cuts++;
    }
    if (subscriber->state != SUBSCRIBER_AWAY) return;
    if (subscriber->failed)
        try_again(load, subscriber, ledger_now_ns());
    else
        load_reopen(load, subscriber);
}

static void take(struct load *load, const struct io_completion *completion) {
    uint32_t index = link_index(completion->token);
    bool is_send = link_is_send(completion->token);
    if (index < load->subscriber_count) {
        take_subscriber(load, &load->subscribers[index], is_send, completion);
    } else {
        struct publisher *publisher = &load->publishers[index - load->subscriber_count];
        publisher_take(publisher, is_send, completion);
        if (publisher->problem[0] != '\0') fail(load, "publisher %u: %s", publisher->index, publisher->problem);
        if (load->ledger->accepted == 0 && load->ledger->refused >= REFUSED_AT_FIRST) {
            load->refused = true;
            fail(load, "the server refused the first %d publishes", REFUSED_AT_FIRST);
        }
    }
    if (completion->data != NULL) load->backend->operations->release(load->backend, completion->data);
}

static void wait_and_take(struct load *load, uint64_t timeout_ns) {
    struct io_completion completions[COMPLETIONS];
    int count = load->backend->operations->wait(load->backend, timeout_ns, completions, COMPLETIONS);
    if (count < 0) fail(load, "the I/O backend broke: %s", strerror(-count));
    for (int i = 0; i < count; i++) {
        take(load, &completions[i]);
    }
}

/* ---- One turn --------------------------------------------------------------------------------------------------- */

static bool is_complete(const struct load *load, bool with_slow) {
    for (uint32_t i = 0; i < load->publisher_count; i++) {
        if (load->publishers[i].answered != load->publishers[i].sent) return false;
    }
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        const struct subscriber *subscriber = &load->subscribers[i];
        if (subscriber->slow && !with_slow) continue;
        if (subscriber->state != SUBSCRIBER_LIVE || !subscriber_is_complete(subscriber)) return false;
    }
    return true;
}

/* Nothing went forward for a long time: that is a fault only where something is still to come. */
static void check_stall(struct load *load, uint64_t now_ns) {
    uint64_t patience = load->plan->options.patience * 1000000;
    if (now_ns < load->ledger->progress_ns + patience) return;
    if (is_complete(load, load->phase == LOAD_ENDING))
        load->ledger->progress_ns = now_ns;
    else
        load->stalled = true;
}

static void tick(struct load *load, struct progress *progress, uint64_t now_ns) {
    if (now_ns < load->tick_ns) return;
    load->tick_ns = now_ns + TICK_NS;
    interrupt_poll(NULL, 0, 0);
    if (interrupt_count() > 0) load->interrupted = true;
    check_stall(load, now_ns);
    progress_show(progress, load, now_ns);
}

static void earliest(uint64_t *when, uint64_t candidate) {
    if (candidate < *when) *when = candidate;
}

/* Lets everybody do what is to be done now, and waits for news, but no longer than until `until_ns`. */
static void turn(struct load *load, struct progress *progress, uint64_t until_ns) {
    uint64_t now = ledger_now_ns();
    uint64_t wake = until_ns;
    open_subscribers(load, now);
    if (may_open(load)) {
        earliest(&wake, load->subscribers[load->away[load->away_first]].retry_ns);
    }
    for (uint32_t i = load->subscriber_count - (uint32_t)load->plan->options.slow; i < load->subscriber_count; i++) {
        subscriber_resume(&load->subscribers[i], now, load->phase == LOAD_ENDING);
        if (load->subscribers[i].paused) earliest(&wake, load->subscribers[i].readable_ns);
    }
    for (uint32_t i = 0; i < load->publisher_count && load->publishing; i++) {
        struct publisher *publisher = &load->publishers[i];
        publisher_fill(publisher, now);
        if (publisher->problem[0] != '\0') fail(load, "publisher %u: %s", i, publisher->problem);
        earliest(&wake, publisher_due_ns(publisher));
    }
    storm_turn(load, now);
    earliest(&wake, load->storm.next_ns > now ? load->storm.next_ns : UINT64_MAX);
    tick(load, progress, now);
    earliest(&wake, load->tick_ns);
    wait_and_take(load, wake > now ? wake - now : 0);
}

static void turn_until(struct load *load, struct progress *progress, uint64_t until_ns) {
    while (!is_over(load) && ledger_now_ns() < until_ns) {
        turn(load, progress, until_ns);
    }
}

/* ---- Phases ----------------------------------------------------------------------------------------------------- */

static void set_mark(struct load *load, struct mark *mark) {
    const struct ledger *ledger = load->ledger;
    int gone;
    *mark = (struct mark){.deliveries = ledger->deliveries,
                          .published = ledger->published,
                          .reads = ledger->reads,
                          .bytes = ledger->bytes,
                          .own_cpu_seconds = process_own_cpu_seconds(),
                          .own_starved_seconds = process_own_starved_seconds()};
    if (load->plan->servers.count > 0 && !process_cost_read(&load->plan->servers, &mark->servers, &gone)) {
        fail(load, "there is no process %d (--server-pid)", gone);
    }
    mark->at_ns = ledger_now_ns();
}

static void connect_all(struct load *load, struct progress *progress) {
    set_mark(load, &load->empty);
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        load_reopen(load, &load->subscribers[i]);
    }
    while (!is_over(load) && load->live < load->subscriber_count) {
        turn(load, progress, UINT64_MAX);
    }
    if (load->plan->servers.count > 0) turn_until(load, progress, ledger_now_ns() + SETTLE_NS);
    set_mark(load, &load->connected);
}

static void measure(struct load *load, struct progress *progress) {
    uint64_t begin = ledger_now_ns();
    load->phase = LOAD_WARMING;
    load->publishing = true;
    for (uint32_t i = 0; i < load->publisher_count; i++) {
        publisher_begin(&load->publishers[i], begin);
    }
    turn_until(load, progress, begin + load->plan->options.warmup * 1000000);
    load->phase = LOAD_MEASURING;
    set_mark(load, &load->begin);
    load->ledger->window_begin_ns = load->begin.at_ns;
    storm_begin(load, load->begin.at_ns);
    turn_until(load, progress, load->begin.at_ns + load->plan->options.seconds * 1000000000);
    load->publishing = false;
    set_mark(load, &load->end);
    load->ledger->window_end_ns = load->end.at_ns;
}

static void let_arrive(struct load *load, struct progress *progress) {
    storm_end(load);
    load->phase = LOAD_ENDING;
    while (!is_over(load) && !is_complete(load, true)) {
        turn(load, progress, ledger_now_ns() + 1000000);
    }
    turn_until(load, progress, ledger_now_ns() + LINGER_NS);
    if (load->stalled && load->ledger->deliveries == load->begin.deliveries) {
        fail(load, "nothing came for %llu ms", (unsigned long long)load->plan->options.patience);
    }
}

static bool raise_limits(struct load *load) {
    struct rlimit files;
    uint64_t wanted = load->plan->options.subscribers + load->plan->options.publishers + SPARE_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) return true;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (wanted <= files.rlim_max) return true;
    fail(load, "%llu connections need more open files than the limit of %llu allows (ulimit -Hn)",
         (unsigned long long)wanted, (unsigned long long)files.rlim_max);
    return false;
}

bool load_run(struct load *load, const struct bench_plan *plan) {
    struct progress progress;
    memset(load, 0, sizeof *load);
    load->plan = plan;
    load->storm.next_ns = UINT64_MAX;
    interrupt_catch();
    (void)prctl(PR_SET_TIMERSLACK, 1); /* else the kernel may be 50 us late with what is due */
    if (!raise_limits(load)) return false;
    if (!load_memory_take(load)) {
        fail(load, "%s", load->problem[0] != '\0' ? load->problem : strerror(ENOMEM));
        return false;
    }
    progress_init(&progress);
    connect_all(load, &progress);
    if (!is_over(load)) {
        measure(load, &progress);
        let_arrive(load, &progress);
    } else if (load->stalled) {
        fail(load, "%u of %u streams opened, then nothing came for %llu ms", load->live, load->subscriber_count,
             (unsigned long long)plan->options.patience);
    }
    progress_clear(&progress);
    return load->problem[0] == '\0';
}

/* ---- The end ---------------------------------------------------------------------------------------------------- */

static bool is_anything_open(const struct load *load) {
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        if (!link_is_closed(&load->subscribers[i].link)) return true;
    }
    for (uint32_t i = 0; i < load->publisher_count; i++) {
        if (!link_is_closed(&load->publishers[i].link)) return true;
    }
    return false;
}

static void close_all(struct load *load) {
    struct io_completion completions[COMPLETIONS];
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        subscriber_leave(&load->subscribers[i]);
    }
    for (uint32_t i = 0; i < load->publisher_count; i++) {
        link_close(&load->publishers[i].link);
    }
    while (is_anything_open(load)) {
        int count = load->backend->operations->wait(load->backend, TICK_NS, completions, COMPLETIONS);
        if (count < 0) return;
        for (int i = 0; i < count; i++) {
            uint32_t index = link_index(completions[i].token);
            struct link *link = index < load->subscriber_count
                                    ? &load->subscribers[index].link
                                    : &load->publishers[index - load->subscriber_count].link;
            link_note(link, link_is_send(completions[i].token));
            if (completions[i].data != NULL) load->backend->operations->release(load->backend, completions[i].data);
        }
    }
}

void load_free(struct load *load) {
    if (load->backend != NULL) {
        close_all(load);
        load->backend->operations->destroy(load->backend);
    }
    load_memory_free(load);
}
