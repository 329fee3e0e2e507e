/* Operations: consumers that come, read, acknowledge, go, and are cut off. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "replay_world.h"

static weir_cursor *cursor_of(struct world *world, const struct model_consumer *consumer) {
    return &world->cursors[consumer - world->model.consumers];
}

static struct tally *tally_of(struct world *world, const struct model_consumer *consumer) {
    return &world->tallies[consumer - world->model.consumers];
}

/* ---- Beginning ------------------------------------------------------------------------------------------------ */

/* A sequence: around the newest one, or at either end of all there are. */
static uint64_t choose_sequence(struct world *world, struct input *input, const struct model_life *life) {
    uint32_t choice = draw(input, 64);
    if (choice == 60) return 0;
    if (choice == 61) return UINT64_MAX;
    if (choice == 62) return world->model.first;
    return life->next + 8 > choice ? life->next + 8 - choice : 0;
}

/* Writes an id as a client would send it, and checks that the engine would write the same. */
static size_t write_id(struct world *world, const struct model_life *life, const struct model_wish *wish, char *id) {
    char own[WEIR_ID_MAX];
    bool bare = world->model.config.rules.id_form == WEIR_IDS_BARE;
    int written = snprintf(id, WEIR_ID_MAX, "%" PRIu64, wish->sequence);
    size_t length = bare ? (size_t)written : weir_id_format(wish->epoch, wish->sequence, id);
    if (!bare && wish->epoch != life->epoch) return length;
    REQUIRE(weir_session_id_format(handle_of(world, life), wish->sequence, own) == length);
    REQUIRE(memcmp(own, id, length) == 0);
    return length;
}

static void choose_id(struct world *world, struct input *input, const struct model_life *life,
                      struct model_wish *wish, char *id) {
    uint32_t choice = draw(input, 8);
    if (choice < 2) return;
    const struct model_life *other = &world->model.lives[draw(input, MODEL_LIVES)];
    wish->id = MODEL_ID_GIVEN;
    wish->epoch = life->epoch;
    wish->sequence = choose_sequence(world, input, life);
    if (choice == 2 && other->epoch != 0) wish->epoch = other->epoch;
    if (choice == 3 && world->ended_epoch != 0) wish->epoch = world->ended_epoch;
    wish->how.last_id = id;
    wish->how.last_id_length = write_id(world, life, wish, id);
    if (wish->how.last_id_length > 31) wish->id = MODEL_ID_MALFORMED; /* 20 digits behind an epoch are too many */
    if (choice != 4) return;
    wish->id = MODEL_ID_MALFORMED;
    id[draw(input, (uint32_t)wish->how.last_id_length)] = '~';
}

static void choose_terms(struct world *world, struct input *input, struct model_wish *wish) {
    static const char *const people[MODEL_PEOPLE] = {NULL, "p", "q"};
    weir_subscription *how = &wish->how;
    how->policy = (weir_policy)draw(input, 6);
    how->queue_depth = draw(input, 12);
    uint32_t bounds = draw(input, 32);
    how->full_consecutive_max = bounds == 31 ? 1024 : bounds % 4;
    how->full_total_max = bounds == 30 ? 4096 : bounds / 4 % 4;
    uint32_t terms = draw(input, 256);
    how->acknowledged = terms % 4 == 3;
    wish->principal = terms / 4 % MODEL_PEOPLE;
    wish->address = terms / 16 % MODEL_PEOPLE;
    how->principal = people[wish->principal];
    how->principal_length = wish->principal != 0;
    how->address = people[wish->address];
    how->address_length = wish->address != 0;
    if (terms >= 192) how->token_expiry_s = world->model.wall_ms / 1000 + terms % 8 - 1;
}

static int call(struct world *world, struct model_wish *wish, struct model_life *life, weir_cursor *cursor,
                weir_gap *gap) {
    weir_session *session = handle_of(world, life);
    const weir_subscription *how = wish->plain ? NULL : &wish->how;
    if (wish->way == MODEL_ATTACH) return weir_attach(session, how, cursor, gap);
    if (wish->way == MODEL_REPLAY) return weir_replay(session, how, cursor, gap);
    return weir_subscribe(session, how, cursor, gap);
}

static bool is_limit(int status) {
    return status == WEIR_SUBSCRIBERS_LIMIT || status == WEIR_PRINCIPAL_LIMIT || status == WEIR_ADDRESS_LIMIT;
}

/* PRP-04: no generation is given twice, and each is larger than all before it. */
static void check_cursor(struct world *world, const struct model_consumer *consumer, enum model_way way) {
    const weir_cursor *cursor = cursor_of(world, consumer);
    REQUIRE(cursor->next == consumer->next && cursor->end == consumer->end && cursor->live == consumer->live);
    if (way == MODEL_REPLAY) {
        REQUIRE(cursor->generation == 0);
        return;
    }
    REQUIRE(cursor->generation > world->generation);
    REQUIRE(cursor->queue_depth == consumer->depth && cursor->policy == consumer->policy);
    world->generation = cursor->generation;
}

void begin(struct world *world, struct input *input, enum model_way way) {
    struct model_consumer *consumer = &world->model.consumers[draw(input, MODEL_CONSUMERS)];
    struct model_life *life = choose_life(world, input);
    weir_cursor *cursor = cursor_of(world, consumer);
    weir_refusal refusal = {0, NULL, 0, 0};
    struct model_placing placing;
    struct model_wish wish;
    char id[WEIR_ID_MAX];
    weir_gap gap;
    if (life == NULL) return;
    unsubscribe(world, consumer);
    memset(&wish, 0, sizeof(wish));
    wish.way = way;
    wish.plain = draw(input, 8) == 0;
    if (!wish.plain) {
        wish.how.start = (weir_start)draw(input, 3);
        if (wish.how.start == WEIR_START_AFTER) wish.how.after = choose_sequence(world, input, life);
        choose_id(world, input, life, &wish, id);
        choose_terms(world, input, &wish);
        wish.how.refusal = &refusal;
    }
    int status = call(world, &wish, life, cursor, &gap);
    model_begin(&world->model, consumer, life, &wish, cursor->generation, &placing);
    REQUIRE(status == placing.status);
    if (is_limit(status) && !wish.plain)
        REQUIRE(refusal.status == status && refusal.limit == placing.limit && refusal.current == placing.current);
    if (status != WEIR_OK && status != WEIR_GAP) {
        REQUIRE(cursor->generation == 0 && consumer->life == NULL);
        return;
    }
    REQUIRE(memcmp(&gap, &placing.gap, sizeof(gap)) == 0);
    check_cursor(world, consumer, way);
    *tally_of(world, consumer) = (struct tally){.start = cursor->next};
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

static void check_event(struct world *world, const struct model_consumer *consumer, const struct model_read *read,
                        const weir_event *event, const uint8_t *buffer) {
    static uint8_t expected[8192];
    const struct model_event *known = model_event_of(&world->model, consumer->life, read->sequence);
    REQUIRE(event->sequence == read->sequence && event->length == known->length);
    REQUIRE(event->kind == known->kind && event->time_ms == known->time_ms);
    if (read->status == WEIR_TOO_SMALL) return;
    REQUIRE(event->keyed == known->keyed && event->broadcast == 0 && event->superseded == read->superseded);
    REQUIRE(event->key == (known->keyed ? known->key : 0));
    fill_payload(expected, known->length, known->seed);
    REQUIRE(memcmp(buffer, expected, known->length) == 0);
}

static int read_one(struct world *world, struct model_consumer *consumer, size_t capacity) {
    static uint8_t buffer[8192];
    weir_session *session = handle_of(world, consumer->life);
    weir_cursor *cursor = cursor_of(world, consumer);
    struct tally *tally = tally_of(world, consumer);
    struct model_read read;
    weir_event event;
    weir_gap gap;
    memset(&gap, 0xA5, sizeof(gap));
    model_read(&world->model, consumer, capacity, &read);
    weir_gap expected = gap;
    if (read.gap_told) expected = read.gap;
    int status = weir_read(session, cursor, buffer, capacity, &event, &gap);
    REQUIRE(status == read.status);
    REQUIRE(memcmp(&gap, &expected, sizeof(gap)) == 0);
    REQUIRE(cursor->next == consumer->next && cursor->end == consumer->end && cursor->live == consumer->live);
    if (status == WEIR_END || status == WEIR_LAGGED) REQUIRE(cursor->ended == consumer->ended);
    tally->lost += status == WEIR_GAP ? gap.lost : read.lost;
    if (status == WEIR_OK || status == WEIR_TOO_SMALL) check_event(world, consumer, &read, &event, buffer);
    if (status != WEIR_OK) return status;
    tally->emitted++;
    tally->superseded += event.superseded;
    return status;
}

void read_some(struct world *world, struct input *input) {
    static const size_t capacities[] = {8192, 8192, 8192, 8192, 0, 1, 112, 1500};
    struct model_consumer *consumer = &world->model.consumers[draw(input, MODEL_CONSUMERS)];
    uint32_t how = draw(input, 256);
    if (consumer->life == NULL) return;
    for (uint32_t i = 0; i < how / 8; i++) {
        int status = read_one(world, consumer, capacities[how % 8]);
        if (status != WEIR_OK && status != WEIR_GAP) return;
    }
}

void read_to_the_end(struct world *world, struct model_consumer *consumer) {
    int status;
    if (consumer->life == NULL) return;
    do {
        status = read_one(world, consumer, 8192);
    } while (status == WEIR_OK || status == WEIR_GAP);
}

/* Forward by other means, or an acknowledgement, of what was not read as well. */
void move(struct world *world, struct input *input) {
    struct model_consumer *consumer = &world->model.consumers[draw(input, MODEL_CONSUMERS)];
    uint32_t how = draw(input, 32);
    if (consumer->life == NULL) return;
    weir_session *session = handle_of(world, consumer->life);
    weir_cursor *cursor = cursor_of(world, consumer);
    if (how % 2 == 0) {
        uint64_t before = consumer->next;
        uint64_t next = before + how / 2 > 4 ? before + how / 2 - 4 : 0;
        if (next > consumer->life->next) next = consumer->life->next;
        model_advance(consumer, next);
        weir_cursor_advance(session, cursor, next);
        tally_of(world, consumer)->advanced += consumer->next - before;
    } else {
        uint64_t sequence = consumer->next + 2 - how / 2;
        model_acknowledge(consumer, sequence);
        weir_acknowledge(session, cursor, sequence);
    }
    REQUIRE(cursor->next == consumer->next);
}

/* ---- Ending --------------------------------------------------------------------------------------------------- */

/* Every sequence between its first and its last place was given to it, or named in a gap, or superseded (PRP-01). */
void unsubscribe(struct world *world, struct model_consumer *consumer) {
    weir_cursor *cursor = cursor_of(world, consumer);
    const struct tally *tally = tally_of(world, consumer);
    if (consumer->life == NULL) return;
    weir_session *session = handle_of(world, consumer->life);
    uint64_t accounted = tally->emitted + tally->lost + tally->superseded + tally->advanced + consumer->passed;
    REQUIRE(tally->start + accounted == cursor->next);
    model_unsubscribe(&world->model, consumer);
    weir_unsubscribe(session, cursor);
    REQUIRE(cursor->generation == 0);
    weir_unsubscribe(session, cursor); /* late clean-up is harmless */
}

void unsubscribe_one(struct world *world, struct input *input) {
    unsubscribe(world, &world->model.consumers[draw(input, MODEL_CONSUMERS)]);
}

/* By the newest generation, by one before it, by none, by any consumer's (SES-08, SES-15). */
void detach(struct world *world, struct input *input) {
    struct model_life *life = choose_life(world, input);
    uint32_t how = draw(input, 4 + MODEL_CONSUMERS);
    if (life == NULL) return;
    uint64_t generation = life->newest != NULL ? life->newest->generation : 0;
    if (how == 1) generation--;
    if (how == 2) generation = 0;
    if (how >= 4) generation = world->cursors[how - 4].generation;
    int expected = model_detach(&world->model, life, generation);
    REQUIRE(weir_detach(handle_of(world, life), generation) == expected);
}
