/* News and wake-up: a consumer never sleeps over an event that was published, whoever stops where. */
#include "base/atomic.h"

#include "concurrent/notify.h"
#include "explore.h"

#define PLACES 128u

static struct {
    struct notify notify;
    atomic_u64 slots[PLACES]; /* one event each: what R2 stores and the consumer's scan loads */
    atomic_u64 wakes;
    uint64_t woken[THREADS_MAX];
    uint64_t taken[PLACES]; /* the newest event that the consumer saw at each place */
    uint32_t asleep;
    uint32_t times_told;
} * S;

static void wake(void *context) {
    (void)context;
    u64_add_relaxed(&S->wakes, 1);
}

static void begin(void) {
    S = explore_new(sizeof(*S));
    EXPECT(notify_create(&S->notify, &explore_allocator, PLACES, 0, wake, NULL) == WEIR_OK);
    notify_use(&S->notify, PLACES - 1);
}
/* The consumer has slept once before, and each producer has woken it then. */
static void begin_after_sleep(void) {
    begin();
    EXPECT(notify_sleep(&S->notify));
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        S->woken[i] = S->notify.epoch.value;
    notify_awake(&S->notify);
}
/* News is there that the consumer has not looked at, so that producers find bits set. */
static void begin_told(void) {
    begin();
    S->slots[3].value = 1;
    notify_set(&S->notify, 3, &S->woken[0]);
}
static void begin_resuming(void) {
    begin();
    S->notify.resume = 70;
}

/* As publishing does: the event first, then the news (outlets_notify). */
static void publish_at(uint32_t place) {
    uint64_t event = u64_load_relaxed(&S->slots[place]);
    while (!u64_cas_seq_cst(&S->slots[place], &event, event + 1)) {
    }
    if (!notify_is_told(&S->notify, place)) notify_set(&S->notify, place, &S->woken[explore_thread]);
}
static void publish_3(void) {
    publish_at(3);
}
static void publish_3_3(void) {
    publish_at(3);
    publish_at(3);
}
/* Without the look whether there is anything to do, which would do part of the work. */
static void tell_3(void) {
    u64_store_seq_cst(&S->slots[3], 5);
    notify_set(&S->notify, 3, &S->woken[explore_thread]);
}
static void publish_5(void) {
    publish_at(5);
}
static void publish_70(void) {
    publish_at(70);
}
static void publish_3_70(void) {
    publish_at(3);
    publish_at(70);
}

static void look(uint32_t capacity) {
    uint32_t places[4];
    uint32_t count;
    do {
        count = notify_take(&S->notify, places, capacity);
        for (uint32_t i = 0; i < count; i++) {
            S->times_told++;
            S->taken[places[i]] = u64_load_seq_cst(&S->slots[places[i]]);
        }
    } while (count == capacity);
}
static void consume(uint32_t capacity) {
    look(capacity);
    S->asleep = notify_sleep(&S->notify);
    if (!S->asleep) look(capacity);
}
static void consumer(void) {
    consume(4);
}
static void consumer_of_one(void) {
    consume(1);
}
static void consumer_of_two(void) {
    consume(2);
}
/* Goes to sleep, is woken by something else, and sleeps again. */
static void consumer_twice(void) {
    consume(4);
    if (S->asleep) notify_awake(&S->notify);
    uint64_t before = u64_load_relaxed(&S->wakes);
    consume(4);
    (void)before;
}
static void sleep_only(void) {
    S->asleep = notify_sleep(&S->notify);
}

/* Whoever sleeps over something new is woken for it: a wake that has been called, after which a look finds it all. */
static void check_awake(void) {
    bool behind = false;
    for (uint32_t i = 0; i < PLACES; i++)
        if (S->taken[i] != S->slots[i].value) behind = true;
    if (behind && S->asleep) EXPECT(S->wakes.value > 0);
    if (S->asleep) notify_awake(&S->notify);
    look(4);
    for (uint32_t i = 0; i < PLACES; i++)
        EXPECT(S->taken[i] == S->slots[i].value);
    /* And nothing is left over: the next sleep is one. */
    EXPECT(notify_sleep(&S->notify));
}
/* A wake counts only for the sleep that it ended. */
static void check_second_sleep(void) {
    bool behind = false;
    for (uint32_t i = 0; i < PLACES; i++)
        if (S->taken[i] != S->slots[i].value) behind = true;
    uint64_t slept = S->notify.epoch.value;
    bool told = false;
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        if (S->woken[i] == slept) told = true;
    if (behind && S->asleep) EXPECT(told);
    check_awake();
}

static const struct scenario scenarios[] = {
    {"notify_one_event", begin, {publish_3, consumer}, check_awake},
    {"notify_two_events", begin, {publish_3_3, consumer}, check_awake},
    {"notify_woken_before", begin_after_sleep, {publish_3, consumer}, check_second_sleep},
    {"notify_told_already", begin_told, {publish_3, consumer}, check_awake},
    {"notify_told_already_two", begin_told, {publish_3, publish_3, consumer}, check_awake},
    {"notify_two_producers_one_place", begin, {publish_3, publish_3, consumer}, check_awake},
    {"notify_two_producers_one_leaf", begin, {publish_3, publish_5, consumer}, check_awake},
    {"notify_two_leaves", begin, {publish_3, publish_70, consumer}, check_awake},
    {"notify_two_leaves_one_producer", begin, {publish_3_70, consumer}, check_awake},
    {"notify_one_at_a_time", begin_told, {publish_5, consumer_of_one}, check_awake},
    {"notify_one_at_a_time_two_leaves", begin_told, {publish_70, consumer_of_one}, check_awake},
    {"notify_resumes_behind", begin_resuming, {publish_3_70, consumer_of_two}, check_awake},
    {"notify_sleeps_twice", begin, {publish_3, consumer_twice}, check_second_sleep},
    {"notify_sleeps_twice_two_events", begin_after_sleep, {publish_3_3, consumer_twice}, check_second_sleep},
    {"notify_set_alone", begin, {tell_3, consumer}, check_awake},
    {"notify_set_alone_told", begin_told, {tell_3, consumer}, check_awake},
    {"notify_only_sleeps", begin, {publish_3, sleep_only}, check_awake},
};
SCENARIOS(scenarios)
