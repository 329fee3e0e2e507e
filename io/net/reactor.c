#include "reactor.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "connection.h"
#include "listener.h"
#include "outlet.h"
#include "report.h"

#define COMPLETIONS_PER_TURN 512u
#define OUTLETS_PER_TURN     256u
#define TIMERS_PER_TURN      4096 /* expired ones; the next turn goes on at once */
#define SWEEP_EVERY_MS       1000u
#define SWEEP_PLACES         16384u /* session places looked at per sweep */
#define ACCEPT_RETRY_MS      100u
#define LINGER_MS            2000u
#define DRAIN_GRACE_MS       2000u /* beyond drain_ms, for what is still being sent */
#define PLACES_AT_FIRST      64u

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* ---- Life --------------------------------------------------------------------------------------------------- */

static void wake_reactor(void *context) {
    reactor_wake(context);
}

void reactor_wake(struct reactor *reactor) {
    reactor->backend->operations->wake(reactor->backend);
}

void reactors_control(struct reactor_shared *shared, uint32_t bit) {
    uint32_t control = u32_load_relaxed(&shared->control);
    /* Release: partner is obey_control's load. */
    while (!u32_cas_acq_rel(&shared->control, &control, control | bit)) {
    }
    for (uint32_t i = 0; i < shared->reactor_count; i++)
        reactor_wake(shared->reactors[i]);
}

static void set_durations(struct timers *timers, const weir_server_config *config) {
    timers_init(timers);
    timers->duration_ms[TIMER_HEAD] = config->head_timeout_ms;
    timers->duration_ms[TIMER_BODY] = config->body_timeout_ms;
    timers->duration_ms[TIMER_IDLE] = config->idle_timeout_ms;
    timers->duration_ms[TIMER_STALL] = (config->stall_timeout_ms + STALL_LOOKS - 1) / STALL_LOOKS;
    timers->duration_ms[TIMER_LINGER] = LINGER_MS;
    timers->duration_ms[TIMER_ACCEPT] = ACCEPT_RETRY_MS;
    if (config->heartbeat_ms != WEIR_NONE) timers->duration_ms[TIMER_HEARTBEAT] = config->heartbeat_ms;
}

static int make_parts(struct reactor *reactor) {
    weir_poller_config poller = {0, wake_reactor, reactor};
    reactor->scratch = malloc(reactor->scratch_size);
    if (reactor->scratch == NULL) return WEIR_NO_MEMORY;
    int status = weir_poller_create(reactor->shared->engine, &poller, &reactor->poller);
    return status == WEIR_OK ? weir_producer_create(reactor->shared->engine, &reactor->producer) : status;
}

static void free_reactor(struct reactor *reactor) {
    weir_producer_destroy(reactor->producer);
    weir_poller_destroy(reactor->poller);
    batch_pool_close(&reactor->batches);
    rendered_free(&reactor->rendered);
    reactor->backend->operations->destroy(reactor->backend);
    free(reactor->places);
    free(reactor->scratch);
    free(reactor);
}

int reactor_create(struct reactor **out, struct reactor_shared *shared, uint32_t index, struct io_backend *backend,
                   const int descriptors[LISTENERS_MAX]) {
    struct reactor *reactor = calloc(1, sizeof(*reactor));
    *out = NULL;
    if (reactor == NULL) {
        backend->operations->destroy(backend);
        return WEIR_NO_MEMORY;
    }
    reactor->shared = shared;
    reactor->index = index;
    reactor->backend = backend;
    reactor->free_place = UINT32_MAX;
    reactor->scratch_size = WEIR_EVENT_BYTES_MAX;
    reactor->now_ms = weir_engine_tick(shared->engine) / 1000000u;
    reactor->random = reactor->now_ms * 0x9E3779B97F4A7C15ull + index + 1;
    batch_pool_init(&reactor->batches, shared->config.max_batch_bytes);
    set_durations(&reactor->timers, &shared->config);
    int status = make_parts(reactor);
    if (status != WEIR_OK) {
        free_reactor(reactor);
        return status;
    }
    for (unsigned i = 0; i < LISTENERS_MAX; i++) {
        reactor->listeners[i].descriptor = descriptors[i];
        reactor->listeners[i].role = (enum listener_role)i;
        reactor->listeners[i].reactor = reactor;
    }
    reactor_wake(
        reactor); /* there is something to do: an embedder's first poll must find the listeners not started */
    *out = reactor;
    return WEIR_OK;
}

uint32_t reactor_random(struct reactor *reactor, uint32_t bound) {
    uint64_t x = reactor->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    reactor->random = x;
    return (uint32_t)((x >> 32) * bound >> 32);
}

/* ---- The table of connections --------------------------------------------------------------------------------- */

static bool grow_places(struct reactor *reactor) {
    uint32_t count = reactor->place_count == 0 ? PLACES_AT_FIRST : reactor->place_count * 2;
    struct connection_place *places = realloc(reactor->places, count * sizeof(*places));
    if (places == NULL) return false;
    for (uint32_t i = count; i-- > reactor->place_count;) {
        places[i].connection = NULL;
        places[i].generation = 0;
        places[i].next_free = reactor->free_place;
        reactor->free_place = i;
    }
    reactor->places = places;
    reactor->place_count = count;
    return true;
}

uint32_t reactor_take_place(struct reactor *reactor, struct connection *connection) {
    if (reactor->free_place == UINT32_MAX && !grow_places(reactor)) return UINT32_MAX;
    uint32_t index = reactor->free_place;
    reactor->free_place = reactor->places[index].next_free;
    reactor->places[index].connection = connection;
    reactor->connection_count++;
    u32_add_relaxed(&reactor->shared->connections, 1);
    counter_add(&reactor->counters.connections, 1);
    return index;
}

void reactor_give_place(struct reactor *reactor, uint32_t index) {
    struct connection_place *place = &reactor->places[index];
    place->connection = NULL;
    place->generation = (place->generation + 1) & 0xFFFFFF;
    place->next_free = reactor->free_place;
    reactor->free_place = index;
    reactor->connection_count--;
    u32_subtract_acq_rel(&reactor->shared->connections, 1);
    counter_subtract(&reactor->counters.connections, 1);
}

static struct connection *find_connection(const struct reactor *reactor, uint64_t token) {
    uint32_t index = (uint32_t)token;
    uint32_t generation = (uint32_t)(token >> 32) & 0xFFFFFF;
    if (index >= reactor->place_count || reactor->places[index].generation != generation) return NULL;
    return reactor->places[index].connection;
}

void reactor_bury(struct reactor *reactor, struct connection *connection) {
    if (connection->buried) return;
    connection->buried = true;
    connection->next_buried = reactor->buried;
    reactor->buried = connection;
}

static void free_buried(struct reactor *reactor) {
    while (reactor->buried != NULL) {
        struct connection *connection = reactor->buried;
        reactor->buried = connection->next_buried;
        connection_free(connection);
    }
}

/* ---- One turn ------------------------------------------------------------------------------------------------- */

static void dispatch(struct reactor *reactor, struct io_completion *completion) {
    enum token_kind kind = (enum token_kind)(completion->token >> 56);
    if (kind == TOKEN_ACCEPT) {
        listener_accepted(&reactor->listeners[(uint32_t)completion->token], completion->result);
        return;
    }
    struct connection *connection = find_connection(reactor, completion->token);
    WEIR_CHECK(connection != NULL); /* a connection outlives its operations */
    if (kind == TOKEN_RECEIVE)
        connection_received(connection, completion);
    else
        connection_sent(connection, completion->result);
}

static int deliver_news(struct reactor *reactor) {
    void *outlets[OUTLETS_PER_TURN];
    uint32_t count = weir_poller_take(reactor->poller, outlets, OUTLETS_PER_TURN);
    /* Delivering may close an outlet, but only the one being delivered: the others taken here stay. */
    for (uint32_t i = 0; i < count; i++)
        outlet_deliver(outlets[i]);
    return (int)count;
}

static int expire(struct reactor *reactor) {
    enum timer_kind kind;
    int count = 0;
    struct timer *timer;
    while (count < TIMERS_PER_TURN && (timer = timers_take_due(&reactor->timers, reactor->now_ms, &kind)) != NULL) {
        count++;
        if (kind == TIMER_ACCEPT)
            listener_start(CONTAINER(timer, struct listener, retry));
        else
            connection_expired(CONTAINER(timer, struct connection, timer), kind);
    }
    return count;
}

/* The first reactor also ends idle sessions, for the engine has no thread of its own. */
static void sweep(struct reactor *reactor) {
    if (reactor->index != 0 || reactor->now_ms < reactor->next_sweep_ms) return;
    reactor->next_sweep_ms = reactor->now_ms + SWEEP_EVERY_MS;
    weir_engine_sweep(reactor->shared->engine, SWEEP_PLACES);
}

/* ---- Drain ---------------------------------------------------------------------------------------------------- */

static void close_all(struct reactor *reactor) {
    for (uint32_t i = 0; i < reactor->place_count; i++)
        if (reactor->places[i].connection != NULL) connection_close(reactor->places[i].connection);
}

static void stop_listeners(struct reactor *reactor) {
    for (unsigned i = 0; i < LISTENERS_MAX; i++)
        listener_stop(&reactor->listeners[i]);
}

/* Connections that wait for a request have nothing to lose; those in a request are answered first (connection.c). */
static void begin_drain(struct reactor *reactor) {
    reactor->draining = true;
    reactor->drain_started_ms = reactor->now_ms;
    reactor->drain_streams = reactor->stream_count;
    stop_listeners(reactor);
    report(reactor, WEIR_LOG_INFO, "draining %u streams", reactor->stream_count);
    for (uint32_t i = 0; i < reactor->place_count; i++) {
        struct connection *connection = reactor->places[i].connection;
        if (connection != NULL && connection->timer.kind == TIMER_IDLE) connection_end(connection);
    }
}

/* False when there is none left. */
static bool drain_one_stream(struct reactor *reactor) {
    for (uint32_t i = 0; i < reactor->place_count; i++) {
        uint32_t place = reactor->drain_cursor++ % reactor->place_count;
        struct connection *connection = reactor->places[place].connection;
        struct stream *stream = connection == NULL ? NULL : connection->stream;
        if (stream == NULL || stream->ended || stream->draining) continue;
        stream_drain(stream);
        return true;
    }
    return false;
}

/* Ends as many streams as are due by now: spread evenly over drain_ms, so that they come back elsewhere one by one. */
static void go_on_draining(struct reactor *reactor) {
    uint64_t elapsed_ms = reactor->now_ms - reactor->drain_started_ms;
    uint64_t drain_ms = reactor->shared->config.drain_ms;
    uint64_t due =
        elapsed_ms >= drain_ms ? UINT32_MAX : (reactor->drain_streams * elapsed_ms + drain_ms - 1) / drain_ms;
    while (reactor->drain_ended < due && reactor->drain_ended < reactor->drain_streams) {
        bool found = drain_one_stream(reactor);
        reactor->drain_ended = found ? reactor->drain_ended + 1 : reactor->drain_streams;
    }
    if (elapsed_ms >= drain_ms + DRAIN_GRACE_MS) close_all(reactor);
}

static bool is_empty(const struct reactor *reactor) {
    return reactor->connection_count == 0 && !reactor->listeners[0].accepting && !reactor->listeners[1].accepting;
}

static void obey_control(struct reactor *reactor) {
    uint32_t control = u32_load_acquire(&reactor->shared->control); /* partner: weir_server_drain and _stop */
    if (control == 0) return;
    if (control & CONTROL_STOP) {
        if (!reactor->draining) stop_listeners(reactor);
        reactor->draining = true;
        reactor->drain_streams = 0;
        close_all(reactor);
    } else if (!reactor->draining) {
        begin_drain(reactor);
    }
    go_on_draining(reactor);
    free_buried(reactor);
    if (is_empty(reactor)) reactor->finished = true;
}

/* ---- The loop's body ------------------------------------------------------------------------------------------ */

#define DRAIN_STEP_NS 20000000u

static uint64_t longest_wait_ns(const struct reactor *reactor, uint64_t timeout_ns) {
    uint64_t next_ms = timers_next(&reactor->timers);
    if (reactor->index == 0 && reactor->next_sweep_ms < next_ms) next_ms = reactor->next_sweep_ms;
    if (next_ms != TIMER_NEVER) {
        uint64_t wait_ns = next_ms > reactor->now_ms ? (next_ms - reactor->now_ms) * 1000000u : 0;
        if (wait_ns < timeout_ns) timeout_ns = wait_ns;
    }
    if (reactor->draining && timeout_ns > DRAIN_STEP_NS) timeout_ns = DRAIN_STEP_NS;
    return timeout_ns;
}

uint32_t reactor_timeout_ms(const struct reactor *reactor) {
    uint64_t wait_ns = longest_wait_ns(reactor, (uint64_t)SWEEP_EVERY_MS * 1000000u);
    return (uint32_t)((wait_ns + 999999u) / 1000000u);
}

static int wait_for_work(struct reactor *reactor, uint64_t timeout_ns, struct io_completion *completions) {
    const struct io_backend_operations *operations = reactor->backend->operations;
    timeout_ns = longest_wait_ns(reactor, timeout_ns);
    /* Announced before the wait: a publish that comes between here and there calls wake. */
    if (timeout_ns > 0 && !weir_poller_sleep(reactor->poller)) timeout_ns = 0;
    int count = operations->wait(reactor->backend, timeout_ns, completions, COMPLETIONS_PER_TURN);
    weir_poller_awake(reactor->poller);
    reactor->now_ms = weir_engine_tick(reactor->shared->engine) / 1000000u;
    return count;
}

int reactor_turn(struct reactor *reactor, uint64_t timeout_ns) {
    struct io_completion completions[COMPLETIONS_PER_TURN];
    if (reactor->finished) return -1;
    weir_poller_awake(reactor->poller);
    if (u32_load_acquire(&reactor->shared->control) == 0)
        for (unsigned i = 0; i < LISTENERS_MAX; i++)
            if (reactor->listeners[i].retry.kind == TIMER_NONE) listener_start(&reactor->listeners[i]);
    int count = wait_for_work(reactor, timeout_ns, completions);
    if (count < 0) {
        /* The others stop too: the kernel would go on handing new connections to this one's listener. */
        report(reactor, WEIR_LOG_ERROR, "the I/O backend failed: %s; the server stops", strerror(-count));
        reactor->finished = true;
        reactors_control(reactor->shared, CONTROL_STOP | CONTROL_FAILED);
        return -1;
    }
    for (int i = 0; i < count; i++)
        dispatch(reactor, &completions[i]);
    int work = count + deliver_news(reactor) + expire(reactor);
    sweep(reactor);
    free_buried(reactor);
    obey_control(reactor);
    return work;
}

#define TURNS_PER_VISIT 8

int reactor_visit(struct reactor *reactor, uint64_t timeout_ns) {
    int work = 0;
    for (int i = 0; i < TURNS_PER_VISIT; i++) {
        int done = reactor_turn(reactor, i == 0 ? timeout_ns : 0);
        if (done < 0) return done;
        work += done;
        /* A turn without work has started nothing, so nothing is left in the backend's queue either. From here on
         * publishers find the poller asleep. */
        if (done == 0 && weir_poller_sleep(reactor->poller)) return work;
    }
    reactor_wake(reactor);
    return work;
}

/* The backend is broken: nothing that was started will ever complete. */
static void abandon_operations(struct reactor *reactor) {
    for (unsigned i = 0; i < LISTENERS_MAX; i++)
        reactor->listeners[i].accepting = false;
    stop_listeners(reactor);
    for (uint32_t i = 0; i < reactor->place_count; i++) {
        struct connection *connection = reactor->places[i].connection;
        if (connection != NULL) connection->receiving = connection->sending = false;
    }
}

void reactor_destroy(struct reactor *reactor) {
    if (reactor == NULL) return;
    reactor->draining = true;
    stop_listeners(reactor);
    for (;;) {
        close_all(reactor); /* an accept that was quicker than its cancel brings one more connection */
        free_buried(reactor);
        if (is_empty(reactor)) break;
        struct io_completion completions[COMPLETIONS_PER_TURN];
        int count =
            reactor->backend->operations->wait(reactor->backend, IO_WAIT_FOREVER, completions, COMPLETIONS_PER_TURN);
        if (count < 0) abandon_operations(reactor);
        for (int i = 0; i < count; i++)
            dispatch(reactor, &completions[i]);
    }
    free_reactor(reactor);
}
