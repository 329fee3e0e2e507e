/* The two byte budgets. At max_bytes whoever holds most gives up its oldest events, and nobody else loses any (WK-07);
 * max_session_bytes bounds what one session holds, small events included. */
#include "fixture.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/random.h"

static const char payload[1u << 16];

#define CHUNK 70000u /* what cells are taken by: 64 KiB of them, and their links */

static weir_session *numbered(struct fixture *fixture, uint32_t number) {
    char name[16];
    snprintf(name, sizeof(name), "n%u", number);
    return fixture_session(fixture, name);
}

static int publish(struct fixture *fixture, weir_session *session, size_t length) {
    return weir_publish(fixture->producer, session, 0, payload, length, NULL);
}

static void publish_many(struct fixture *fixture, weir_session *session, size_t length, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(publish(fixture, session, length), WEIR_OK);
}

static uint64_t kept_by(const weir_session *session) {
    weir_session_info info = info_of(session);
    return info.newest + 1 - info.oldest;
}

static weir_config shared_budget(uint64_t max_bytes) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 1024;
    config.max_bytes = max_bytes;
    config.max_session_bytes = 1u << 30;
    return config;
}

/* ---- All sessions ------------------------------------------------------------------------------------------- */

enum { CALM_MOST = 100, GREEDY = 250 };

/* A greedy session, and calm ones of `each` events: less than there is. Then each calm one publishes `more`. */
static void check_that_the_greedy_one_pays(uint32_t calm_count, uint32_t each, uint32_t more, uint64_t lost_most) {
    struct fixture fixture;
    weir_session *calm[CALM_MOST];
    weir_config config = shared_budget(1u << 20);
    fixture_open(&fixture, &config);
    for (uint32_t i = 0; i < calm_count; i++) {
        calm[i] = numbered(&fixture, i);
        publish_many(&fixture, calm[i], 2000, each);
    }
    weir_session *greedy = fixture_session(&fixture, "greedy"); /* the last one that is looked at */
    publish_many(&fixture, greedy, 2000, GREEDY);
    assert_int_equal(stats_of(fixture.engine).evicted_events, 0);
    for (uint32_t i = 0; i < calm_count * more; i++)
        publish_many(&fixture, calm[i % calm_count], 2000, 1);
    uint64_t lost = 0;
    for (uint32_t i = 0; i < calm_count; i++) {
        lost += each + more - kept_by(calm[i]);
        weir_session_release(calm[i]);
    }
    assert_in_range(lost, 0, lost_most);
    weir_stats stats = stats_of(fixture.engine);
    assert_true(stats.evicted_events > 20);
    assert_int_equal(stats.evicted_events, lost + GREEDY - kept_by(greedy));
    assert_true(stats.cell_bytes <= config.max_bytes);
    assert_int_equal(stats.publish_refused, 0);
    weir_session_release(greedy);
    fixture_close(&fixture);
}

static void wk_07_who_holds_most_pays_for_what_the_others_publish(void **state) {
    (void)state;
    check_that_the_greedy_one_pays(2, 80, 60, 0); /* they do not hold as much themselves yet */
    check_that_the_greedy_one_pays(40, 4, 5, 0);
}

/* Among many the greedy one is not met at once: one of 64 is looked for at a time, and then it is remembered. */
static void wk_07_among_many_the_greedy_one_is_soon_found(void **state) {
    (void)state;
    check_that_the_greedy_one_pays(CALM_MOST, 2, 1, CALM_MOST / 64 + 1);
}

static void sessions_that_are_equally_greedy_share(void **state) {
    (void)state;
    enum { SESSIONS = 4 };
    struct fixture fixture;
    weir_session *sessions[SESSIONS];
    weir_config config = shared_budget(1u << 20);
    fixture_open(&fixture, &config);
    for (uint32_t i = 0; i < SESSIONS; i++)
        sessions[i] = numbered(&fixture, i);
    for (uint32_t i = 0; i < SESSIONS; i++) /* the first one has all of it, until the others come */
        publish_many(&fixture, sessions[i], 2000, 700);
    for (uint32_t i = 0; i < SESSIONS; i++)
        assert_in_range(kept_by(sessions[i]), 512 / SESSIONS - 8, 512 / SESSIONS + 8);
    for (uint32_t i = 0; i < SESSIONS; i++)
        weir_session_release(sessions[i]);
    fixture_close(&fixture);
}

/* Memory of smaller cells is no use to a larger event: nobody loses an event that would make no room. */
static void nothing_is_given_up_in_vain(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = shared_budget(1u << 20);
    fixture_open(&fixture, &config);
    weir_session *greedy = fixture_session(&fixture, "greedy");
    weir_session *large = fixture_session(&fixture, "large");
    publish_many(&fixture, greedy, 2000, 600);
    weir_session_info before = info_of(greedy);
    for (int i = 0; i < 50; i++)
        assert_int_equal(publish(&fixture, large, 3000), WEIR_BYTES_LIMIT);
    assert_int_equal(info_of(greedy).oldest, before.oldest);
    assert_int_equal(info_of(large).published, 0);
    publish_many(&fixture, large, 2000, 1);
    assert_true(info_of(greedy).oldest - before.oldest <= 1);
    weir_session_release(greedy);
    weir_session_release(large);
    fixture_close(&fixture);
}

/* Who has filled the memory with large events does not shut out those with small ones. */
static void wk_07_a_small_event_gets_a_larger_cell(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = shared_budget(1u << 20);
    fixture_open(&fixture, &config);
    weir_session *greedy = fixture_session(&fixture, "greedy");
    weir_session *small = fixture_session(&fixture, "small");
    publish_many(&fixture, greedy, 2000, 600);
    uint64_t kept = kept_by(greedy);
    publish_many(&fixture, small, 10, 50);
    assert_int_equal(kept_by(small), 50);
    assert_in_range(kept - kept_by(greedy), 1, 50);
    publish_many(&fixture, greedy, 2000, 1);
    weir_session_release(greedy);
    weir_session_release(small);
    fixture_close(&fixture);
}

/* The last event is not to be given, so what stands before it would be lost for nothing. */
static void nothing_is_given_up_for_a_cell_that_stays(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = shared_budget(2 * CHUNK);
    fixture_open(&fixture, &config);
    weir_session *mixed = fixture_session(&fixture, "mixed");
    weir_session *other = fixture_session(&fixture, "other");
    publish_many(&fixture, mixed, 10, 100);
    publish_many(&fixture, mixed, 60000, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(publish(&fixture, other, 60000), WEIR_BYTES_LIMIT);
    assert_int_equal(kept_by(mixed), 101);
    weir_session_release(mixed);
    weir_session_release(other);
    fixture_close(&fixture);
}

/* Of events before the first one that fits none can stay: a window has no holes. */
static void what_stands_before_the_cell_that_fits_goes_too(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = shared_budget(3 * CHUNK); /* a large cell each, or 512 of the smallest */
    fixture_open(&fixture, &config);
    weir_session *greedy = fixture_session(&fixture, "greedy");
    weir_session *other = fixture_session(&fixture, "other");
    publish_many(&fixture, greedy, 10, 100);
    publish_many(&fixture, greedy, 60000, 2);
    assert_int_equal(info_of(greedy).oldest, 1);
    publish_many(&fixture, other, 60000, 1);
    assert_int_equal(info_of(greedy).oldest, 102);
    assert_int_equal(info_of(other).oldest, 1);
    weir_session_release(greedy);
    weir_session_release(other);
    fixture_close(&fixture);
}

/* The last event of a session is its own: when there is nothing else, publishing is refused and nobody loses anything. */
static void when_everybody_has_one_event_nobody_gives(void **state) {
    (void)state;
    static const size_t lengths[] = {10, 2000, 60000};
    for (int l = 0; l < 3; l++) {
        struct fixture fixture;
        weir_session *sessions[600];
        uint32_t count = 0;
        weir_config config = shared_budget(CHUNK);
        config.max_sessions = 600;
        config.replay_capacity = 4;
        fixture_open(&fixture, &config);
        for (;; count++) {
            assert_true(count < 600);
            sessions[count] = numbered(&fixture, count);
            int status = publish(&fixture, sessions[count], lengths[l]);
            if (status != WEIR_OK) {
                assert_string_equal(weir_status_name(status), "WEIR_BYTES_LIMIT");
                break;
            }
        }
        assert_int_equal(count, l == 0 ? 512 : l == 1 ? 32 : 1);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(kept_by(sessions[i]), 1);
        assert_int_equal(publish(&fixture, sessions[0], lengths[l]),
                         WEIR_BYTES_LIMIT); /* nor has it two for a moment */
        assert_int_equal(info_of(sessions[0]).newest, 1);
        assert_int_equal(stats_of(fixture.engine).publish_refused, 2);
        assert_int_equal(stats_of(fixture.engine).evicted_events, 0);
        weir_session_terminate(sessions[0]);
        assert_int_equal(publish(&fixture, sessions[count], lengths[l]), WEIR_BYTES_LIMIT); /* it is still held */
        weir_session_release(sessions[0]);
        assert_int_equal(publish(&fixture, sessions[count], lengths[l]), WEIR_OK);
        assert_int_equal(info_of(sessions[count]).newest, 1); /* what was refused took no number */
        for (uint32_t i = 1; i <= count; i++)
            weir_session_release(sessions[i]);
        fixture_close(&fixture);
    }
}

/* LIV-16: who was reading what had to go is told. */
static void a_reader_of_the_one_that_pays_gets_a_gap(void **state) {
    (void)state;
    struct fixture fixture;
    weir_gap gap;
    weir_event event;
    char buffer[2000];
    weir_config config = shared_budget(1u << 20);
    fixture_open(&fixture, &config);
    weir_session *greedy = fixture_session(&fixture, "greedy");
    weir_session *small = fixture_session(&fixture, "small");
    publish_many(&fixture, greedy, 2000, 500);
    weir_cursor cursor = subscribe(greedy, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    uint64_t first = cursor.next;
    publish_many(&fixture, small, 2000, 40);
    uint64_t oldest = info_of(greedy).oldest;
    assert_true(oldest > first);
    assert_int_equal(weir_read(greedy, &cursor, buffer, sizeof(buffer), &event, &gap), WEIR_GAP);
    check_gap(&gap, first, oldest - 1, WEIR_GAP_SLOW, 1);
    for (uint64_t sequence = oldest; sequence <= 500; sequence++) {
        assert_int_equal(weir_read(greedy, &cursor, buffer, sizeof(buffer), &event, &gap), WEIR_OK);
        assert_int_equal(event.sequence, sequence);
    }
    weir_unsubscribe(greedy, &cursor);
    weir_session_release(greedy);
    weir_session_release(small);
    fixture_close(&fixture);
}

struct greedy_producer {
    pthread_t thread;
    struct fixture *fixture;
    weir_session *session;
    uint64_t refused;
};

static void *run_greedy(void *context) {
    struct greedy_producer *greedy = (struct greedy_producer *)context;
    weir_producer *producer;
    if (weir_producer_create(greedy->fixture->engine, &producer) != WEIR_OK) abort();
    for (int i = 0; i < 20000; i++)
        greedy->refused += weir_publish(producer, greedy->session, 0, payload, 2000, NULL) != WEIR_OK;
    weir_producer_destroy(producer);
    return NULL;
}

/* The calm one is never refused and keeps all it has, whatever the greedy ones do meanwhile. */
static void wk_07_greedy_producers_do_not_stop_a_calm_one(void **state) {
    (void)state;
    struct fixture fixture;
    struct greedy_producer greedy[2];
    weir_config config = shared_budget(1u << 20);
    fixture_open(&fixture, &config);
    weir_session *calm = fixture_session(&fixture, "calm");
    for (uint32_t i = 0; i < 2; i++) {
        greedy[i] = (struct greedy_producer){.fixture = &fixture, .session = numbered(&fixture, i)};
        publish_many(&fixture, greedy[i].session, 2000, 300);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&greedy[i].thread, NULL, run_greedy, &greedy[i]), 0);
    publish_many(&fixture, calm, 2000, 60);
    for (int i = 0; i < 2; i++) {
        pthread_join(greedy[i].thread, NULL);
        assert_int_equal(greedy[i].refused, 0);
    }
    assert_int_equal(kept_by(calm), 60);
    assert_true(stats_of(fixture.engine).cell_bytes <= config.max_bytes);
    for (int i = 0; i < 2; i++)
        weir_session_release(greedy[i].session);
    weir_session_release(calm);
    fixture_close(&fixture);
}

/* ---- One session -------------------------------------------------------------------------------------------- */

/* After every publish of a random mix of sizes, with and without keys, the session is inside its bytes and has what was
 * published last. */
static void a_session_never_holds_more_than_its_bytes(void **state) {
    (void)state;
    static const struct {
        uint32_t capacity;
        uint64_t bytes;
    } shapes[] = {{4, 512}, {4, 4096}, {100, 4096}, {100, 32768}, {1000, 65536}, {1000, 1u << 20}, {3, 1u << 20}};
    struct random random = random_start(7, 1);
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        struct fixture fixture;
        weir_config config = WEIR_CONFIG_INIT;
        config.replay_capacity = shapes[s].capacity;
        config.max_session_bytes = shapes[s].bytes;
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        uint64_t most = 0;
        uint64_t published = 0;
        for (int i = 0; i < 3000; i++) {
            static const uint32_t ranges[] = {20, 120, 1100, 5000, 60000};
            uint32_t range = ranges[random_below(&random, i < 1500 ? 5 : 1 + (uint32_t)(i / 100 % 5))];
            const weir_message message = {.data = payload,
                                          .length = random_below(&random, range),
                                          .keyed = random_below(&random, 2),
                                          .key = (uint64_t)i};
            int status = weir_offer(fixture.producer, session, &message, NULL);
            if (status != WEIR_TOO_LARGE) assert_string_equal(weir_status_name(status), "WEIR_OK");
            published += status == WEIR_OK;
            weir_session_info info = info_of(session);
            assert_true(info.bytes <= shapes[s].bytes);
            assert_int_equal(info.newest, published);
            if (published > 0) assert_true(info.oldest <= info.newest);
            if (info.bytes > most) most = info.bytes;
        }
        assert_true(most > shapes[s].bytes / 4 || shapes[s].capacity == 3); /* and it uses them */
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

static void *run_large(void *context) {
    struct greedy_producer *self = (struct greedy_producer *)context;
    weir_producer *producer;
    if (weir_producer_create(self->fixture->engine, &producer) != WEIR_OK) abort();
    for (size_t i = 0; i < 5000; i++)
        self->refused += weir_publish(producer, self->session, 0, payload, i * 37 % 9000, NULL) != WEIR_OK;
    weir_producer_destroy(producer);
    return NULL;
}

static void racing_producers_leave_a_session_inside_its_bytes(void **state) {
    (void)state;
    struct fixture fixture;
    struct greedy_producer producers[3];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_session_bytes = 100000;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    for (int i = 0; i < 3; i++) {
        producers[i] = (struct greedy_producer){.fixture = &fixture, .session = session};
        assert_int_equal(pthread_create(&producers[i].thread, NULL, run_large, &producers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(producers[i].thread, NULL);
        assert_int_equal(producers[i].refused, 0);
    }
    weir_session_info info = info_of(session);
    assert_int_equal(info.newest, 15000);
    assert_true(info.bytes <= config.max_session_bytes);
    assert_true(info.oldest <= info.newest);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wk_07_who_holds_most_pays_for_what_the_others_publish),
        cmocka_unit_test(wk_07_among_many_the_greedy_one_is_soon_found),
        cmocka_unit_test(sessions_that_are_equally_greedy_share),
        cmocka_unit_test(nothing_is_given_up_in_vain),
        cmocka_unit_test(wk_07_a_small_event_gets_a_larger_cell),
        cmocka_unit_test(nothing_is_given_up_for_a_cell_that_stays),
        cmocka_unit_test(what_stands_before_the_cell_that_fits_goes_too),
        cmocka_unit_test(when_everybody_has_one_event_nobody_gives),
        cmocka_unit_test(a_reader_of_the_one_that_pays_gets_a_gap),
        cmocka_unit_test(wk_07_greedy_producers_do_not_stop_a_calm_one),
        cmocka_unit_test(a_session_never_holds_more_than_its_bytes),
        cmocka_unit_test(racing_producers_leave_a_session_inside_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
