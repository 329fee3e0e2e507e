/* The engine against a naive model, one thread, operation by operation.
 *
 * The model keeps every event ever published in a plain list and answers by arithmetic on it: which sequence comes next,
 * which is the oldest kept, what a cursor must get. Every status, event, gap and fact that the engine gives is compared.
 * Two sessions share the engine, so that cells travel between them and one's ids can be shown to the other.
 *
 * The input: a few bytes of configuration, then operations of one byte and their arguments. What an operation finds
 * impossible (a cursor that is not attached) it leaves out, so any input is a program. */
#include "require.h"

#include <string.h>
#include <weir.h>

#define SESSIONS   2u
#define CURSORS    4u
#define PRODUCERS  2u
#define EVENTS_MAX 2048u
#define LARGE_FROM 1009u /* payloads from here on count against max_session_bytes */

/* ---- The input ------------------------------------------------------------------------------------------------ */

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

static uint32_t draw(struct input *input, uint32_t below) {
    if (input->at == input->end) return 0;
    return *input->at++ % below;
}

/* ---- The model ------------------------------------------------------------------------------------------------ */

struct model_event {
    uint32_t length;
    uint32_t kind;
    uint64_t time_ms;
    uint8_t seed;
    uint8_t evicted; /* by the byte budget */
};

struct model_cursor {
    int attached;
    uint32_t session;
    weir_cursor cursor; /* the engine's */
    uint64_t next;
    uint64_t end; /* 0: none */
    uint32_t depth;
    weir_policy policy;
    int live;
};

struct model_session {
    weir_session *handle;
    uint64_t epoch;
    uint64_t next;
    weir_end_reason ended;
    uint64_t touched_ms;
    uint64_t large_bytes;
    struct model_event events[EVENTS_MAX]; /* by sequence - first */
};

struct world {
    weir_engine *engine;
    weir_producer *producers[PRODUCERS];
    uint64_t now_ms;
    uint64_t first;
    uint32_t capacity;
    uint32_t depth;
    uint64_t ring;
    uint64_t max_session_bytes;
    uint32_t max_event_bytes;
    uint32_t ttl_ms;
    uint32_t kinds[3];
    uint64_t earlier_epochs[SESSIONS]; /* of the life before this one, 0: none */
    uint64_t generation;
    weir_stats expected;
    struct model_session sessions[SESSIONS];
    struct model_cursor cursors[CURSORS];
};

static const char *const names[SESSIONS] = {"a", "b"};

static uint64_t cell_bytes(uint32_t length) {
    uint64_t size = 128;
    while (size < (uint64_t)length + 16)
        size *= 2;
    return size;
}

static struct model_event *event_of(struct world *world, struct model_session *session, uint64_t sequence) {
    return &session->events[sequence - world->first];
}

/* Whether the ring still has it. An end takes no event's place. */
static int is_there(struct world *world, struct model_session *session, uint64_t sequence) {
    if (sequence < world->first || sequence >= session->next) return 0;
    return session->next - sequence <= world->ring && !event_of(world, session, sequence)->evicted;
}

/* The first sequence from next - window on that is there; next when none is. */
static uint64_t oldest_of(struct world *world, struct model_session *session, uint64_t window) {
    uint64_t oldest = session->next - world->first > window ? session->next - window : world->first;
    while (oldest < session->next && !is_there(world, session, oldest))
        oldest++;
    return oldest;
}

static struct model_cursor *refuser_of(struct world *world, uint32_t index) {
    for (uint32_t i = 0; i < CURSORS; i++) {
        struct model_cursor *cursor = &world->cursors[i];
        if (cursor->attached && cursor->session == index && cursor->policy == WEIR_POLICY_REFUSE) return cursor;
    }
    return NULL;
}

static uint32_t subscribers_of(struct world *world, uint32_t index) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < CURSORS; i++)
        count += world->cursors[i].attached && world->cursors[i].session == index;
    return count;
}

/* ---- Sessions ------------------------------------------------------------------------------------------------- */

static void open_session(struct world *world, uint32_t index) {
    struct model_session *session = &world->sessions[index];
    weir_session_info info;
    int created;
    REQUIRE(weir_session_open(world->engine, names[index], 1, WEIR_OPEN_OR_CREATE, &session->handle, &created) == 0);
    REQUIRE(created == 1);
    weir_session_info_get(session->handle, &info);
    REQUIRE(info.epoch != world->earlier_epochs[index]);
    session->epoch = info.epoch;
    session->next = world->first;
    session->ended = WEIR_ENDED_NOT;
    session->touched_ms = world->now_ms;
    session->large_bytes = 0;
}

static void check_session(struct world *world, uint32_t index) {
    struct model_session *session = &world->sessions[index];
    weir_session_info info;
    weir_session_info_get(session->handle, &info);
    REQUIRE(info.name_length == 1 && info.name[0] == names[index][0]);
    REQUIRE(info.epoch == session->epoch);
    REQUIRE(info.newest == session->next - 1);
    REQUIRE(info.oldest == oldest_of(world, session, world->capacity));
    REQUIRE(info.replay_capacity == world->capacity && info.queue_depth == world->depth);
    REQUIRE(info.subscribers == subscribers_of(world, index));
    REQUIRE(info.ended == session->ended);
}

static void end_session(struct world *world, uint32_t index, weir_end_reason reason) {
    if (world->sessions[index].ended != WEIR_ENDED_NOT) return;
    world->sessions[index].ended = reason;
    world->expected.sessions--;
    world->expected.sessions_ended++;
}

static void detach(struct world *world, struct model_cursor *cursor) {
    if (!cursor->attached) return;
    weir_unsubscribe(world->sessions[cursor->session].handle, &cursor->cursor);
    REQUIRE(cursor->cursor.generation == 0);
    cursor->attached = 0;
    world->sessions[cursor->session].touched_ms = world->now_ms;
    world->expected.subscribers--;
}

/* Leaves an ended session for the next life of its name. */
static void begin_again(struct world *world, uint32_t index) {
    struct model_session *session = &world->sessions[index];
    weir_session *found;
    if (session->ended == WEIR_ENDED_NOT) {
        REQUIRE(weir_session_open(world->engine, names[index], 1, WEIR_OPEN_EXISTING, &found, NULL) == WEIR_OK);
        REQUIRE(found == session->handle);
        weir_session_release(found);
        return;
    }
    REQUIRE(weir_session_open(world->engine, names[index], 1, WEIR_OPEN_EXISTING, &found, NULL) == WEIR_NOT_FOUND);
    for (uint32_t i = 0; i < CURSORS; i++)
        if (world->cursors[i].session == index) detach(world, &world->cursors[i]);
    weir_session_release(session->handle);
    world->earlier_epochs[index] = session->epoch;
    open_session(world, index);
    world->expected.sessions++;
    world->expected.sessions_created++;
}

/* ---- Publishing ----------------------------------------------------------------------------------------------- */

static void fill_payload(uint8_t *data, uint32_t length, uint8_t seed) {
    for (uint32_t i = 0; i < length; i++)
        data[i] = (uint8_t)(seed + i * 13 + (i >> 8));
}

/* What the events over LARGE_FROM that the session holds take, and the oldest going first when it is too much. */
static void settle_bytes(struct world *world, struct model_session *session, uint64_t sequence) {
    const struct model_event *event = event_of(world, session, sequence);
    if (sequence - world->first >= world->ring) {
        const struct model_event *replaced = event_of(world, session, sequence - world->ring);
        if (!replaced->evicted && replaced->length >= LARGE_FROM)
            session->large_bytes -= cell_bytes(replaced->length);
    }
    if (event->length < LARGE_FROM) return;
    session->large_bytes += cell_bytes(event->length);
    uint64_t oldest = oldest_of(world, session, world->ring);
    for (; oldest < sequence && session->large_bytes > world->max_session_bytes; oldest++) {
        struct model_event *old = event_of(world, session, oldest);
        if (old->evicted) continue;
        old->evicted = 1;
        if (old->length >= LARGE_FROM) session->large_bytes -= cell_bytes(old->length);
    }
}

static int expected_publish(struct world *world, uint32_t index, uint32_t kind, uint32_t length) {
    const struct model_session *session = &world->sessions[index];
    const struct model_cursor *refuser = refuser_of(world, index);
    if (kind > 3) return WEIR_INVALID;
    if (length > world->max_event_bytes) return WEIR_TOO_LARGE;
    if (length >= LARGE_FROM && cell_bytes(length) > world->max_session_bytes) return WEIR_TOO_LARGE;
    if (session->ended != WEIR_ENDED_NOT) return WEIR_CLOSED;
    if (refuser != NULL && session->next - refuser->next >= refuser->depth && session->next >= refuser->next)
        return WEIR_FULL;
    return WEIR_OK;
}

static void publish(struct world *world, struct input *input) {
    static const uint32_t lengths[] = {0,   1,    7,    16,   111,  112,  113,  240,
                                       500, 1008, 1009, 1500, 2032, 2033, 4080, 5000};
    static uint8_t data[8192];
    uint32_t index = draw(input, SESSIONS);
    uint32_t kind = draw(input, 5);
    uint32_t length = lengths[draw(input, sizeof(lengths) / sizeof(lengths[0]))];
    uint8_t seed = (uint8_t)draw(input, 256);
    struct model_session *session = &world->sessions[index];
    uint64_t sequence = 0;
    if (session->next - world->first >= EVENTS_MAX) return;
    int expected = expected_publish(world, index, kind, length);
    fill_payload(data, length, seed);
    int status =
        weir_publish(world->producers[draw(input, PRODUCERS)], session->handle, kind, data, length, &sequence);
    REQUIRE(status == expected);
    if (status == WEIR_FULL) world->expected.publish_full++;
    if (status != WEIR_OK && status != WEIR_FULL) world->expected.publish_refused++;
    if (status != WEIR_OK) return;
    REQUIRE(sequence == session->next);
    *event_of(world, session, sequence) = (struct model_event){length, kind, world->now_ms, seed, 0};
    session->next++;
    settle_bytes(world, session, sequence);
    world->expected.published++;
    world->expected.published_bytes += length;
}

static void publish_many(struct world *world, struct input *input) {
    uint32_t count = draw(input, 40);
    const uint8_t *at = input->at;
    for (uint32_t i = 0; i < count; i++) {
        input->at = at;
        publish(world, input);
    }
}

/* ---- Subscribing ---------------------------------------------------------------------------------------------- */

struct placing {
    int status;
    uint64_t next;
    weir_gap gap;
};

static struct placing restart(struct world *world, struct model_session *session, uint64_t first_lost,
                              weir_gap_reason reason) {
    uint64_t oldest = oldest_of(world, session, world->capacity);
    struct placing placing = {WEIR_GAP, oldest, {first_lost, oldest - 1, oldest - first_lost, 0, reason}};
    placing.gap.lost_known = reason == WEIR_GAP_EVICTED;
    return placing;
}

static struct placing place_after(struct world *world, uint32_t index, uint64_t epoch, uint64_t last) {
    struct model_session *session = &world->sessions[index];
    if (epoch != session->epoch)
        return restart(world, session, world->first,
                       epoch == world->sessions[1 - index].epoch ? WEIR_GAP_SESSION : WEIR_GAP_EPOCH);
    if (last >= session->next) return restart(world, session, world->first, WEIR_GAP_AHEAD);
    uint64_t wanted = last < world->first ? world->first : last + 1;
    if (wanted < oldest_of(world, session, world->capacity)) return restart(world, session, wanted, WEIR_GAP_EVICTED);
    return (struct placing){WEIR_OK, wanted, {0, 0, 0, 0, WEIR_GAP_NONE}};
}

/* Writes an id of some sort, and says what it must lead to. */
static struct placing choose_id(struct world *world, struct input *input, uint32_t index, char *id, size_t *length) {
    struct model_session *session = &world->sessions[index];
    uint64_t around = session->next + 8 - draw(input, 64);
    uint64_t epoch = session->epoch;
    switch (draw(input, 4)) {
    case 0:
        if (world->earlier_epochs[index] != 0) epoch = world->earlier_epochs[index];
        break;
    case 1:
        epoch = world->sessions[1 - index].epoch;
        break;
    case 2:
        *length = weir_id_format(epoch, around, id);
        id[draw(input, 11)] = '~';
        return restart(world, session, world->first, WEIR_GAP_MALFORMED);
    default:
        break;
    }
    if (around > UINT64_MAX / 2 + EVENTS_MAX + 8) around = 0; /* below zero */
    *length = weir_id_format(epoch, around, id);
    return place_after(world, index, epoch, around);
}

static void subscribe(struct world *world, struct input *input) {
    struct model_cursor *cursor = &world->cursors[draw(input, CURSORS)];
    uint32_t index = draw(input, SESSIONS);
    struct model_session *session = &world->sessions[index];
    char id[WEIR_ID_MAX];
    weir_subscription how = {NULL, 0, WEIR_START_OLDEST, (weir_policy)draw(input, 4), draw(input, 10)};
    struct placing placing = {WEIR_OK, oldest_of(world, session, world->capacity), {0, 0, 0, 0, WEIR_GAP_NONE}};
    weir_gap gap;
    detach(world, cursor);
    switch (draw(input, 3)) {
    case 0:
        break;
    case 1:
        how.start = WEIR_START_NOW;
        placing.next = session->next;
        break;
    default:
        how.last_id = id;
        placing = choose_id(world, input, index, id, &how.last_id_length);
        break;
    }
    if (how.policy == WEIR_POLICY_REFUSE && refuser_of(world, index) != NULL) placing.status = WEIR_BUSY;
    if (how.queue_depth > world->ring) placing.status = WEIR_INVALID;
    REQUIRE(weir_subscribe(session->handle, &how, &cursor->cursor, &gap) == placing.status);
    if (placing.status != WEIR_INVALID) session->touched_ms = world->now_ms;
    if (placing.status != WEIR_OK && placing.status != WEIR_GAP) return;
    REQUIRE(gap.reason == placing.gap.reason && gap.lost == placing.gap.lost && gap.first == placing.gap.first &&
            gap.last == placing.gap.last && gap.lost_known == placing.gap.lost_known);
    world->generation = cursor->cursor.generation > world->generation ? cursor->cursor.generation : 0;
    REQUIRE(world->generation != 0);
    *cursor = (struct model_cursor){1, index,           cursor->cursor, placing.next,
                                    0, how.queue_depth, how.policy,     placing.next == session->next};
    if (cursor->depth == 0) cursor->depth = world->depth;
    REQUIRE(cursor->cursor.next == cursor->next);
    world->expected.subscribers++;
    if (placing.status != WEIR_GAP) return;
    world->expected.gaps++;
    world->expected.lost += gap.lost;
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

/* A gap up to the oldest event that this cursor may still have, one at least, and not beyond its end. */
static int pass_over(struct world *world, struct model_session *session, struct model_cursor *cursor, uint64_t *to) {
    uint64_t window = cursor->live || world->capacity < cursor->depth ? cursor->depth : world->capacity;
    if (cursor->end != 0) window = world->ring;
    *to = oldest_of(world, session, window);
    if (*to <= cursor->next) *to = cursor->next + 1;
    if (cursor->end != 0 && *to > cursor->end) *to = cursor->end;
    return WEIR_GAP;
}

/* The queue closes when one more than fits was published, or when the ring has passed the cursor. */
static void close_queue(struct world *world, struct model_cursor *cursor) {
    if (!cursor->live || cursor->end != 0) return;
    if (cursor->policy != WEIR_POLICY_DETACH && cursor->policy != WEIR_POLICY_EVICT) return;
    cursor->end = cursor->next + cursor->depth;
    if (cursor->policy == WEIR_POLICY_EVICT) end_session(world, cursor->session, WEIR_ENDED_OVERFLOW);
}

static int expected_read(struct world *world, struct model_cursor *cursor, size_t capacity, uint64_t *to) {
    struct model_session *session = &world->sessions[cursor->session];
    int live = cursor->live && cursor->policy != WEIR_POLICY_REFUSE && cursor->end == 0;
    if (live && cursor->depth < world->ring && session->next > cursor->next + cursor->depth) {
        if (cursor->policy == WEIR_POLICY_SKIP) return pass_over(world, session, cursor, to);
        close_queue(world, cursor);
    }
    if (cursor->end != 0 && cursor->next >= cursor->end) return WEIR_LAGGED;
    if (cursor->next == session->next) {
        if (session->ended != WEIR_ENDED_NOT) return WEIR_END;
        cursor->live = 1;
        return WEIR_EMPTY;
    }
    if (!is_there(world, session, cursor->next)) {
        close_queue(world, cursor);
        return pass_over(world, session, cursor, to);
    }
    return event_of(world, session, cursor->next)->length > capacity ? WEIR_TOO_SMALL : WEIR_OK;
}

static void check_event(struct world *world, const struct model_cursor *cursor, const weir_event *event,
                        const uint8_t *buffer) {
    static uint8_t expected[8192];
    const struct model_event *known = event_of(world, &world->sessions[cursor->session], cursor->next);
    REQUIRE(event->sequence == cursor->next && event->length == known->length);
    REQUIRE(event->kind == known->kind && event->time_ms == known->time_ms);
    if (buffer == NULL) return;
    fill_payload(expected, known->length, known->seed);
    REQUIRE(memcmp(buffer, expected, known->length) == 0);
}

/* One read; returns its status. */
static int read_one(struct world *world, struct model_cursor *cursor, size_t capacity) {
    static uint8_t buffer[8192];
    weir_session *handle = world->sessions[cursor->session].handle;
    weir_event event;
    weir_gap gap;
    uint64_t to = 0;
    int expected = expected_read(world, cursor, capacity, &to);
    int status = weir_read(handle, &cursor->cursor, buffer, capacity, &event, &gap);
    REQUIRE(status == expected);
    if (status == WEIR_OK || status == WEIR_TOO_SMALL)
        check_event(world, cursor, &event, status == 0 ? buffer : NULL);
    if (status == WEIR_OK) cursor->next++;
    if (status == WEIR_GAP) {
        REQUIRE(gap.first == cursor->next && gap.last == to - 1 && gap.lost == to - cursor->next);
        REQUIRE(gap.reason == WEIR_GAP_SLOW && gap.lost_known == 1);
        world->expected.gaps++;
        world->expected.lost += gap.lost;
        cursor->next = to;
    }
    REQUIRE(cursor->cursor.next == cursor->next);
    return status;
}

static void read_some(struct world *world, struct input *input) {
    static const size_t capacities[] = {8192, 8192, 8192, 0, 1, 112, 1500};
    struct model_cursor *cursor = &world->cursors[draw(input, CURSORS)];
    uint32_t count = draw(input, 24);
    size_t capacity = capacities[draw(input, 7)];
    if (!cursor->attached) return;
    for (uint32_t i = 0; i < count; i++) {
        int status = read_one(world, cursor, capacity);
        if (status != WEIR_OK && status != WEIR_GAP) return;
    }
}

static void advance(struct world *world, struct input *input) {
    struct model_cursor *cursor = &world->cursors[draw(input, CURSORS)];
    uint32_t distance = draw(input, 8);
    if (!cursor->attached) return;
    uint64_t to = cursor->next + distance;
    if (to > world->sessions[cursor->session].next) to = world->sessions[cursor->session].next;
    weir_cursor_advance(world->sessions[cursor->session].handle, &cursor->cursor, to);
    cursor->next = to;
    REQUIRE(cursor->cursor.next == to);
}

/* ---- Time ----------------------------------------------------------------------------------------------------- */

static uint64_t read_now_ns(void *context) {
    return ((const struct world *)context)->now_ms * 1000000u;
}
static uint64_t read_wall_ms(void *context) {
    return ((const struct world *)context)->now_ms;
}

static int fill_nothing_random(void *context, void *memory, size_t size) {
    (void)context;
    memset(memory, 0x5A, size);
    return 0;
}

static int is_idle(struct world *world, uint32_t index) {
    struct model_session *session = &world->sessions[index];
    uint64_t active_ms = session->touched_ms;
    if (session->ended != WEIR_ENDED_NOT || subscribers_of(world, index) > 0) return 0;
    if (session->next > world->first) {
        uint64_t published_ms = event_of(world, session, session->next - 1)->time_ms;
        if (published_ms > active_ms) active_ms = published_ms;
    }
    return world->now_ms - active_ms >= world->ttl_ms;
}

static void sweep(struct world *world, struct input *input) {
    uint32_t expected = 0;
    world->now_ms += draw(input, 60);
    REQUIRE(weir_engine_tick(world->engine) == world->now_ms * 1000000u);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        if (!is_idle(world, i)) continue;
        end_session(world, i, WEIR_ENDED_EXPIRED);
        expected++;
    }
    REQUIRE(weir_engine_sweep(world->engine, 100) == expected);
    world->expected.sessions_expired += expected;
}

/* ---- Everything ----------------------------------------------------------------------------------------------- */

static void check_stats(struct world *world) {
    weir_stats stats;
    weir_engine_stats(world->engine, &stats);
    world->expected.cell_bytes = stats.cell_bytes;
    world->expected.kinds = 3;
    REQUIRE(memcmp(&stats, &world->expected, sizeof(stats)) == 0);
}

static void perform(struct world *world, struct input *input) {
    switch (draw(input, 10)) {
    case 0:
    case 1:
        publish(world, input);
        break;
    case 2:
        publish_many(world, input);
        break;
    case 3:
        subscribe(world, input);
        break;
    case 4:
    case 5:
        read_some(world, input);
        break;
    case 6:
        detach(world, &world->cursors[draw(input, CURSORS)]);
        break;
    case 7: {
        uint32_t index = draw(input, SESSIONS);
        if (draw(input, 4) == 0) {
            weir_session_terminate(world->sessions[index].handle);
            end_session(world, index, WEIR_ENDED_TERMINATED);
        } else {
            begin_again(world, index);
        }
        break;
    }
    case 8:
        sweep(world, input);
        break;
    default:
        advance(world, input);
        break;
    }
    for (uint32_t i = 0; i < SESSIONS; i++)
        check_session(world, i);
    check_stats(world);
}

static void open_world(struct world *world, struct input *input) {
    static const uint64_t firsts[] = {
        1, 2, 1000, (1ull << 29) - 20, (1ull << 31) - 20, (1ull << 32) - 20, UINT64_MAX / 2 - 1};
    weir_config config = WEIR_CONFIG_INIT;
    world->capacity = draw(input, 18);
    world->depth = draw(input, 10);
    world->first = firsts[draw(input, 7)];
    world->max_session_bytes = (uint64_t)draw(input, 6) * 3000 + 1;
    world->max_event_bytes = draw(input, 3) == 0 ? 1500 : 4500;
    world->ttl_ms = 1 + draw(input, 100);
    world->now_ms = draw(input, 2) == 0 ? 1000 : UINT32_MAX - 50u;
    config.max_sessions = 2 * SESSIONS;
    config.max_bytes = 8u << 20; /* never reached; small tables make a run fast */
    config.max_kinds = 3;
    config.replay_capacity = world->capacity != 0 ? world->capacity : WEIR_NONE;
    config.queue_depth = world->depth;
    config.first_sequence = world->first;
    config.max_session_bytes = world->max_session_bytes;
    config.max_event_bytes = world->max_event_bytes;
    config.idle_ttl_ms = world->ttl_ms;
    config.clock = (weir_clock){read_now_ns, read_wall_ms, world};
    config.entropy.fill = fill_nothing_random;
    if (world->depth == 0) world->depth = world->capacity > 0 ? world->capacity : 256;
    for (world->ring = 1; world->ring < world->capacity || world->ring < world->depth;)
        world->ring *= 2;
    REQUIRE(weir_engine_create(&world->engine, &config) == WEIR_OK);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        REQUIRE(weir_producer_create(world->engine, &world->producers[i]) == WEIR_OK);
    for (uint32_t i = 0; i < 3; i++) {
        REQUIRE(weir_kind(world->engine, &"xyz"[i], 1, &world -> kinds[i]) == WEIR_OK);
        REQUIRE(world->kinds[i] == i + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct world world;
    struct input input = {data, data + size};
    memset(&world, 0, sizeof(world));
    open_world(&world, &input);
    for (uint32_t i = 0; i < SESSIONS; i++)
        open_session(&world, i);
    world.expected.sessions = world.expected.sessions_created = SESSIONS;
    while (input.at < input.end)
        perform(&world, &input);
    for (uint32_t i = 0; i < CURSORS; i++) {
        if (!world.cursors[i].attached) continue;
        int status;
        do {
            status = read_one(&world, &world.cursors[i], 8192);
        } while (status == WEIR_OK || status == WEIR_GAP);
        detach(&world, &world.cursors[i]);
    }
    check_stats(&world);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        weir_producer_destroy(world.producers[i]);
    for (uint32_t i = 0; i < SESSIONS; i++)
        weir_session_release(world.sessions[i].handle);
    weir_engine_destroy(world.engine);
    return 0;
}
