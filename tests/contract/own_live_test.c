/* Live delivery and backpressure: what no test of the other systems asserts. What needs two threads is own_wait_test.c
 * and own_races_test.c. */
#include "support.h"

#include "notices.h"
#include "support/random.h"

#define DEPTH 3u

/* ---- Sends that find nobody ----------------------------------------------------------------------------------- */

static void liv_06_a_send_to_an_unknown_session_is_a_drop_and_no_error(void **state) {
    (void)state;
    struct fixture fixture;
    weir_receipt receipt;
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_SSE_REGISTRY, config);
    memset(&receipt, 0xFF, sizeof(receipt));
    assert_int_equal(try_send(&fixture, "nobody", 0, &receipt), WEIR_OK);
    assert_int_equal(receipt.stored, 0);
    assert_int_equal(receipt.live, WEIR_LIVE_NONE);
    assert_int_equal(receipt.generation, 0);
    assert_false(is_known(&fixture, "nobody"));
    weir_stats stats = stats_of(fixture.engine);
    assert_int_equal(stats.published, 0);
    assert_int_equal(stats.sessions_created, 0);
    fixture_close(&fixture);
}

/* Whatever the rules say about unknown names: none at all is the caller's mistake. */
static void liv_07_a_send_without_a_name_is_invalid(void **state) {
    (void)state;
    for (int preset = WEIR_PRESET_WEIR; preset <= WEIR_PRESET_HUB; preset++) {
        struct fixture fixture;
        const weir_message message = {.data = "x", .length = 1};
        weir_config config = WEIR_CONFIG_INIT;
        system_open(&fixture, (weir_preset_name)preset, config);
        assert_int_equal(weir_send(fixture.producer, NULL, 0, &message, NULL), WEIR_INVALID);
        assert_int_equal(weir_send(fixture.producer, NULL, 3, &message, NULL), WEIR_INVALID);
        assert_int_equal(weir_send(fixture.producer, "", 0, &message, NULL), WEIR_INVALID);
        assert_int_equal(stats_of(fixture.engine).published, 0);
        fixture_close(&fixture);
    }
}

/* ---- What a consumer gets in which order ---------------------------------------------------------------------- */

/* Ids only ever rise. Where one is passed over that cannot be had any more, one gap says so, or nobody does where that is
 * the rule; it is counted all the same. */
static void liv_16_ids_rise_and_every_step_is_named_or_passed_over_by_rule(void **state) {
    (void)state;
    for (int signal = WEIR_GAP_SIGNAL_EVENT; signal <= WEIR_GAP_SIGNAL_OFF; signal++) {
        struct fixture fixture;
        struct listener listener;
        weir_config config = WEIR_CONFIG_INIT;
        config.replay_capacity = 8;
        config.queue_depth = DEPTH;
        config.rules.full_action = WEIR_POLICY_SKIP;
        config.rules.gap_signal = (weir_gap_signal)signal;
        fixture_open(&fixture, &config);
        listener_attach(&fixture, &listener, "s", DEPTH);
        uint64_t last = 0;
        uint64_t lost = 0;
        for (uint64_t burst = 1; burst <= 12; burst++) {
            uint64_t newest = publish_numbers(&fixture, listener.session, burst);
            uint64_t oldest = burst > DEPTH ? newest + 1 - DEPTH : last + 1;
            if (oldest > last + 1 && signal == WEIR_GAP_SIGNAL_EVENT)
                expect_gap(listener.session, &listener.cursor, last + 1, oldest - 1);
            lost += oldest - (last + 1);
            for (uint64_t id = oldest; id <= newest; id++) {
                uint64_t number;
                weir_event event;
                weir_gap gap;
                assert_int_equal(weir_read(listener.session, &listener.cursor, &number, 8, &event, &gap), WEIR_OK);
                assert_int_equal(event.sequence, id);
                assert_int_equal(number, id);
                assert_true(event.sequence > last);
                last = id;
            }
            expect_nothing(&listener);
            assert_int_equal(stats_of(fixture.engine).lost, lost);
        }
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

/* ---- How streams end ------------------------------------------------------------------------------------------ */

struct stage {
    struct fixture fixture;
    struct notices notices;
    struct listener listener;
    struct listener other;
};

static void displace(struct stage *stage) {
    listener_attach(&stage->fixture, &stage->other, "s", DEPTH);
}
static void detach(struct stage *stage) {
    assert_int_equal(weir_detach(stage->listener.session, stage->listener.cursor.generation), WEIR_OK);
}
static void overflow(struct stage *stage) {
    assert_int_equal(try_send(&stage->fixture, "s", 4, NULL), WEIR_OK);
}
static void be_refused_too_often(struct stage *stage) {
    assert_int_equal(try_send(&stage->fixture, "s", 4, NULL), WEIR_FULL);
    assert_int_equal(try_send(&stage->fixture, "s", 4, NULL), WEIR_EVICTED);
}
static void outlive_the_token(struct stage *stage) {
    advance_s(&stage->fixture, 11);
    assert_int_equal(try_send(&stage->fixture, "s", 4, NULL), WEIR_TOKEN_EXPIRED);
}
static void terminate(struct stage *stage) {
    assert_int_equal(weir_session_terminate(stage->listener.session), WEIR_OK);
}
static void shut_down(struct stage *stage) {
    weir_engine_shut_down(stage->fixture.engine);
}
static void expire(struct stage *stage) {
    advance_s(&stage->fixture, 3600);
    assert_int_equal(sweep_for(&stage->fixture, WEIR_SWEEP_IDLE, 0).count, 1);
}
static void keep_silent(struct stage *stage) {
    advance_s(&stage->fixture, 5);
    assert_int_equal(sweep_for(&stage->fixture, WEIR_SWEEP_CONSUMERS, 0).count, 0); /* the session stays */
}

static const struct {
    void (*cause)(struct stage *stage);
    weir_policy policy;
    int status;
    weir_end_reason reason;
    const char *name;
    int session_stays;
} endings[] = {
    {displace, WEIR_POLICY_DETACH, WEIR_END, WEIR_ENDED_DISPLACED, "displaced", 1},
    {detach, WEIR_POLICY_DETACH, WEIR_END, WEIR_ENDED_DETACHED, "detached", 1},
    {overflow, WEIR_POLICY_DETACH, WEIR_LAGGED, WEIR_ENDED_LAGGING, "lagging", 1},
    {overflow, WEIR_POLICY_EVICT, WEIR_LAGGED, WEIR_ENDED_OVERFLOW, "overflow", 0},
    {be_refused_too_often, WEIR_POLICY_REFUSE, WEIR_LAGGED, WEIR_ENDED_OVERFLOW, "overflow", 0},
    {outlive_the_token, WEIR_POLICY_REFUSE, WEIR_END, WEIR_ENDED_TOKEN, "auth_failed", 0},
    {terminate, WEIR_POLICY_DETACH, WEIR_END, WEIR_ENDED_TERMINATED, "terminated", 0},
    {shut_down, WEIR_POLICY_DETACH, WEIR_END, WEIR_ENDED_SHUT_DOWN, "shut_down", 0},
    {expire, WEIR_POLICY_DETACH, WEIR_END, WEIR_ENDED_EXPIRED, "expired", 0},
    {keep_silent, WEIR_POLICY_DETACH, WEIR_END, WEIR_ENDED_SILENT, "silent", 1},
};

static void open_stage(struct stage *stage, weir_policy policy) {
    weir_config config = WEIR_CONFIG_INIT;
    memset(stage, 0, sizeof(*stage));
    config.replay_capacity = 8;
    config.queue_depth = DEPTH;
    config.idle_ttl_ms = 3600u * 1000;
    config.consumer_ttl_ms = 5000;
    config.rules.idle_scope = WEIR_IDLE_ALL;
    config.rules.activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_ATTACH | WEIR_ACTIVE_SEND;
    config.observer = notices_observer(&stage->notices);
    fixture_open(&stage->fixture, &config);
    weir_subscription how = from_now(&stage->fixture, DEPTH);
    how.policy = policy;
    how.full_consecutive_max = policy == WEIR_POLICY_REFUSE ? 1 : 0;
    how.token_expiry_s = wall_s(&stage->fixture) + 10;
    assert_int_equal(listener_attach_as(&stage->fixture, &stage->listener, "s", &how), WEIR_OK);
}

/* WK-09, WK-12, C-08, C-09: the queue is full to the last place when the end comes, and the reason is not lost: first
 * what is queued, then that one reason, however often one asks; and the observer hears it once. */
static void liv_17_what_is_queued_comes_first_and_then_the_one_reason(void **state) {
    (void)state;
    for (size_t e = 0; e < sizeof(endings) / sizeof(endings[0]); e++) {
        struct stage stage;
        open_stage(&stage, endings[e].policy);
        uint64_t generation = stage.listener.cursor.generation;
        send_numbers(&stage.fixture, "s", 1, DEPTH);
        endings[e].cause(&stage);
        for (uint64_t queued = 1; queued <= DEPTH; queued++)
            expect_number(stage.listener.session, &stage.listener.cursor, queued);
        expect_over(&stage.listener, endings[e].status, endings[e].reason);
        assert_string_equal(weir_end_reason_name(endings[e].reason), endings[e].name);
        assert_int_equal(is_known(&stage.fixture, "s"), endings[e].session_stays);
        listener_leave(&stage.listener);
        assert_int_equal(notices_count(&stage.notices, WEIR_NOTICE_CLOSED, "s", endings[e].reason), 1);
        uint32_t told = 0;
        for (uint32_t i = 0; i < stage.notices.count; i++)
            told += stage.notices.noted[i].notice.kind == WEIR_NOTICE_CLOSED &&
                    stage.notices.noted[i].notice.generation == generation;
        assert_int_equal(told, 1);
        if (stage.other.session != NULL) listener_leave(&stage.other);
        fixture_close(&stage.fixture);
    }
}

/* ---- Counting fulls ------------------------------------------------------------------------------------------- */

/* The two counters as the rules state them, beside the real thing. */
struct counters {
    uint32_t consecutive_max;
    uint32_t total_max;
    uint32_t consecutive;
    uint32_t total;
};

static int verdict_of_full(struct counters *counters) {
    int over = counters->consecutive >= counters->consecutive_max ||
               (counters->total_max != 0 && counters->total >= counters->total_max);
    counters->consecutive++;
    counters->total++;
    return over ? WEIR_EVICTED : WEIR_FULL;
}

/* Sends and reads at random until the session is evicted, or for a long time; returns whether it was. */
static int play_fulls(struct fixture *fixture, struct counters *counters, uint32_t depth, struct random *random) {
    struct listener listener;
    weir_attachment_info info;
    weir_subscription how = from_now(fixture, depth);
    how.policy = WEIR_POLICY_REFUSE;
    how.full_consecutive_max = counters->consecutive_max;
    how.full_total_max = counters->total_max;
    assert_int_equal(listener_attach_as(fixture, &listener, "s", &how), WEIR_OK);
    uint64_t next = listener.cursor.next;
    uint64_t read = next;
    int status = WEIR_OK;
    for (int step = 0; step < 2000 && status != WEIR_EVICTED; step++) {
        if (random_below(random, 3) == 0 && read < next) {
            expect_number(listener.session, &listener.cursor, read++);
            continue;
        }
        status = try_send(fixture, "s", next, NULL);
        if (next - read < depth) {
            assert_int_equal(status, WEIR_OK);
            counters->consecutive = 0;
            next++;
            continue;
        }
        assert_int_equal(status, verdict_of_full(counters));
        if (status == WEIR_EVICTED) break;
        assert_int_equal(attachment_info_of(fixture, "s", &info), WEIR_FULL);
        assert_int_equal(info.drops_consecutive, counters->consecutive);
        assert_int_equal(info.drops_total, counters->total);
    }
    listener_leave(&listener);
    weir_session_remove(fixture->engine, "s", 1);
    return status == WEIR_EVICTED;
}

/* BKP-04 to BKP-07 as one machine: for any string of accepted and full, with any bounds, the verdict is the machine's. */
static void c_03_two_bounds_and_an_action_decide_about_a_full_queue(void **state) {
    (void)state;
    static const struct counters bounds[] = {
        {10, 50, 0, 0}, {1, 0, 0, 0}, {3, 7, 0, 0}, {1023, 4, 0, 0}, {2, 2, 0, 0}};
    struct random random = random_start(random_seed(), 1);
    for (int b = 0; b < 5; b++)
        for (uint32_t depth = 1; depth <= 4; depth++)
            for (int again = 0; again < 20; again++) {
                struct fixture fixture;
                struct counters counters = bounds[b];
                weir_config config = WEIR_CONFIG_INIT;
                config.replay_capacity = WEIR_NONE;
                config.queue_depth = 8;
                fixture_open(&fixture, &config);
                int evicted = play_fulls(&fixture, &counters, depth, &random);
                assert_int_equal(stats_of(fixture.engine).evicted_overflow, evicted);
                fixture_close(&fixture);
            }
}

static void c_03_without_bounds_a_refusing_queue_refuses_for_ever(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    fixture_open(&fixture, NULL);
    weir_subscription how = from_now(&fixture, 1);
    how.policy = WEIR_POLICY_REFUSE;
    assert_int_equal(listener_attach_as(&fixture, &listener, "s", &how), WEIR_OK);
    send_number(&fixture, "s", 1);
    for (int i = 0; i < 70000; i++) /* past what 16 bits count */
        assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_FULL);
    expect_live(&listener, 1, 1);
    send_number(&fixture, "s", 2);
    expect_live(&listener, 2, 2);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* C-21: looking at a full queue, and heartbeats that are the writer's own, count as nothing; and the end of a stream takes
 * no place in its queue. */
static void bkp_14_probes_and_heartbeats_count_as_no_full(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_attachment_info info;
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_REALTIME, config);
    listener_attach(&fixture, &listener, "s", 1);
    send_number(&fixture, "s", info_of(listener.session).newest + 1);
    for (int probe = 0; probe < 100; probe++) {
        int published = 1;
        assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_FULL);
        assert_int_equal(weir_heartbeat_publish(fixture.producer, listener.session, "", 0, &published), WEIR_OK);
        assert_int_equal(published, 0);
        assert_int_equal(info.drops_consecutive, 0);
        assert_int_equal(info.drops_total, 0);
        assert_int_equal(info.backlog, 1);
    }
    assert_int_equal(stats_of(fixture.engine).live_full, 0);
    assert_int_equal(try_send(&fixture, "s", 9, NULL), WEIR_FULL); /* and this does */
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_FULL);
    assert_int_equal(info.drops_total, 1);
    assert_int_equal(weir_detach(listener.session, listener.cursor.generation), WEIR_OK);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_CLOSED);
    assert_int_equal(info.drops_total, 1);
    listener_leave(&listener);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(liv_06_a_send_to_an_unknown_session_is_a_drop_and_no_error),
        cmocka_unit_test(liv_07_a_send_without_a_name_is_invalid),
        cmocka_unit_test(liv_16_ids_rise_and_every_step_is_named_or_passed_over_by_rule),
        cmocka_unit_test(liv_17_what_is_queued_comes_first_and_then_the_one_reason),
        cmocka_unit_test(c_03_two_bounds_and_an_action_decide_about_a_full_queue),
        cmocka_unit_test(c_03_without_bounds_a_refusing_queue_refuses_for_ever),
        cmocka_unit_test(bkp_14_probes_and_heartbeats_count_as_no_full),
    };
    return RUN_TESTS(argc, argv, tests);
}
