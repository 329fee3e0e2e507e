/* News that comes while the consumer wakes up or falls asleep: at each step of that, by marks, on one thread. */
#include "consumer_stage.h"

#include <stdbool.h>

#include "base/mark.h"

/* What publishes, at the first time that the step is met. */
static struct {
    struct fixture *fixture;
    weir_session *session;
    enum mark at;
    bool armed;
} intruder;

void weir_test_mark(enum mark mark) {
    if (!intruder.armed || mark != intruder.at) return;
    intruder.armed = false;
    publish_numbers(intruder.fixture, intruder.session, 1);
}

static const enum mark steps[] = {MARK_CONSUMER_AWAKE, MARK_CONSUMER_FOUND_NOTHING, MARK_CONSUMER_ANSWERED,
                                  MARK_CONSUMER_ASLEEP};

struct scene {
    struct consumer_stage stage;
    weir_session *session;
    weir_feed *feed;
};

/* A feed with one event in a batch, which has nothing; the intruder comes at the next `at`. */
static void open_scene(struct scene *scene, enum mark at) {
    weir_consumer_config batches = WEIR_CONSUMER_CONFIG_INIT;
    batches.batch_events = 1;
    intruder.armed = false;
    stage_open(&scene->stage, NULL, &batches);
    scene->session = fixture_session(&scene->stage.fixture, "s");
    scene->feed = stage_feed(&scene->stage, scene->session, NULL);
    expect_no_batch(&scene->stage);
    intruder.fixture = &scene->stage.fixture;
    intruder.session = scene->session;
    intruder.at = at;
    intruder.armed = true;
}

static void close_scene(struct scene *scene) {
    expect_no_batch(&scene->stage);
    assert_false(intruder.armed);
    weir_session_release(scene->session);
    stage_close(&scene->stage);
}

/* The caller looks without having been woken: what comes meanwhile is given at once, or makes the descriptor readable.
 * Awake or asleep, news that was not given keeps it readable. */
static void news_during_a_look_is_given_or_shown(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct scene scene;
        weir_batch batch;
        open_scene(&scene, steps[i]);
        int status = weir_consumer_next(scene.stage.consumer, &batch);
        assert_int_equal(status, steps[i] == MARK_CONSUMER_ASLEEP ? WEIR_EMPTY : WEIR_OK);
        assert_true(is_readable(scene.stage.consumer));
        if (status == WEIR_EMPTY) expect_batch(&scene.stage, scene.feed, 1, 1);
        close_scene(&scene);
    }
}

/* The same behind news that rang: its ring is not mistaken for that of what comes meanwhile. */
static void news_behind_other_news_is_given_or_shown(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct scene scene;
        weir_batch batch;
        open_scene(&scene, steps[i]);
        intruder.armed = false;
        publish_numbers(&scene.stage.fixture, scene.session, 1);
        intruder.armed = true;
        expect_batch(&scene.stage, scene.feed, 1, 1);
        assert_true(is_readable(scene.stage.consumer));
        int status = weir_consumer_next(scene.stage.consumer, &batch);
        assert_int_equal(status, steps[i] == MARK_CONSUMER_ASLEEP ? WEIR_EMPTY : WEIR_OK);
        assert_true(is_readable(scene.stage.consumer));
        if (status == WEIR_EMPTY) expect_batch(&scene.stage, scene.feed, 2, 2);
        close_scene(&scene);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_during_a_look_is_given_or_shown),
        cmocka_unit_test(news_behind_other_news_is_given_or_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
