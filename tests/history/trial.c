#include "trial.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_WORDS 40u /* at most: several classes of cells */

static void require(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

/* ---- Subjects ------------------------------------------------------------------------------------------------- */

void subject_open(struct subject *subject, uint32_t capacity, uint64_t first_sequence) {
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 64;
    config.max_subscribers = 64;
    config.replay_capacity = capacity;
    config.first_sequence = first_sequence;
    *subject = (struct subject){.capacity = capacity, .ring = 1, .before = first_sequence - 1};
    while (subject->ring < capacity)
        subject->ring *= 2;
    require(weir_engine_create(&subject->engine, &config) == WEIR_OK, "an engine is made");
    for (uint32_t i = 0; i < TEAM_MAX; i++)
        require(weir_producer_create(subject->engine, &subject->producers[i]) == WEIR_OK, "a producer is made");
}

void subject_close(struct subject *subject) {
    for (uint32_t i = 0; i < TEAM_MAX; i++)
        weir_producer_destroy(subject->producers[i]);
    weir_engine_destroy(subject->engine);
}

/* ---- Trials --------------------------------------------------------------------------------------------------- */

void trial_begin(struct trial *trial, struct team *team, struct subject *subject, uint64_t seed, uint32_t steps) {
    struct random random = random_start(seed, 0);
    trial->subject = subject;
    trial->threads = team->size;
    trial->finishing = random_below(&random, 3) == 0 ? 20 : 0;
    trial->history.settings = (struct settings){.ring = subject->ring, .capacity = subject->capacity};
    u64_store_relaxed(&trial->instants, 0); /* relaxed: the team's start carries it */
    for (uint32_t i = 0; i < team->size; i++) {
        struct lane *lane = &trial->lanes[i];
        lane->count = 0;
        lane->published = 0;
        lane->index = i;
        lane->random = random_start(seed, i + 1);
        lane->steps = steps / team->size - random_below(&lane->random, steps / team->size / 2 + 1);
    }
}

void trial_collect(struct trial *trial) {
    trial->history.count = 0;
    for (uint32_t i = 0; i < trial->threads; i++)
        for (uint32_t j = 0; j < trial->lanes[i].count; j++) {
            require(trial->history.count < HISTORY_MAX, "a history has room for its operations");
            trial->history.operations[trial->history.count++] = trial->lanes[i].operations[j];
        }
}

void trial_open_session(struct trial *trial) {
    weir_engine *engine = trial->subject->engine;
    int created;
    require(weir_session_open(engine, "s", 1, WEIR_OPEN_OR_CREATE, &trial->session, &created) == WEIR_OK && created,
            "each history has a new session");
    require(weir_channel_open(engine, "c", 1, WEIR_OPEN_OR_CREATE, &trial->channel, NULL) == WEIR_OK &&
                weir_channel_join(trial->channel, trial->session, NULL) == WEIR_OK,
            "the session is in the channel");
}

void trial_close_session(struct trial *trial) {
    weir_session_terminate(trial->session);
    require(weir_channel_members(trial->channel) == 0, "nothing stays in the channel");
    weir_channel_release(trial->channel);
    weir_session_release(trial->session);
}

struct operation *lane_begin(struct trial *trial, struct lane *lane, enum operation_kind kind) {
    require(lane->count < LANE_MAX, "a lane has room for its operations");
    struct operation *operation = &lane->operations[lane->count++];
    *operation = (struct operation){.kind = (uint8_t)kind, .thread = (uint8_t)lane->index};
    operation->invoked = instant_draw(&trial->instants);
    return operation;
}

void lane_finish(struct trial *trial, struct operation *operation, int status) {
    operation->responded = instant_draw(&trial->instants);
    operation->status = status;
}

void lane_pause(struct lane *lane) {
    if (random_below(&lane->random, 6) == 0) sched_yield();
}

/* ---- Events --------------------------------------------------------------------------------------------------- */

/* An event is its value, again and again. */
static size_t fill(struct lane *lane, uint64_t *payload, uint64_t value) {
    uint32_t words = 1 + random_below(&lane->random, PAYLOAD_WORDS);
    for (uint32_t i = 0; i < words; i++)
        payload[i] = value + i * (value << 32);
    return words * sizeof(uint64_t);
}

/* The value of a whole event; what is torn has a value that nobody published. */
static uint64_t value_of(const uint64_t *payload, size_t length) {
    for (uint32_t i = 0; i < length / sizeof(uint64_t); i++)
        if (payload[i] != payload[0] + i * (payload[0] << 32)) return UINT64_MAX;
    return length > 0 ? payload[0] : UINT64_MAX;
}

/* To a channel of one member: the event is that session's, in its order, and what kept it out is told as a count. */
static int broadcast(struct trial *trial, struct lane *lane, const weir_message *message) {
    weir_broadcast result;
    int status = weir_channel_publish(trial->subject->producers[lane->index], trial->channel, message, &result);
    if (status != WEIR_OK) return status;
    if (result.accepted == 1) return WEIR_OK;
    return result.full == 1 ? WEIR_FULL : WEIR_CLOSED;
}

static int publish_somehow(struct trial *trial, struct lane *lane, const weir_message *message, uint64_t *sequence) {
    weir_producer *producer = trial->subject->producers[lane->index];
    weir_receipt receipt = {0};
    int status;
    switch (random_below(&lane->random, 8)) {
    case 0:
        return broadcast(trial, lane, message);
    case 1:
        status = weir_send(producer, "s", 1, message, &receipt);
        if (status == WEIR_NOT_FOUND) status = WEIR_CLOSED; /* its name is gone with it */
        break;
    case 2:
        status = weir_offer_wait(producer, trial->session, message, 1, &receipt);
        break;
    case 3:
    case 4:
        status = weir_offer(producer, trial->session, message, &receipt);
        break;
    default:
        status = weir_publish(producer, trial->session, 0, message->data, message->length, &receipt.sequence);
        break;
    }
    if (status == WEIR_OK) *sequence = receipt.sequence - trial->subject->before;
    return status;
}

void lane_publish(struct trial *trial, struct lane *lane) {
    uint64_t payload[PAYLOAD_WORDS];
    uint64_t value = (uint64_t)(lane->index + 1) << 8 | ++lane->published;
    weir_message message = {.data = payload, .length = fill(lane, payload, value)};
    struct operation *operation = lane_begin(trial, lane, OPERATION_PUBLISH);
    uint64_t sequence = 0;
    int status = publish_somehow(trial, lane, &message, &sequence);
    operation->value = value;
    operation->sequence = sequence;
    lane_finish(trial, operation, status);
}

int lane_read(struct trial *trial, struct lane *lane, weir_cursor *cursor, uint8_t number) {
    uint64_t payload[PAYLOAD_WORDS];
    weir_event event = {0};
    weir_gap gap;
    struct operation *operation = lane_begin(trial, lane, OPERATION_READ);
    int status = weir_read(trial->session, cursor, payload, sizeof(payload), &event, &gap);
    lane_finish(trial, operation, status);
    operation->cursor = number;
    if (status == WEIR_OK) {
        operation->sequence = event.sequence - trial->subject->before;
        operation->value = value_of(payload, event.length);
    } else if (status == WEIR_GAP) {
        operation->sequence = gap.first - trial->subject->before;
        operation->last = gap.last - trial->subject->before;
        require(gap.lost == gap.last - gap.first + 1 && gap.lost_known == 1, "a gap counts what it names");
    }
    return status;
}

void lane_end(struct trial *trial, struct lane *lane) {
    bool by_name = random_below(&lane->random, 2) == 0;
    struct operation *operation = lane_begin(trial, lane, OPERATION_END);
    int status =
        by_name ? weir_session_remove(trial->subject->engine, "s", 1) : weir_session_terminate(trial->session);
    lane_finish(trial, operation, status == WEIR_NOT_FOUND ? WEIR_CLOSED : status);
}

/* A snapshot is right number by number: each is a look of its own, somewhere in the same call. */
void lane_look(struct trial *trial, struct lane *lane) {
    weir_session_info info;
    struct operation *next = lane_begin(trial, lane, OPERATION_NEXT);
    weir_session_info_get(trial->session, &info);
    lane_finish(trial, next, WEIR_OK);
    next->sequence = info.newest + 1 - trial->subject->before;
    struct operation *state = &lane->operations[lane->count++];
    *state = *next;
    state->kind = OPERATION_STATE;
    state->status = info.ended == WEIR_ENDED_NOT ? WEIR_OK : WEIR_CLOSED;
    if (trial->history.specification != &log_specification) return;
    struct operation *oldest = &lane->operations[lane->count++];
    *oldest = *next;
    oldest->kind = OPERATION_OLDEST;
    oldest->sequence = info.oldest - trial->subject->before;
}
