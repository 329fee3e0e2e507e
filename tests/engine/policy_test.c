/* What happens to a subscriber whose queue is full, at the exact event (contract BKP-01 to BKP-03, LIV-03, LIV-10). */
#include "fixture.h"

struct stage {
    struct fixture fixture;
    weir_session *session;
    weir_cursor cursor;
};

/* A session that keeps `capacity`, and a live subscriber with a queue of `depth`. */
static void open_stage(struct stage *stage, uint32_t capacity, uint32_t depth, weir_policy policy) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = capacity;
    config.queue_depth = depth > capacity ? depth : 0;
    fixture_open(&stage->fixture, &config);
    stage->session = fixture_session(&stage->fixture, "stage");
    publish_numbers(&stage->fixture, stage->session, 10);
    stage->cursor = subscribe(stage->session, WEIR_START_NOW, policy, depth, WEIR_OK);
    assert_int_equal(stage->cursor.live, 1);
}

static void close_stage(struct stage *stage) {
    weir_unsubscribe(stage->session, &stage->cursor);
    weir_session_release(stage->session);
    fixture_close(&stage->fixture);
}

static const struct {
    uint32_t capacity;
    uint32_t depth;
} shapes[] = {{16, 1}, {16, 2}, {16, 3}, {16, 15}, {16, 16}, {3, 3}, {3, 2}, {5, 5}, {1, 1}, {2, 7}, {4, 4}, {256, 100}};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* LIV-03: `depth` events fit, exactly. */
static void a_queue_holds_exactly_its_depth_under_every_policy(void **state) {
    (void)state;
    for (int policy = WEIR_POLICY_SKIP; policy <= WEIR_POLICY_EVICT; policy++)
        for (size_t s = 0; s < SHAPES; s++) {
            struct stage stage;
            uint32_t depth = shapes[s].depth;
            open_stage(&stage, shapes[s].capacity, depth, (weir_policy)policy);
            for (uint64_t first = 11; first < 11 + 5ull * depth; first += depth) {
                publish_numbers(&stage.fixture, stage.session, depth);
                expect_numbers(stage.session, &stage.cursor, first, first + depth - 1, WEIR_EMPTY);
            }
            assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_NOT);
            close_stage(&stage);
        }
}

/* LIV-10: one more, or many more, is a gap of exactly what does not fit, and on from the oldest inside the depth. */
static void skip_reports_what_did_not_fit_and_goes_on(void **state) {
    (void)state;
    for (size_t s = 0; s < SHAPES; s++)
        for (uint64_t more = 1; more <= 40; more += more < 5 ? 1 : 7) {
            struct stage stage;
            uint32_t depth = shapes[s].depth;
            open_stage(&stage, shapes[s].capacity, depth, WEIR_POLICY_SKIP);
            publish_numbers(&stage.fixture, stage.session, depth + more);
            expect_gap(stage.session, &stage.cursor, 11, 10 + more);
            expect_numbers(stage.session, &stage.cursor, 11 + more, 10 + more + depth, WEIR_EMPTY);
            weir_stats stats = stats_of(stage.fixture.engine);
            assert_int_equal(stats.gaps, 1);
            assert_int_equal(stats.lost, more);
            close_stage(&stage);
        }
}

static void check_detach(struct stage *stage, uint32_t capacity, uint32_t depth, uint64_t more) {
    uint64_t ring = 1;
    while (ring < capacity || ring < depth) ring *= 2;
    publish_numbers(&stage->fixture, stage->session, depth + more);
    uint64_t newest = 10 + depth + more;
    uint64_t end = 11 + depth;                                        /* the event that did not fit */
    uint64_t kept = newest + 1 > ring + 11 ? newest + 1 - ring : 11; /* the ring may have passed the queue by now */
    if (kept > end) kept = end;
    if (kept > 11) expect_gap(stage->session, &stage->cursor, 11, kept - 1);
    expect_numbers(stage->session, &stage->cursor, kept, end - 1, WEIR_LAGGED);
    publish_text(&stage->fixture, stage->session, "later") ;
    expect_status(stage->session, &stage->cursor, WEIR_LAGGED);
}
