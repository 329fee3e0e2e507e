/* An end is one caller's, also when two reasons for it meet: what a terminate ends between the two steps of an eviction is
 * the terminate's, and the eviction has ended nothing. BKP-12, TOK-03, TOK-14. */
#include "engine/fixture.h"

#include "base/mark.h"

static weir_session *overtaken; /* the session that is terminated in the middle of its eviction */
static int terminated;

/* Somebody else's turn, at just that step. */
void weir_test_mark(enum mark mark) {
    weir_session *session = overtaken;
    if (mark != MARK_EVICTION_MARKED || session == NULL) return;
    overtaken = NULL;
    terminated = weir_session_terminate(session);
}

static void count_ended(void *context, weir_session *session, weir_end_reason reason) {
    (void)session;
    (void)reason;
    ++*(int *)context;
}

static void a_sweep_that_a_terminate_overtakes_has_ended_nothing(void **state) {
    (void)state;
    struct fixture fixture;
    weir_cursor cursor;
    int told = 0;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    weir_subscription how = {.policy = WEIR_POLICY_DETACH, .token_expiry_s = 1};
    weir_sweep sweep = {.what = WEIR_SWEEP_TOKENS, .ended = count_ended, .context = &told};
    assert_int_equal(weir_attach(session, &how, &cursor, NULL), WEIR_OK);
    overtaken = session;
    assert_int_equal(weir_engine_sweep_for(fixture.engine, &sweep), 0);
    assert_int_equal(terminated, WEIR_OK);
    assert_int_equal(told, 0);
    assert_int_equal(info_of(session).ended, WEIR_ENDED_TERMINATED);
    assert_int_equal(stats_of(fixture.engine).sessions_ended, 1);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

static void an_offer_that_a_terminate_overtakes_has_evicted_nobody(void **state) {
    (void)state;
    struct fixture fixture;
    weir_cursor cursor;
    const weir_message message = {.data = "x", .length = 1};
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    weir_subscription how = {.policy = WEIR_POLICY_REFUSE, .queue_depth = 1, .full_total_max = 1};
    assert_int_equal(weir_attach(session, &how, &cursor, NULL), WEIR_OK);
    assert_int_equal(weir_offer(fixture.producer, session, &message, NULL), WEIR_OK);
    assert_int_equal(weir_offer(fixture.producer, session, &message, NULL), WEIR_FULL);
    overtaken = session;
    assert_int_equal(weir_offer(fixture.producer, session, &message, NULL), WEIR_FULL);
    assert_int_equal(terminated, WEIR_OK);
    assert_int_equal(stats_of(fixture.engine).evicted_overflow, 0);
    assert_int_equal(weir_offer(fixture.producer, session, &message, NULL), WEIR_CLOSED);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_that_a_terminate_overtakes_has_ended_nothing),
        cmocka_unit_test(an_offer_that_a_terminate_overtakes_has_evicted_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
