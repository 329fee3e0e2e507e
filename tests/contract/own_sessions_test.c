/* Sessions and their one consumer: what no test of the other systems asserts. */
#include "support.h"

#include <stdio.h>
#include <weir_channel.h>

#include "notices.h"

#define DEPTH  16u
#define TTL_MS 60000u

static void open_preset(struct fixture *fixture, weir_preset_name preset, uint32_t capacity) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = capacity;
    config.queue_depth = DEPTH;
    system_open(fixture, preset, config);
}

/* ---- Detaching ------------------------------------------------------------------------------------------------ */

/* Detaching again with the same generation does no harm, and counts as activity each time. */
static void ses_09_detaching_again_only_refreshes_the_session(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_attachment_info info;
    open_preset(&fixture, WEIR_PRESET_SSE_REGISTRY, 8);
    uint64_t generation = listener_attach(&fixture, &listener, "s", DEPTH);
    send_number(&fixture, "s", 0);
    for (int again = 0; again < 5; again++) {
        assert_int_equal(weir_detach(listener.session, generation), WEIR_OK);
        assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_CLOSED);
        assert_int_equal(info.generation, generation);
        assert_int_equal(info.ended, WEIR_ENDED_DETACHED);
        fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS).count, 0);
    }
    expect_replay_all(&fixture, "s", 0, 0);
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS).count, 1);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* C-25: no attach gives 0, and detaching 0 finds nobody to cut off; it is a sign of life, though. */
static void ses_15_generation_0_is_nobodys(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_attachment_info info;
    open_preset(&fixture, WEIR_PRESET_SSE_REGISTRY, 8);
    assert_int_equal(pre_register(&fixture, "s"), 1);
    weir_session *session = find(&fixture, "s");
    assert_int_equal(info_of(session).generation, 0);
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
    weir_detach(session, 0);
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS).count, 0);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_NOT_FOUND);
    assert_true(listener_attach(&fixture, &listener, "s", DEPTH) != 0);
    assert_int_equal(weir_detach(session, 0), WEIR_NOT_FOUND); /* somebody has attached: 0 is another generation */
    assert_int_equal(send_number(&fixture, "s", 0), WEIR_LIVE_ACCEPTED);
    expect_live(&listener, 0, 0);
    listener_leave(&listener);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* ---- What may be seen of a registry --------------------------------------------------------------------------- */

struct seen_log {
    char text[4096];
    size_t length;
};

static void keep_log(void *context, weir_log_level level, const char *text) {
    struct seen_log *log = (struct seen_log *)context;
    (void)level;
    size_t room = sizeof(log->text) - log->length;
    size_t length = strlen(text) < room ? strlen(text) : room;
    memcpy(log->text + log->length, text, length);
    log->length += length;
}

/* What an operator prints of an engine has its bounds and its counts, and nothing that anybody published. */
static void ses_17_figures_and_log_show_counts_and_no_contents(void **state) {
    (void)state;
    static const char secret[] = "a-secret-payload";
    struct fixture fixture;
    struct seen_log log;
    struct listener listener;
    weir_config config = WEIR_CONFIG_INIT;
    memset(&log, 0, sizeof(log));
    config.replay_capacity = 4;
    config.queue_depth = 4;
    config.log = (weir_log){keep_log, &log};
    system_open(&fixture, WEIR_PRESET_SSE_REGISTRY, config);
    listener_attach(&fixture, &listener, "s", 1);
    const weir_message message = {.data = secret, .length = sizeof(secret) - 1};
    for (int i = 0; i < 20; i++)
        assert_int_equal(weir_offer(fixture.producer, listener.session, &message, NULL), WEIR_OK);
    weir_stats stats = stats_of(fixture.engine);
    assert_int_equal(stats.sessions, 1);
    assert_int_equal(weir_engine_config(fixture.engine)->replay_capacity, 4);
    assert_null(memmem(&stats, sizeof(stats), secret, 8));
    assert_null(memmem(weir_engine_config(fixture.engine), sizeof(weir_config), secret, 8));
    assert_null(memmem(log.text, log.length, secret, 8));
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* What somebody keeps for a session's live consumer, such as where its log lines go, goes when the consumer is told to
 * have gone: through overflow, through its own leaving, with a swept session; once each (C-05). */
static void ses_18_the_loss_of_a_live_queue_is_told_once(void **state) {
    (void)state;
    struct fixture fixture;
    struct notices notices;
    struct listener listener;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 8;
    config.queue_depth = DEPTH;
    config.observer = notices_observer(&notices);
    system_open(&fixture, WEIR_PRESET_SSE_REGISTRY, config);

    uint64_t generation = listener_attach(&fixture, &listener, "overflowed", 1);
    send_numbers(&fixture, "overflowed", 0, 4);
    assert_int_equal(notices_count(&notices, WEIR_NOTICE_CLOSED, "overflowed", WEIR_ENDED_LAGGING), 1);
    assert_int_equal(notices_last(&notices, WEIR_NOTICE_CLOSED)->generation, generation);
    listener_leave(&listener);

    generation = listener_attach(&fixture, &listener, "left", DEPTH);
    listener_leave(&listener);
    send_numbers(&fixture, "left", 0, 4);
    assert_int_equal(notices_count(&notices, WEIR_NOTICE_CLOSED, "left", WEIR_ENDED_PEER), 1);
    assert_int_equal(notices_last(&notices, WEIR_NOTICE_CLOSED)->generation, generation);

    assert_int_equal(pre_register(&fixture, "stale"), 1);
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS).count, 3);
    static const char *const names[] = {"overflowed", "left", "stale"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(notices_count(&notices, WEIR_NOTICE_ENDED, names[i], WEIR_ENDED_EXPIRED), 1);
        assert_int_equal(notices_of(&notices, WEIR_NOTICE_CLOSED, names[i]), i < 2 ? 1 : 0);
    }
    fixture_close(&fixture);
}

/* ---- Registering over what is there --------------------------------------------------------------------------- */

/* C-11: a new attachment begins with counts and token of its own; the ring goes on. Under the rules of the session server
 * there is no ring, and the channels are left, which both sides see. */
static void ses_23_attaching_again_replaces_everything_of_the_consumer(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener first;
    struct listener second;
    weir_channel *channel;
    weir_attachment_info info;
    open_preset(&fixture, WEIR_PRESET_REALTIME, 0);
    weir_subscription how = from_now(&fixture, 1);
    how.token_expiry_s = wall_s(&fixture) + 100;
    assert_int_equal(listener_attach_as(&fixture, &first, "s", &how), WEIR_OK);
    assert_int_equal(try_send(&fixture, "s", 1, NULL), WEIR_OK);
    for (int i = 0; i < 7; i++)
        assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_FULL);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_FULL);
    assert_int_equal(info.drops_consecutive, 7);
    assert_int_equal(info.drops_total, 7);
    assert_int_equal(info.token_expiry_s, wall_s(&fixture) + 100);
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, first.session, NULL), WEIR_OK);
    advance_s(&fixture, 10);
    uint64_t generation = listener_attach(&fixture, &second, "s", 2);
    assert_int_equal(info_of(second.session).channels, 0);
    assert_int_equal(weir_channel_members(channel), 0);
    assert_int_equal(stats_of(fixture.engine).memberships, 0);
    weir_channel_release(channel);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
    assert_int_equal(info.generation, generation);
    assert_int_equal(info.drops_consecutive, 0);
    assert_int_equal(info.drops_total, 0);
    assert_int_equal(info.queue_depth, 2);
    assert_int_equal(info.backlog, 0);
    assert_int_equal(info.token_expiry_s, 0);
    assert_int_equal(info.connected_wall_s, wall_s(&fixture));
    assert_int_equal(info.active_wall_s, wall_s(&fixture));
    assert_int_equal(stats_of(fixture.engine).sessions, 1);
    expect_number(first.session, &first.cursor, 1);
    expect_over(&first, WEIR_END, WEIR_ENDED_DISPLACED);
    listener_leave(&first);
    listener_leave(&second);
    fixture_close(&fixture);
}

/* ---- Whose session it is -------------------------------------------------------------------------------------- */

static weir_owner owner_of(const char *tenant, const char *principal) {
    return (weir_owner){.tenant = tenant,
                        .tenant_length = tenant != NULL ? strlen(tenant) : 0,
                        .principal = principal,
                        .principal_length = principal != NULL ? strlen(principal) : 0};
}

static int find_as(struct fixture *fixture, const char *tenant, const char *principal) {
    weir_session *session = NULL;
    const weir_owner owner = owner_of(tenant, principal);
    int status = weir_session_find(fixture->engine, "s", 1, &owner, &session);
    if (status == WEIR_OK) weir_session_release(session);
    return status;
}

/* C-19: the owner is kept for good, and enforced where the caller asks for it: masked, or by name. */
static void ses_31_tenant_and_principal_are_kept_and_enforced_on_request(void **state) {
    (void)state;
    for (int explicit_errors = 0; explicit_errors <= 1; explicit_errors++) {
        struct fixture fixture;
        weir_session *session;
        weir_config config = WEIR_CONFIG_INIT;
        const weir_owner owner = owner_of("acme", "alice");
        config.rules.scope_errors = explicit_errors ? WEIR_SCOPE_EXPLICIT : WEIR_SCOPE_MASK;
        fixture_open(&fixture, &config);
        assert_int_equal(weir_session_create(fixture.engine, "s", 1, &owner, &session, NULL), WEIR_OK);
        weir_session_info info = info_of(session);
        assert_memory_equal(info.owner.tenant, "acme", 4);
        assert_memory_equal(info.owner.principal, "alice", 5);
        assert_true(info.owner.tenant != owner.tenant); /* a copy */
        int tenant = explicit_errors ? WEIR_TENANT_MISMATCH : WEIR_NOT_FOUND;
        int principal = explicit_errors ? WEIR_PRINCIPAL_MISMATCH : WEIR_NOT_FOUND;
        assert_int_equal(find_as(&fixture, "acme", "alice"), WEIR_OK);
        assert_int_equal(find_as(&fixture, "acme", NULL), WEIR_OK);
        assert_int_equal(find_as(&fixture, NULL, "alice"), WEIR_OK);
        assert_int_equal(find_as(&fixture, NULL, NULL), WEIR_OK);
        assert_int_equal(find_as(&fixture, "other", "alice"), tenant);
        assert_int_equal(find_as(&fixture, "acme", "bob"), principal);
        assert_int_equal(find_as(&fixture, "acmes", NULL), tenant);
        assert_int_equal(find_as(&fixture, "acm", NULL), tenant);
        assert_int_equal(find_as(&fixture, NULL, "alic"), principal);
        assert_int_equal(find_as(&fixture, "other", "bob"), tenant);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* ---- Lives of engines ----------------------------------------------------------------------------------------- */

/* Every thread that has the handle has the same sessions; sweeping is something that its holders do, so it ends with the
 * last of them by itself, and no thread of the engine's goes on. */
static void ses_32_one_handle_is_one_store_and_sweeps_only_when_asked(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    config.idle_ttl_ms = 1000;
    fixture_open(&fixture, &config);
    weir_engine *same = fixture.engine;
    weir_session *session = fixture_session(&fixture, "s");
    weir_session *seen;
    assert_int_equal(weir_session_open(same, "s", 1, WEIR_OPEN_EXISTING, &seen, NULL), WEIR_OK);
    assert_ptr_equal(session, seen);
    weir_session_release(seen);
    fake_clock_advance(&fixture.clock, fixture.engine, 1ull << 33);
    assert_int_equal(stats_of(same).sessions, 1);
    assert_int_equal(weir_engine_sweep_for(same, NULL), 1);
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* Nothing outlives its engine: another one, in the place of a process that was started again, knows no session of the
 * first, gives the same name another epoch, and tells a client that comes with an old id so (WK-08). */
static void ses_33_a_second_engine_knows_nothing_of_the_first(void **state) {
    (void)state;
    struct fixture fixture;
    char id[WEIR_ID_MAX];
    weir_cursor cursor;
    weir_gap gap;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 5);
    uint64_t epoch = info_of(session).epoch;
    size_t length = weir_id_format(epoch, 3, id);
    weir_session_release(session);
    fixture_close(&fixture);

    fixture_open(&fixture, NULL);
    assert_false(is_known(&fixture, "s"));
    session = fixture_session(&fixture, "s");
    assert_true(info_of(session).epoch != epoch);
    assert_int_equal(info_of(session).newest, 0);
    publish_numbers(&fixture, session, 5);
    assert_int_equal(subscribe_after(session, id, length, &cursor, &gap), WEIR_GAP);
    assert_int_equal(gap.lost_known, 0);
    assert_true(gap.reason == WEIR_GAP_EPOCH || gap.reason == WEIR_GAP_SESSION);
    expect_numbers(session, &cursor, 1, 5, WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ses_09_detaching_again_only_refreshes_the_session),
        cmocka_unit_test(ses_15_generation_0_is_nobodys),
        cmocka_unit_test(ses_17_figures_and_log_show_counts_and_no_contents),
        cmocka_unit_test(ses_18_the_loss_of_a_live_queue_is_told_once),
        cmocka_unit_test(ses_23_attaching_again_replaces_everything_of_the_consumer),
        cmocka_unit_test(ses_31_tenant_and_principal_are_kept_and_enforced_on_request),
        cmocka_unit_test(ses_32_one_handle_is_one_store_and_sweeps_only_when_asked),
        cmocka_unit_test(ses_33_a_second_engine_knows_nothing_of_the_first),
    };
    return RUN_TESTS(argc, argv, tests);
}
