/* Random runs of the whole reactor: for each seed another server, other faults, and thousands of steps of publishers,
 * subscribers who come, stall, leave and come back with their last id, other requests, junk, memory that fails, and
 * time. After each run faults stop, and everybody who is still there must reach the newest event; the oracle reads what
 * every peer was sent.
 *
 *   net_swarm_test [FIRST_SEED [SEEDS]]
 *
 * A run is its seed: the same seed gives the same bytes, which is checked as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_memory.h"
#include "swarm_oracle.h"

#define STEPS       2000u
#define VISITS_MAX  150u
#define LATE_VISITS 8u /* that come when the faults have stopped */
#define OTHERS_MAX  200u

static uint64_t first_seed = 1;
static uint64_t seed_count = 100;
static uint64_t running_seed; /* 0: none */

struct tally {
    unsigned alive; /* subscribers there at the end */
    unsigned visits, events, gaps;
};

struct swarm {
    struct rig rig;
    struct truth truth;
    uint64_t random;
    struct visit visits[VISITS_MAX];
    unsigned visit_count;
    struct simulated_peer *others[OTHERS_MAX];
    unsigned other_count;
};

static uint64_t draw(struct swarm *swarm, uint64_t below) {
    uint64_t x = swarm->random += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (x ^ (x >> 31)) % below;
}

static bool chance(struct swarm *swarm, unsigned per_cent) {
    return draw(swarm, 100) < per_cent;
}

#define PICK(swarm, values) ((values)[draw(swarm, sizeof(values) / sizeof((values)[0]))])

/* ---- What differs from seed to seed ------------------------------------------------------------------------------- */

static struct simulated_faults draw_faults(struct swarm *swarm) {
    static const unsigned chances[] = {0, 0, 0, 2, 20, 60};
    static const unsigned buffers[] = {1, 2, 64};
    static const unsigned sizes[] = {1, 7, 100, 8192};
    struct simulated_faults faults = {
        .seed = running_seed,
        .short_send = PICK(swarm, chances),
        .split_receive = PICK(swarm, chances),
        .late_completion = PICK(swarm, chances),
        .max_delay_ns = 1 + draw(swarm, 20000000),
        .reset = chance(swarm, 30) ? 1 + (unsigned)draw(swarm, 5) : 0,
        .accept_error = chance(swarm, 30) ? 10 : 0,
        .reorder = chance(swarm, 50),
        .cancel = (enum simulated_cancel)draw(swarm, SIMULATED_CANCEL_ANY_ORDER + 1),
        .receive_buffers = PICK(swarm, buffers),
        .receive_size = PICK(swarm, sizes),
    };
    return faults;
}

static struct rig_options draw_options(struct swarm *swarm) {
    static const uint32_t capacities[] = {1, 2, 3, 8, 64, 300};
    static const uint32_t batches[] = {64, 512, 4096, 65536};
    static const uint32_t connections[] = {6, 1000, 1000};
    struct rig_options options = {.faults = draw_faults(swarm)};
    options.engine.allocator = failing_allocator;
    options.engine.replay_capacity = PICK(swarm, capacities);
    options.engine.queue_depth = chance(swarm, 30) ? 1 + (uint32_t)draw(swarm, options.engine.replay_capacity) : 0;
    options.engine.idle_ttl_ms = chance(swarm, 20) ? 2000 : 0;
    options.server.max_batch_bytes = PICK(swarm, batches);
    options.server.max_connections = PICK(swarm, connections);
    options.server.slow_policy = chance(swarm, 25) ? WEIR_POLICY_DETACH : WEIR_POLICY_SKIP;
    options.server.heartbeat_ms = chance(swarm, 10) ? WEIR_NONE : 50 + (uint32_t)draw(swarm, 2000);
    options.server.stall_timeout_ms = 100 + (uint32_t)draw(swarm, 3000);
    options.server.head_timeout_ms = 200 + (uint32_t)draw(swarm, 3000);
    options.server.body_timeout_ms = 200 + (uint32_t)draw(swarm, 3000);
    options.server.idle_timeout_ms = 200 + (uint32_t)draw(swarm, 5000);
    options.server.drain_ms = 1 + (uint32_t)draw(swarm, 2000);
    options.server.max_body_bytes = chance(swarm, 50) ? 100 : 0;
    return options;
}

/* ---- Steps -------------------------------------------------------------------------------------------------------- */

static void feed_more(struct swarm *swarm, struct visit *visit, bool all) {
    size_t left = visit->request_length - visit->request_fed;
    if (visit->left || left == 0) return;
    size_t count = all ? left : 1 + draw(swarm, left);
    simulated_feed(visit->peer, visit->request + visit->request_fed, count);
    visit->request_fed += count;
}

/* The id that an earlier visit ended with, some other one, or none. */
static void draw_last_id(struct swarm *swarm, struct visit *visit) {
    if (swarm->visit_count == 0 || chance(swarm, 30)) return;
    const struct visit *earlier = &swarm->visits[draw(swarm, swarm->visit_count)];
    struct visit_result result = visit_check(&swarm->truth, earlier);
    if (chance(swarm, 5))
        snprintf(visit->last_id, sizeof(visit->last_id), "nonsense");
    else if (chance(swarm, 10) && result.any)
        snprintf(visit->last_id, sizeof(visit->last_id), "%.20s.999999", result.epoch);
    else if (result.any)
        memcpy(visit->last_id, result.last_id, sizeof(visit->last_id));
    if (chance(swarm, 90)) visit->session = earlier->session; /* else a foreign id, perhaps */
}

static void step_subscribe(struct swarm *swarm, unsigned most) {
    if (swarm->visit_count >= most) return;
    struct visit visit = {.session = (unsigned)draw(swarm, TRUTH_SESSIONS)};
    draw_last_id(swarm, &visit);
    visit.answers = chance(swarm, 20) ? 1 + (unsigned)draw(swarm, 2) : 0;
    int length = 0;
    for (unsigned i = 0; i < visit.answers; i++)
        length += snprintf(visit.request + length, sizeof(visit.request) - (size_t)length,
                           "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    bool presented = visit.last_id[0] != '\0';
    length += snprintf(visit.request + length, sizeof(visit.request) - (size_t)length,
                       "GET /sessions/%s/events%s HTTP/1.%u\r\nHost: x\r\n%s%s%s%s\r\n", truth_name(visit.session),
                       chance(swarm, 20) && !presented ? "?from=now" : "", chance(swarm, 80) ? 1 : 0,
                       chance(swarm, 30) ? "Accept: application/x-ndjson\r\n" : "",
                       presented ? "Last-Event-ID: " : "", visit.last_id, presented ? "\r\n" : "");
    assert_true((size_t)length < sizeof(visit.request));
    visit.request_length = (size_t)length;
    visit.peer = rig_connect(&swarm->rig);
    feed_more(swarm, &visit, chance(swarm, 70));
    swarm->visits[swarm->visit_count++] = visit;
}

static void step_publish(struct swarm *swarm) {
    static const unsigned bursts[] = {1, 1, 1, 3, 10, 100};
    unsigned session = (unsigned)draw(swarm, TRUTH_SESSIONS);
    for (unsigned i = PICK(swarm, bursts); i > 0; i--)
        truth_publish(&swarm->truth, &swarm->rig, session);
}

static void step_peer(struct swarm *swarm) {
    if (swarm->visit_count == 0) return;
    struct visit *visit = &swarm->visits[draw(swarm, swarm->visit_count)];
    switch (draw(swarm, 30)) {
    case 0:
        if (!visit->left) simulated_reset(visit->peer);
        visit->left = true;
        break;
    case 1:
        if (!visit->left) simulated_finish(visit->peer);
        visit->left = true;
        break;
    case 2:
        if (!visit->left && visit->request_fed == visit->request_length) rig_feed(visit->peer, "GET / HTTP/1.1\r\n");
        break;
    case 3:
        simulated_set_window(visit->peer, 0);
        break;
    case 4:
        simulated_set_window(visit->peer, 1 + draw(swarm, 2000));
        break;
    case 5:
        simulated_set_window(visit->peer, SIZE_MAX);
        break;
    case 6:
    case 7:
        simulated_read(visit->peer, NULL, draw(swarm, 5000));
        break;
    default:
        feed_more(swarm, visit, false);
    }
}

static void step_other_request(struct swarm *swarm) {
    static const char *const requests[] = {
        "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /sessions/other/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "POST /sessions/other/events HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhello",
        "POST /sessions/other/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\nhel",
        "POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "DELETE /sessions/a HTTP/1.1\r\nHost: x\r\n\r\nGET /sessions/a HTTP/1.1\r\nHost: x\r\n\r\n",
        "PUT /sessions/b HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "GET /sessions/c HTTP/1.1\r\nHo",
        "\r\n\r\n\r\n\r\n",
        "",
    };
    struct simulated_peer *peer;
    if (swarm->other_count < OTHERS_MAX) {
        peer = swarm->others[swarm->other_count++] = rig_connect(&swarm->rig);
    } else {
        peer = swarm->others[draw(swarm, OTHERS_MAX)];
        if (chance(swarm, 50)) simulated_reset(peer);
        return;
    }
    if (chance(swarm, 20)) simulated_set_window(peer, draw(swarm, 100));
    rig_feed(peer, PICK(swarm, requests));
    if (chance(swarm, 50)) simulated_finish(peer);
}

static void step(struct swarm *swarm) {
    uint64_t what = draw(swarm, 100);
    if (what < 20)
        step_publish(swarm);
    else if (what < 26)
        step_subscribe(swarm, VISITS_MAX - LATE_VISITS);
    else if (what < 55)
        step_peer(swarm);
    else if (what < 60)
        step_other_request(swarm);
    else if (what < 61)
        weir_session_terminate(rig_session(&swarm->rig, truth_name((unsigned)draw(swarm, TRUTH_SESSIONS))));
    else if (what < 62) {
        struct simulated_faults faults = draw_faults(swarm);
        simulated_set_faults(swarm->rig.backend, &faults);
    } else if (what < 90) {
        for (uint64_t i = draw(swarm, 8); i > 0; i--)
            reactor_turn(swarm->rig.reactor, 0);
    } else {
        rig_run(&swarm->rig, 1 + (uint32_t)draw(swarm, what < 99 ? 20 : 1000));
    }
}

/* ---- The end ------------------------------------------------------------------------------------------------------ */

/* Faults stop: everybody who is still there reaches the newest event. */
static void settle(struct swarm *swarm) {
    struct simulated_faults none = {0};
    simulated_set_faults(swarm->rig.backend, &none);
    for (unsigned i = 0; i < swarm->visit_count; i++) {
        simulated_set_window(swarm->visits[i].peer, SIZE_MAX);
    }
    for (unsigned i = 0; i < LATE_VISITS; i++)
        step_subscribe(swarm, VISITS_MAX);
    for (unsigned i = 0; i < swarm->visit_count; i++)
        feed_more(swarm, &swarm->visits[i], true);
    rig_run(&swarm->rig, 300); /* an accept that failed before is tried again after 100 */
    for (unsigned session = 0; session < TRUTH_SESSIONS; session++)
        truth_publish(&swarm->truth, &swarm->rig, session);
    rig_run(&swarm->rig, 50);
}

static void check_visits(struct swarm *swarm, struct tally *tally) {
    for (unsigned i = 0; i < swarm->visit_count; i++) {
        const struct visit *visit = &swarm->visits[i];
        struct visit_result result = visit_check(&swarm->truth, visit);
        tally->visits += result.began;
        tally->events += result.events;
        tally->gaps += result.gaps;
        const struct connection *connection = rig_connection(&swarm->rig, visit->peer);
        if (connection == NULL || connection->stream == NULL || connection->stream->ended) continue;
        const struct truth_life *life = truth_current(&swarm->truth, &swarm->rig, visit->session);
        assert_true(result.began && result.positioned);
        assert_string_equal(result.epoch, life->epoch);
        assert_int_equal(result.next, life->newest + 1);
        tally->alive++;
    }
    for (unsigned i = 0; i < swarm->other_count; i++) {
        size_t length;
        const char *data = simulated_sent(swarm->others[i], &length);
        struct answer answer;
        while (length > 0 && answer_read(data, length, false, &answer)) {
            data += answer.size;
            length -= answer.size;
        }
    }
}

static uint64_t hash_everything(const struct swarm *swarm) {
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (unsigned i = 0; i < swarm->visit_count; i++) {
        size_t length;
        const char *data = simulated_sent(swarm->visits[i].peer, &length);
        for (size_t k = 0; k < length; k++)
            hash = (hash ^ (unsigned char)data[k]) * UINT64_C(0x100000001B3);
        hash ^= length;
    }
    return hash ^ simulated_now_ns(swarm->rig.backend);
}

static void end(struct swarm *swarm) {
    uint64_t how = draw(swarm, 3);
    if (how == 0) {
        reactors_control(&swarm->rig.shared, CONTROL_DRAIN);
        rig_run(&swarm->rig, swarm->rig.shared.config.drain_ms + 2100);
        assert_true(swarm->rig.reactor->finished);
    } else if (how == 1) {
        struct simulated_faults faults = draw_faults(swarm);
        simulated_set_faults(swarm->rig.backend, &faults);
        reactors_control(&swarm->rig.shared, CONTROL_STOP);
        rig_run(&swarm->rig, 200);
        assert_true(swarm->rig.reactor->finished);
    }
    rig_close(&swarm->rig);
}

static uint64_t run(uint64_t seed, struct tally *tally) {
    struct swarm *swarm = calloc(1, sizeof(*swarm));
    assert_non_null(swarm);
    running_seed = seed;
    swarm->random = seed * UINT64_C(0xD1342543DE82EF95);
    struct rig_options options = draw_options(swarm);
    failing =
        (struct failing_memory){.random = seed, .per_mille = chance(swarm, 30) ? 1 + (unsigned)draw(swarm, 30) : 0};
    rig_open(&swarm->rig, &options);
    for (unsigned i = 0; i < STEPS; i++)
        step(swarm);
    settle(swarm);
    check_visits(swarm, tally);
    uint64_t hash = hash_everything(swarm);
    end(swarm);
    assert_int_equal(failing.engine_blocks, 0);
    free(swarm);
    running_seed = 0;
    return hash;
}

static void test_nothing_is_lost_repeated_or_torn_whatever_happens(void **state) {
    (void)state;
    struct tally tally = {0};
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++)
        run(seed, &tally);
    print_message("%llu seeds: %u streams got %u events and %u gaps; %u were there at the end\n",
                  (unsigned long long)seed_count, tally.visits, tally.events, tally.gaps, tally.alive);
    assert_true(tally.alive > seed_count && tally.gaps > seed_count); /* the runs are about something */
}

static void test_a_seed_gives_the_same_bytes_twice(void **state) {
    (void)state;
    struct tally tally = {0};
    for (uint64_t seed = first_seed; seed < first_seed + 3; seed++) {
        uint64_t once = run(seed, &tally);
        assert_int_equal(run(seed, &tally), once);
    }
}

static int tell_seed(void **state) {
    (void)state;
    if (running_seed != 0) print_error("the seed was %llu\n", (unsigned long long)running_seed);
    return 0;
}

int main(int count, char **arguments) {
    if (count > 1) first_seed = strtoull(arguments[1], NULL, 10);
    if (count > 2) seed_count = strtoull(arguments[2], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_nothing_is_lost_repeated_or_torn_whatever_happens, tell_seed),
        cmocka_unit_test_teardown(test_a_seed_gives_the_same_bytes_twice, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
