/* What the observer is told: that a consumer falls behind and has caught up (75 % and 37.5 % of its queue), that an
 * attachment has ended (C-05), that a session has, and that a stream goes on past its token (TOK-13). Each once. */
#include "fixture.h"

#include "contract/notices.h"

struct stage {
    struct fixture fixture;
    struct notices notices;
    weir_session *session;
    weir_cursor cursor;
};

static void open_stage(struct stage *stage, weir_config config) {
    config.observer = notices_observer(&stage->notices);
    fixture_open(&stage->fixture, &config);
    stage->session = fixture_session(&stage->fixture, "watched");
}

static weir_config config_of(uint32_t capacity) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = capacity;
    return config;
}

static void close_stage(struct stage *stage) {
    weir_unsubscribe(stage->session, &stage->cursor);
    weir_session_release(stage->session);
    fixture_close(&stage->fixture);
}

static uint32_t count_of(const struct stage *stage, weir_notice_kind kind) {
    return notices_of(&stage->notices, kind, "watched");
}

/* How often each has been told, and with which backlog the last time. */
static void expect_told(const struct stage *stage, uint32_t slow, uint32_t recovered, uint64_t backlog) {
    assert_int_equal(count_of(stage, WEIR_NOTICE_SLOW), slow);
    assert_int_equal(count_of(stage, WEIR_NOTICE_RECOVERED), recovered);
    weir_notice_kind last = slow > recovered ? WEIR_NOTICE_SLOW : WEIR_NOTICE_RECOVERED;
    if (slow + recovered == 0) return;
    const weir_notice *notice = notices_last(&stage->notices, last);
    assert_int_equal(notice->backlog, backlog);
    assert_int_equal(notice->generation, stage->cursor.generation);
    assert_int_equal(notice->queue_depth, stage->cursor.queue_depth);
    assert_int_equal(notice->session_length, strlen("watched"));
}

static void read_numbers(struct stage *stage, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        expect_number(stage->session, &stage->cursor, stage->cursor.next);
}

static void attach(struct stage *stage, weir_policy policy, uint32_t depth, uint32_t acknowledged) {
    const weir_subscription how = {.policy = policy, .queue_depth = depth, .acknowledged = acknowledged};
    assert_int_equal(weir_attach(stage->session, &how, &stage->cursor, NULL), WEIR_OK);
}

/* ---- Slow and recovered ------------------------------------------------------------------------------------- */

/* Of an attached consumer the publish that makes it slow tells; its reading, that it has recovered. */
static void an_attached_consumer_is_slow_past_three_quarters_and_once(void **state) {
    (void)state;
    static const weir_policy policies[] = {WEIR_POLICY_DETACH, WEIR_POLICY_REFUSE, WEIR_POLICY_SKIP,
                                           WEIR_POLICY_CONFLATE};
    for (int i = 0; i < 4; i++) {
        struct stage stage;
        open_stage(&stage, config_of(64));
        attach(&stage, policies[i], 16, 0);
        for (uint32_t round = 0; round < 3; round++) {
            publish_numbers(&stage.fixture, stage.session, 12);
            expect_told(&stage, round, round, 5); /* 75 % is not past it */
            publish_numbers(&stage.fixture, stage.session, 1);
            expect_told(&stage, round + 1, round, 13);
            publish_numbers(&stage.fixture, stage.session, 3);
            expect_told(&stage, round + 1, round, 13);
            read_numbers(&stage, 10);
            expect_told(&stage, round + 1, round, 13); /* six are 37.5 %, and that is not below it */
            publish_numbers(&stage.fixture, stage.session, 10);
            expect_told(&stage, round + 1, round, 13); /* past it again, but it had not recovered */
            read_numbers(&stage, 11);
            expect_told(&stage, round + 1, round + 1, 5);
            read_numbers(&stage, 5);
            expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
            expect_told(&stage, round + 1, round + 1, 5);
        }
        close_stage(&stage);
    }
}

/* A subscriber finds out by itself, when it reads: what counts is what is left behind the event. */
static void a_subscriber_is_slow_past_three_quarters_and_once(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, config_of(64));
    stage.cursor = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 16, WEIR_OK);
    for (uint32_t round = 0; round < 3; round++) {
        publish_numbers(&stage.fixture, stage.session, 13);
        read_numbers(&stage, 1);
        expect_told(&stage, round, round, 5);
        publish_numbers(&stage.fixture, stage.session, 2);
        expect_told(&stage, round, round, 5);
        read_numbers(&stage, 1);
        expect_told(&stage, round + 1, round, 13);
        read_numbers(&stage, 7);
        expect_told(&stage, round + 1, round, 13);
        read_numbers(&stage, 1);
        expect_told(&stage, round + 1, round + 1, 5);
        read_numbers(&stage, 5);
        expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    }
    close_stage(&stage);
}

/* In a long queue it looks now and then only, and tells no later than that. */
static void a_long_queue_is_looked_at_now_and_then(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, config_of(256));
    stage.cursor = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 256, WEIR_OK);
    for (uint32_t round = 0; round < 3; round++) {
        publish_numbers(&stage.fixture, stage.session, 250);
        read_numbers(&stage, 16);
        assert_int_equal(count_of(&stage, WEIR_NOTICE_SLOW), round + 1);
        read_numbers(&stage, 250 - 16);
        expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
        assert_int_equal(count_of(&stage, WEIR_NOTICE_SLOW), round + 1);
        assert_int_equal(count_of(&stage, WEIR_NOTICE_RECOVERED), round + 1);
    }
    close_stage(&stage);
}

/* One that is still catching up with the start has no queue yet. */
static void who_has_not_caught_up_is_not_slow(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, config_of(64));
    publish_numbers(&stage.fixture, stage.session, 40);
    stage.cursor = subscribe(stage.session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 8, WEIR_OK);
    read_numbers(&stage, 40);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    expect_told(&stage, 0, 0, 0);
    close_stage(&stage);
}

/* Where places are free by acknowledging, or by moving on, that is what recovers. */
static void acknowledging_recovers_and_reading_does_not(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, config_of(64));
    attach(&stage, WEIR_POLICY_REFUSE, 8, 1);
    for (uint32_t round = 0; round < 3; round++) {
        uint64_t first = stage.cursor.next;
        publish_numbers(&stage.fixture, stage.session, 8);
        expect_told(&stage, round + 1, round, 7);
        read_numbers(&stage, 8);
        expect_told(&stage, round + 1, round, 7);
        weir_acknowledge(stage.session, &stage.cursor, first + 4);
        expect_told(&stage, round + 1, round, 7);
        weir_acknowledge(stage.session, &stage.cursor, first + 5);
        expect_told(&stage, round + 1, round + 1, 2);
        weir_acknowledge(stage.session, &stage.cursor, first + 7);
        expect_told(&stage, round + 1, round + 1, 2);
    }
    close_stage(&stage);
}

static void moving_the_cursor_recovers(void **state) {
    (void)state;
    for (int attached = 0; attached <= 1; attached++) {
        struct stage stage;
        open_stage(&stage, config_of(64));
        if (attached)
            attach(&stage, WEIR_POLICY_DETACH, 8, 0);
        else
            stage.cursor = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 8, WEIR_OK);
        publish_numbers(&stage.fixture, stage.session, 8);
        read_numbers(&stage, 1);
        expect_told(&stage, 1, 0, 7);
        weir_cursor_advance(stage.session, &stage.cursor, 9);
        expect_told(&stage, 1, 1, 0);
        close_stage(&stage);
    }
}

/* ---- Closed ------------------------------------------------------------------------------------------------- */

static void displace(struct stage *stage) {
    weir_cursor other;
    const weir_subscription how = {.policy = WEIR_POLICY_DETACH};
    assert_int_equal(weir_attach(stage->session, &how, &other, NULL), WEIR_OK);
    weir_unsubscribe(stage->session, &other); /* which is told, too: of another generation */
}
static void detach(struct stage *stage) {
    assert_int_equal(weir_detach(stage->session, stage->cursor.generation), WEIR_OK);
    assert_int_equal(weir_detach(stage->session, stage->cursor.generation), WEIR_OK); /* SES-09 */
}
static void leave(struct stage *stage) {
    weir_unsubscribe(stage->session, &stage->cursor);
}
static void overflow(struct stage *stage) {
    publish_numbers(&stage->fixture, stage->session, 5);
}
static void pass_time(struct stage *stage) {
    fake_clock_advance(&stage->fixture.clock, stage->fixture.engine, 60000);
    weir_engine_sweep_for(stage->fixture.engine, NULL);
    weir_engine_sweep_for(stage->fixture.engine, NULL);
}
static void terminate(struct stage *stage) {
    assert_int_equal(weir_session_terminate(stage->session), WEIR_OK);
    assert_int_equal(weir_session_terminate(stage->session), WEIR_CLOSED);
}
static void shut_down(struct stage *stage) {
    weir_engine_shut_down(stage->fixture.engine);
    weir_engine_shut_down(stage->fixture.engine);
}

struct way {
    void (*act)(struct stage *stage);
    weir_policy policy;
    uint64_t token_expiry_s;
    uint32_t consumer_ttl_ms;
    uint32_t absolute_ttl_ms;
    weir_end_reason closed;
    weir_end_reason ended;
};

static void check_way(const struct way *way, int published) {
    struct stage stage;
    weir_config config = config_of(16);
    config.consumer_ttl_ms = way->consumer_ttl_ms;
    config.absolute_ttl_ms = way->absolute_ttl_ms;
    config.idle_ttl_ms = WEIR_NONE;
    open_stage(&stage, config);
    const weir_subscription how = {
        .policy = way->policy, .queue_depth = 4, .token_expiry_s = way->token_expiry_s, .start = WEIR_START_NOW};
    if (published) publish_numbers(&stage.fixture, stage.session, 1);
    assert_int_equal(weir_attach(stage.session, &how, &stage.cursor, NULL), WEIR_OK);
    uint64_t generation = stage.cursor.generation;
    assert_int_equal(stage.notices.count, 0);
    way->act(&stage);
    weir_unsubscribe(stage.session, &stage.cursor); /* late, and nothing new */
    weir_unsubscribe(stage.session, &stage.cursor);
    uint32_t closed = 0;
    for (uint32_t i = 0; i < stage.notices.count; i++) {
        const weir_notice *notice = &stage.notices.noted[i].notice;
        if (notice->kind != WEIR_NOTICE_CLOSED || notice->generation != generation) continue;
        assert_string_equal(weir_end_reason_name(notice->reason), weir_end_reason_name(way->closed));
        closed++;
    }
    assert_int_equal(closed, 1);
    assert_int_equal(count_of(&stage, WEIR_NOTICE_ENDED), way->ended != WEIR_ENDED_NOT);
    if (way->ended != WEIR_ENDED_NOT)
        assert_int_equal(notices_last(&stage.notices, WEIR_NOTICE_ENDED)->reason, way->ended);
    close_stage(&stage);
}

/* C-05: whichever way an attachment ends it is told once, with its reason; and so is the session if that ends. */
static void c_05_the_end_of_an_attachment_is_told_once_with_its_reason(void **state) {
    (void)state;
    static const uint64_t soon = 1700000030;
    const struct way ways[] = {
        {displace, WEIR_POLICY_DETACH, 0, 0, 0, WEIR_ENDED_DISPLACED, WEIR_ENDED_NOT},
        {detach, WEIR_POLICY_DETACH, 0, 0, 0, WEIR_ENDED_DETACHED, WEIR_ENDED_NOT},
        {leave, WEIR_POLICY_DETACH, 0, 0, 0, WEIR_ENDED_PEER, WEIR_ENDED_NOT},
        {overflow, WEIR_POLICY_DETACH, 0, 0, 0, WEIR_ENDED_LAGGING, WEIR_ENDED_NOT},
        {overflow, WEIR_POLICY_EVICT, 0, 0, 0, WEIR_ENDED_OVERFLOW, WEIR_ENDED_OVERFLOW},
        {pass_time, WEIR_POLICY_DETACH, soon, 0, 0, WEIR_ENDED_TOKEN, WEIR_ENDED_TOKEN},
        {pass_time, WEIR_POLICY_DETACH, 0, 20000, 0, WEIR_ENDED_SILENT, WEIR_ENDED_NOT},
        {pass_time, WEIR_POLICY_DETACH, 0, 0, 20000, WEIR_ENDED_EXPIRED, WEIR_ENDED_EXPIRED},
        {terminate, WEIR_POLICY_DETACH, 0, 0, 0, WEIR_ENDED_TERMINATED, WEIR_ENDED_TERMINATED},
        {shut_down, WEIR_POLICY_DETACH, 0, 0, 0, WEIR_ENDED_SHUT_DOWN, WEIR_ENDED_SHUT_DOWN},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        for (int published = 0; published <= 1; published++)
            check_way(&ways[i], published);
}

/* A subscriber with a token, or one that is counted, is an attachment, too; without either it has nothing to close. */
static void a_subscribers_attachment_is_told_of_and_a_bare_cursor_is_not(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, config_of(16));
    stage.cursor = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 4, WEIR_OK);
    weir_unsubscribe(stage.session, &stage.cursor);
    assert_int_equal(stage.notices.count, 0);
    const weir_subscription counted = {.principal = "p", .principal_length = 1};
    assert_int_equal(weir_subscribe(stage.session, &counted, &stage.cursor, NULL), WEIR_OK);
    weir_unsubscribe(stage.session, &stage.cursor);
    assert_int_equal(notices_count(&stage.notices, WEIR_NOTICE_CLOSED, "watched", WEIR_ENDED_PEER), 1);
    const weir_subscription with_token = {.token_expiry_s = 1700000030};
    assert_int_equal(weir_subscribe(stage.session, &with_token, &stage.cursor, NULL), WEIR_OK);
    fake_clock_advance(&stage.fixture.clock, stage.fixture.engine, 60000);
    expect_status(stage.session, &stage.cursor, WEIR_END);
    expect_status(stage.session, &stage.cursor, WEIR_END);
    weir_unsubscribe(stage.session, &stage.cursor);
    assert_int_equal(notices_count(&stage.notices, WEIR_NOTICE_CLOSED, "watched", WEIR_ENDED_TOKEN), 1);
    assert_int_equal(stage.notices.count, 2);
    assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_NOT); /* the token was one subscriber's */
    close_stage(&stage);
}

/* ---- Tokens that may be outlived ---------------------------------------------------------------------------- */

static void find_by_publishing(struct stage *stage) {
    publish_numbers(&stage->fixture, stage->session, 2);
    expect_numbers(stage->session, &stage->cursor, 1, 2, WEIR_EMPTY);
}
static void find_by_reading(struct stage *stage) {
    expect_status(stage->session, &stage->cursor, WEIR_EMPTY);
}
static void find_by_sweeping(struct stage *stage) {
    const weir_sweep tokens = {.what = WEIR_SWEEP_TOKENS};
    assert_int_equal(weir_engine_sweep_for(stage->fixture.engine, &tokens), 0);
}

/* TOK-13: whoever finds it tells it, the others find that it was told, and events go on. */
static void tok_13_a_token_that_may_be_outlived_is_told_once(void **state) {
    (void)state;
    void (*const ways[])(struct stage *) = {find_by_publishing, find_by_reading, find_by_sweeping};
    for (int first = 0; first < 3; first++) {
        struct stage stage;
        weir_config config = config_of(16);
        config.rules.token_policy = WEIR_TOKEN_CONTINUE;
        config.idle_ttl_ms = WEIR_NONE;
        open_stage(&stage, config);
        const weir_subscription how = {.policy = WEIR_POLICY_DETACH, .token_expiry_s = 1700000030};
        assert_int_equal(weir_attach(stage.session, &how, &stage.cursor, NULL), WEIR_OK);
        fake_clock_advance(&stage.fixture.clock, stage.fixture.engine, 29000);
        find_by_reading(&stage);
        assert_int_equal(stage.notices.count, 0); /* TOK-02: in its last second it is good */
        fake_clock_advance(&stage.fixture.clock, stage.fixture.engine, 1000);
        ways[first](&stage);
        assert_int_equal(count_of(&stage, WEIR_NOTICE_TOKEN_EXPIRED), 1);
        assert_int_equal(notices_last(&stage.notices, WEIR_NOTICE_TOKEN_EXPIRED)->generation,
                         stage.cursor.generation);
        for (int again = 0; again < 3; again++)
            if (ways[again] != find_by_publishing) ways[again](&stage);
        publish_numbers(&stage.fixture, stage.session, 1);
        expect_number(stage.session, &stage.cursor, stage.cursor.next);
        assert_int_equal(stage.notices.count, 1);
        close_stage(&stage);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attached_consumer_is_slow_past_three_quarters_and_once),
        cmocka_unit_test(a_subscriber_is_slow_past_three_quarters_and_once),
        cmocka_unit_test(a_long_queue_is_looked_at_now_and_then),
        cmocka_unit_test(who_has_not_caught_up_is_not_slow),
        cmocka_unit_test(acknowledging_recovers_and_reading_does_not),
        cmocka_unit_test(moving_the_cursor_recovers),
        cmocka_unit_test(c_05_the_end_of_an_attachment_is_told_once_with_its_reason),
        cmocka_unit_test(a_subscribers_attachment_is_told_of_and_a_bare_cursor_is_not),
        cmocka_unit_test(tok_13_a_token_that_may_be_outlived_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
