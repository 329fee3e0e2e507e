/* Limits by principal and by address, and those of all: who is one too many, what the refusal says, and that every way
 * out gives the place back. */
#include "fixture.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct stage {
    struct fixture fixture;
    weir_session *session;
    weir_session *other;
};

static void open_stage(struct stage *stage, const weir_config *config) {
    fixture_open(&stage->fixture, config);
    stage->session = fixture_session(&stage->fixture, "s");
    stage->other = fixture_session(&stage->fixture, "o");
}

static void close_stage(struct stage *stage) {
    weir_session_release(stage->session);
    weir_session_release(stage->other);
    fixture_close(&stage->fixture);
}

static weir_subscription from(const char *principal, const char *address) {
    weir_subscription how = {.principal = principal, .address = address};
    if (principal != NULL) how.principal_length = strlen(principal);
    if (address != NULL) how.address_length = strlen(address);
    return how;
}

static weir_cursor join(weir_session *session, const char *principal, const char *address) {
    weir_cursor cursor;
    weir_subscription how = from(principal, address);
    assert_string_equal(weir_status_name(weir_subscribe(session, &how, &cursor, NULL)), "WEIR_OK");
    return cursor;
}

/* Neither way in is open, the refusal says why, and nothing is left of the try. */
static void expect_refused_how(weir_session *session, weir_subscription how, int status, const char *code,
                               uint64_t limit, uint64_t current) {
    uint32_t subscribers = info_of(session).subscribers;
    uint64_t generation = info_of(session).generation;
    for (int attach = 0; attach <= 1; attach++) {
        weir_refusal refusal = {0, NULL, 77, 77};
        weir_cursor cursor;
        how.refusal = &refusal;
        int got = attach ? weir_attach(session, &how, &cursor, NULL) : weir_subscribe(session, &how, &cursor, NULL);
        assert_string_equal(weir_status_name(got), weir_status_name(status));
        assert_int_equal(refusal.status, status);
        assert_string_equal(refusal.code, code);
        assert_int_equal(refusal.limit, limit);
        assert_int_equal(refusal.current, current);
        assert_int_equal(cursor.generation, 0);
        weir_unsubscribe(session, &cursor); /* does nothing */
    }
    assert_int_equal(info_of(session).subscribers, subscribers);
    assert_int_equal(info_of(session).generation, generation);
}

static void expect_refused(weir_session *session, const char *principal, const char *address, int status,
                           const char *code, uint64_t limit) {
    expect_refused_how(session, from(principal, address), status, code, limit, limit);
}

/* ---- Subscribers -------------------------------------------------------------------------------------------- */

static void a_principal_has_so_many_subscribers_in_all_sessions(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursors[3];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_principal_subscribers = 3;
    open_stage(&stage, &config);
    cursors[0] = join(stage.session, "alice", NULL);
    cursors[1] = join(stage.session, "alice", "elsewhere");
    cursors[2] = join(stage.other, "alice", NULL);
    expect_refused(stage.session, "alice", NULL, WEIR_PRINCIPAL_LIMIT, "principal_limit", 3);
    expect_refused(stage.other, "alice", "there", WEIR_PRINCIPAL_LIMIT, "principal_limit", 3);
    weir_cursor bob = join(stage.session, "bob", NULL);
    weir_cursor nobody = join(stage.session, NULL, NULL);
    weir_unsubscribe(stage.session, &cursors[1]);
    cursors[1] = join(stage.session, "alice", NULL);
    expect_refused(stage.session, "alice", NULL, WEIR_PRINCIPAL_LIMIT, "principal_limit", 3);
    weir_unsubscribe(stage.session, &bob);
    weir_unsubscribe(stage.session, &nobody);
    for (int i = 0; i < 3; i++)
        weir_unsubscribe(i < 2 ? stage.session : stage.other, &cursors[i]);
    close_stage(&stage);
}

/* An address that says no gives the principal's place back, too. */
static void an_address_has_so_many_subscribers_and_both_limits_hold(void **state) {
    (void)state;
    struct stage stage;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_principal_subscribers = 2;
    config.max_address_subscribers = 1;
    open_stage(&stage, &config);
    weir_cursor first = join(stage.session, "alice", "10.0.0.1");
    for (int i = 0; i < 5; i++)
        expect_refused(stage.session, "alice", "10.0.0.1", WEIR_ADDRESS_LIMIT, "address_limit", 1);
    weir_cursor second = join(stage.session, "alice", "10.0.0.2");
    expect_refused(stage.session, "alice", "10.0.0.3", WEIR_PRINCIPAL_LIMIT, "principal_limit", 2);
    weir_cursor third = join(stage.session, "bob", "10.0.0.3"); /* the refusal has taken no address */
    weir_cursor nobody = join(stage.session, NULL, "10.0.0.4");
    expect_refused(stage.session, NULL, "10.0.0.4", WEIR_ADDRESS_LIMIT, "address_limit", 1);
    weir_unsubscribe(stage.session, &first);
    weir_unsubscribe(stage.session, &second);
    weir_unsubscribe(stage.session, &third);
    weir_unsubscribe(stage.session, &nobody);
    close_stage(&stage);
}

static void principals_and_addresses_are_any_bytes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t length;
    } texts[] = {{"", 0}, {"\0", 1}, {"\0\0", 2}, {"a", 1}, {"ab", 2}, {"a\0", 2}, {"\xFF\xFE\n", 3}};
    enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };
    struct stage stage;
    weir_cursor cursors[TEXTS];
    char longest[WEIR_OWNER_MAX + 1];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_principal_subscribers = 1;
    config.max_address_subscribers = 1;
    open_stage(&stage, &config);
    for (int i = 0; i < TEXTS; i++) { /* the same text for both: they are counted apart */
        const weir_subscription how = {.principal = texts[i].text,
                                       .principal_length = texts[i].length,
                                       .address = texts[i].text,
                                       .address_length = texts[i].length};
        assert_int_equal(weir_subscribe(stage.session, &how, &cursors[i], NULL), WEIR_OK);
        expect_refused_how(stage.session, how, WEIR_PRINCIPAL_LIMIT, "principal_limit", 1, 1);
    }
    memset(longest, 'x', sizeof(longest));
    weir_subscription how = {.principal = longest, .principal_length = WEIR_OWNER_MAX};
    weir_cursor cursor;
    assert_int_equal(weir_subscribe(stage.session, &how, &cursor, NULL), WEIR_OK);
    weir_unsubscribe(stage.session, &cursor);
    how.principal_length++;
    assert_int_equal(weir_subscribe(stage.session, &how, &cursor, NULL), WEIR_INVALID);
    for (int i = 0; i < TEXTS; i++)
        weir_unsubscribe(stage.session, &cursors[i]);
    close_stage(&stage);
}

static void the_limits_of_all_say_no_in_the_same_way(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursors[3];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_subscribers = 3;
    config.max_session_subscribers = 2;
    config.max_principal_subscribers = 1;
    open_stage(&stage, &config);
    cursors[0] = join(stage.session, "alice", NULL);
    cursors[1] = join(stage.session, NULL, NULL);
    expect_refused(stage.session, NULL, NULL, WEIR_SUBSCRIBERS_LIMIT, "subscribers_limit", 2);
    cursors[2] = join(stage.other, NULL, NULL);
    expect_refused(stage.other, NULL, NULL, WEIR_SUBSCRIBERS_LIMIT, "subscribers_limit", 3);
    expect_refused(stage.other, "bob", NULL, WEIR_SUBSCRIBERS_LIMIT, "subscribers_limit", 3);
    weir_unsubscribe(stage.other, &cursors[2]);
    cursors[2] = join(stage.other, "bob", NULL); /* the refusal has kept nothing of bob's */
    weir_unsubscribe(stage.other, &cursors[2]);
    weir_unsubscribe(stage.session, &cursors[1]);
    weir_unsubscribe(stage.session, &cursors[0]);
    close_stage(&stage);
}

/* ---- Every way out ------------------------------------------------------------------------------------------ */

static void leave(struct stage *stage, weir_cursor *cursor) {
    weir_unsubscribe(stage->session, cursor);
}
static void detach(struct stage *stage, weir_cursor *cursor) {
    assert_int_equal(weir_detach(stage->session, cursor->generation), WEIR_OK);
}
static void displace(struct stage *stage, weir_cursor *cursor) {
    weir_cursor next;
    weir_subscription how = from("bob", NULL);
    (void)cursor;
    assert_int_equal(weir_attach(stage->session, &how, &next, NULL), WEIR_OK);
    weir_unsubscribe(stage->session, &next);
}
static void overflow(struct stage *stage, weir_cursor *cursor) {
    publish_numbers(&stage->fixture, stage->session, cursor->queue_depth + 1);
}
static void terminate(struct stage *stage, weir_cursor *cursor) {
    (void)cursor;
    weir_session_terminate(stage->session);
}
static void sweep(struct stage *stage, weir_cursor *cursor) {
    (void)cursor;
    fake_clock_advance(&stage->fixture.clock, stage->fixture.engine, 60000);
    weir_engine_sweep_for(stage->fixture.engine, NULL);
}

/* At once, and not when the session's memory goes or the next one comes; and late clean-up gives nothing twice. */
static void whatever_ends_a_consumer_gives_its_places_back(void **state) {
    (void)state;
    static const struct {
        void (*act)(struct stage *stage, weir_cursor *cursor);
        weir_policy policy;
        uint64_t token_expiry_s;
        uint32_t consumer_ttl_ms;
    } ways[] = {
        {leave, WEIR_POLICY_SKIP, 0, 0},          {detach, WEIR_POLICY_SKIP, 0, 0},
        {displace, WEIR_POLICY_SKIP, 0, 0},       {overflow, WEIR_POLICY_DETACH, 0, 0},
        {overflow, WEIR_POLICY_EVICT, 0, 0},      {terminate, WEIR_POLICY_SKIP, 0, 0},
        {sweep, WEIR_POLICY_SKIP, 1700000030, 0}, {sweep, WEIR_POLICY_SKIP, 0, 20000},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct stage stage;
        weir_cursor cursor;
        weir_config config = WEIR_CONFIG_INIT;
        config.max_principal_subscribers = 1;
        config.max_address_subscribers = 1;
        config.consumer_ttl_ms = ways[i].consumer_ttl_ms;
        config.idle_ttl_ms = WEIR_NONE;
        open_stage(&stage, &config);
        weir_subscription how = from("alice", "here");
        how.policy = ways[i].policy;
        how.queue_depth = 4;
        how.token_expiry_s = ways[i].token_expiry_s;
        assert_int_equal(weir_attach(stage.session, &how, &cursor, NULL), WEIR_OK);
        expect_refused(stage.other, "alice", "here", WEIR_PRINCIPAL_LIMIT, "principal_limit", 1);
        ways[i].act(&stage, &cursor);
        weir_cursor again = join(stage.other, "alice", "here");
        weir_unsubscribe(stage.session, &cursor);
        expect_refused(stage.other, "alice", "here", WEIR_PRINCIPAL_LIMIT, "principal_limit", 1);
        weir_unsubscribe(stage.other, &again);
        close_stage(&stage);
    }
}

/* A subscriber that is only one of many is counted until it leaves: it reads what is left until then. */
static void a_subscriber_is_counted_until_it_leaves(void **state) {
    (void)state;
    struct stage stage;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_principal_subscribers = 1;
    open_stage(&stage, &config);
    weir_cursor cursor = join(stage.session, "alice", NULL);
    publish_numbers(&stage.fixture, stage.session, 2);
    weir_session_terminate(stage.session);
    expect_numbers(stage.session, &cursor, 1, 2, WEIR_END);
    expect_refused(stage.other, "alice", NULL, WEIR_PRINCIPAL_LIMIT, "principal_limit", 1);
    weir_unsubscribe(stage.session, &cursor);
    cursor = join(stage.other, "alice", NULL);
    weir_unsubscribe(stage.other, &cursor);
    close_stage(&stage);
}

/* A try that fails for another reason than the limit holds no place either. */
static void a_try_that_finds_the_queue_taken_keeps_no_place(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursor;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_principal_subscribers = 1;
    open_stage(&stage, &config);
    weir_cursor refusing = subscribe(stage.session, WEIR_START_OLDEST, WEIR_POLICY_REFUSE, 0, WEIR_OK);
    weir_subscription how = from("alice", NULL);
    how.policy = WEIR_POLICY_REFUSE;
    for (int i = 0; i < 5; i++)
        assert_int_equal(weir_subscribe(stage.session, &how, &cursor, NULL), WEIR_BUSY);
    cursor = join(stage.session, "alice", NULL);
    weir_unsubscribe(stage.session, &cursor);
    weir_unsubscribe(stage.session, &refusing);
    close_stage(&stage);
}

static void a_try_without_memory_keeps_no_place(void **state) {
    (void)state;
    uint64_t failures = 0;
    for (uint64_t at = 1; at <= 8; at++) {
        struct stage stage;
        weir_cursor cursor;
        weir_config config = WEIR_CONFIG_INIT;
        config.max_principal_subscribers = 1;
        config.max_address_subscribers = 1;
        open_stage(&stage, &config);
        weir_subscription how = from("alice", "here");
        u64_store_relaxed(&stage.fixture.memory.fail_at, u64_load_relaxed(&stage.fixture.memory.calls) + at);
        int status = weir_subscribe(stage.session, &how, &cursor, NULL);
        u64_store_relaxed(&stage.fixture.memory.fail_at, 0);
        if (status == WEIR_OK) {
            weir_unsubscribe(stage.session, &cursor);
        } else {
            assert_string_equal(weir_status_name(status), "WEIR_NO_MEMORY");
            failures++;
        }
        assert_int_equal(info_of(stage.session).subscribers, 0);
        cursor = join(stage.session, "alice", "here");
        expect_refused(stage.session, "alice", "there", WEIR_PRINCIPAL_LIMIT, "principal_limit", 1);
        expect_refused(stage.session, "bob", "here", WEIR_ADDRESS_LIMIT, "address_limit", 1);
        weir_unsubscribe(stage.session, &cursor);
        close_stage(&stage);
    }
    assert_true(failures >= 3);
}

/* ---- Sessions ----------------------------------------------------------------------------------------------- */

static int create(struct stage *stage, const char *name, const char *principal, weir_session **session,
                  weir_refusal *refusal) {
    const weir_owner owner = {"tenant", 6, principal, principal != NULL ? strlen(principal) : 0};
    return weir_session_create(stage->fixture.engine, name, strlen(name), &owner, session, refusal);
}

static void expect_no_more_sessions(struct stage *stage, const char *principal, uint64_t limit) {
    weir_refusal refusal;
    weir_session *session;
    assert_int_equal(create(stage, "one-more", principal, &session, &refusal), WEIR_PRINCIPAL_LIMIT);
    assert_null(session);
    assert_int_equal(refusal.status, WEIR_PRINCIPAL_LIMIT);
    assert_string_equal(refusal.code, "principal_limit");
    assert_int_equal(refusal.limit, limit);
    assert_int_equal(refusal.current, limit);
}

static void a_principal_creates_so_many_sessions(void **state) {
    (void)state;
    struct stage stage;
    weir_session *sessions[2];
    weir_session *extra;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_principal_sessions = 2;
    open_stage(&stage, &config);
    assert_int_equal(create(&stage, "a1", "alice", &sessions[0], NULL), WEIR_OK);
    assert_int_equal(create(&stage, "a2", "alice", &sessions[1], NULL), WEIR_OK);
    expect_no_more_sessions(&stage, "alice", 2);
    assert_int_equal(create(&stage, "b1", "bob", &extra, NULL), WEIR_OK);
    weir_session_release(extra);
    assert_int_equal(create(&stage, "n1", NULL, &extra, NULL), WEIR_OK); /* nobody's */
    weir_session_release(extra);
    extra = fixture_session(&stage.fixture, "n2"); /* and opening one is creating nobody's */
    weir_session_release(extra);
    /* A name that is taken costs nothing, whoever asks. */
    assert_int_equal(create(&stage, "a1", "carol", &extra, NULL), WEIR_BUSY);
    assert_int_equal(create(&stage, "c1", "carol", &extra, NULL), WEIR_OK);
    weir_session_release(extra);
    assert_int_equal(create(&stage, "c2", "carol", &extra, NULL), WEIR_OK);
    weir_session_release(extra);
    expect_no_more_sessions(&stage, "carol", 2);
    for (int i = 0; i < 2; i++)
        weir_session_release(sessions[i]);
    expect_no_more_sessions(&stage, "alice", 2); /* the registry has them */
    close_stage(&stage);
}

static void end_by_terminating(struct stage *stage, weir_session *session) {
    (void)stage;
    weir_session_terminate(session);
}
static void end_by_name(struct stage *stage, weir_session *session) {
    (void)session;
    assert_int_equal(weir_session_remove(stage->fixture.engine, "a1", 2), WEIR_OK);
}
static void end_by_sweep(struct stage *stage, weir_session *session) {
    (void)session;
    fake_clock_advance(&stage->fixture.clock, stage->fixture.engine, 60000);
    assert_true(weir_engine_sweep(stage->fixture.engine, 1000) > 0);
}

/* A session counts until its life is over: until then somebody still reads what it keeps. */
static void a_session_that_is_gone_gives_its_place_back(void **state) {
    (void)state;
    void (*const ends[])(struct stage *, weir_session *) = {end_by_terminating, end_by_name, end_by_sweep};
    for (int way = 0; way < 3; way++) {
        struct stage stage;
        weir_session *session;
        weir_config config = WEIR_CONFIG_INIT;
        config.max_principal_sessions = 1;
        config.idle_ttl_ms = 20000;
        open_stage(&stage, &config);
        assert_int_equal(create(&stage, "a1", "alice", &session, NULL), WEIR_OK);
        publish_numbers(&stage.fixture, session, 1);
        ends[way](&stage, session);
        expect_no_more_sessions(&stage, "alice", 1);
        weir_session_release(session);
        assert_int_equal(create(&stage, "a1", "alice", &session, NULL), WEIR_OK);
        expect_no_more_sessions(&stage, "alice", 1);
        weir_session_release(session);
        close_stage(&stage);
    }
}

static void the_limit_of_all_sessions_says_no_in_the_same_way(void **state) {
    (void)state;
    struct stage stage;
    weir_session *session;
    weir_refusal refusal;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 3;
    config.max_principal_sessions = 2;
    open_stage(&stage, &config); /* has two */
    assert_int_equal(create(&stage, "a1", "alice", &session, NULL), WEIR_OK);
    weir_session *kept = session;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(create(&stage, "a2", "alice", &session, &refusal), WEIR_SESSIONS_LIMIT);
        assert_string_equal(refusal.code, "sessions_limit");
        assert_int_equal(refusal.limit, 3);
        assert_int_equal(refusal.current, 3);
    }
    weir_session_terminate(stage.session);
    weir_session_release(stage.session);
    assert_int_equal(create(&stage, "a2", "alice", &stage.session, &refusal), WEIR_OK);
    weir_session_release(kept);
    close_stage(&stage);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

enum { THREADS = 4, ROUNDS = 3000, LIMIT = 2 };

struct contender {
    pthread_t thread;
    struct stage *stage;
    atomic_u64 *inside;
    uint64_t entered;
    bool over;
};

static void *contend(void *context) {
    struct contender *contender = (struct contender *)context;
    weir_session *session = contender->stage->session;
    for (int i = 0; i < ROUNDS; i++) {
        weir_cursor cursor;
        weir_subscription how = from("alice", NULL);
        how.start = i % 2 == 0 ? WEIR_START_OLDEST : WEIR_START_NOW;
        int status =
            i % 4 == 3 ? weir_attach(session, &how, &cursor, NULL) : weir_subscribe(session, &how, &cursor, NULL);
        if (status == WEIR_PRINCIPAL_LIMIT) continue;
        if (status != WEIR_OK) abort();
        /* One that is displaced has given its place back, so attached ones are not counted here. */
        if (i % 4 != 3) {
            if (u64_add_relaxed(contender->inside, 1) >= LIMIT) contender->over = true;
            contender->entered++;
            u64_subtract_relaxed(contender->inside, 1);
        }
        weir_unsubscribe(session, &cursor);
    }
    return NULL;
}

static void whoever_races_no_more_than_the_limit_are_in(void **state) {
    (void)state;
    struct stage stage;
    struct contender contenders[THREADS];
    atomic_u64 inside;
    weir_cursor cursors[LIMIT];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_principal_subscribers = LIMIT;
    u64_store_relaxed(&inside, 0);
    open_stage(&stage, &config);
    for (int i = 0; i < THREADS; i++) {
        contenders[i] = (struct contender){.stage = &stage, .inside = &inside};
        assert_int_equal(pthread_create(&contenders[i].thread, NULL, contend, &contenders[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(contenders[i].thread, NULL);
        assert_true(contenders[i].entered > 0);
        assert_false(contenders[i].over);
    }
    for (int i = 0; i < LIMIT; i++)
        cursors[i] = join(stage.session, "alice", NULL);
    expect_refused(stage.session, "alice", NULL, WEIR_PRINCIPAL_LIMIT, "principal_limit", LIMIT);
    for (int i = 0; i < LIMIT; i++)
        weir_unsubscribe(stage.session, &cursors[i]);
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_principal_has_so_many_subscribers_in_all_sessions),
        cmocka_unit_test(an_address_has_so_many_subscribers_and_both_limits_hold),
        cmocka_unit_test(principals_and_addresses_are_any_bytes),
        cmocka_unit_test(the_limits_of_all_say_no_in_the_same_way),
        cmocka_unit_test(whatever_ends_a_consumer_gives_its_places_back),
        cmocka_unit_test(a_subscriber_is_counted_until_it_leaves),
        cmocka_unit_test(a_try_that_finds_the_queue_taken_keeps_no_place),
        cmocka_unit_test(a_try_without_memory_keeps_no_place),
        cmocka_unit_test(a_principal_creates_so_many_sessions),
        cmocka_unit_test(a_session_that_is_gone_gives_its_place_back),
        cmocka_unit_test(the_limit_of_all_sessions_says_no_in_the_same_way),
        cmocka_unit_test(whoever_races_no_more_than_the_limit_are_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
