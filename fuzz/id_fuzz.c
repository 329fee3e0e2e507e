/* Wire ids and Last-Event-ID. Any bytes as an id, and ids that are right, nearly right, or of somebody else: what the
 * engine reads must be what a plain reader reads, each id has one spelling, and a reader that presents it is placed
 * inside the window, or told a gap that says exactly what the contract says. Faults: S02, S13, S14, A04.
 *
 * The sessions stand on a stage that is built once and never changes: placing a reader leaves nothing behind.
 *
 * The input: a byte for the session, a byte for the way, then the id, or the numbers that it is made of. */
#include <stdbool.h>
#include <string.h>

#include <weir.h>

#include "require.h"
#include "session/id.h"

enum { ENGINES = 4, SESSIONS = 4, CAPACITY = 8 };

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

struct place {
    weir_session *session;
    const weir_config *config;
    uint64_t epoch;
    uint64_t first, oldest, next;
    uint64_t earlier_epoch; /* of a life before, 0: none */
};

static struct place stage[ENGINES][SESSIONS];

/* ---- The stage ------------------------------------------------------------------------------------------------ */

static uint64_t frozen(void *context) {
    (void)context;
    return 1000000000u;
}

static int fill_counted(void *context, void *memory, size_t size) {
    static uint8_t drawn;
    (void)context;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)memory)[i] = (uint8_t)(++drawn * 37u);
    return 0;
}

static uint64_t epoch_of(const weir_session *session) {
    weir_session_info info;
    weir_session_info_get(session, &info);
    return info.epoch;
}

static void publish(weir_producer *producer, struct place *place, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        uint64_t sequence;
        uint64_t stamp = place->next;
        REQUIRE(weir_publish(producer, place->session, 0, &stamp, sizeof(stamp), &sequence) == WEIR_OK);
        REQUIRE(sequence == place->next);
        place->next++;
    }
    if (place->next - place->first > CAPACITY) place->oldest = place->next - CAPACITY;
}

/* Session 0 is empty, 1 has kept everything, 2 has lost some, 3 is the second life of its name. */
static void build_sessions(weir_engine *engine, struct place *places) {
    static const unsigned counts[SESSIONS] = {0, 5, 21, 12};
    weir_producer *producer;
    REQUIRE(weir_producer_create(engine, &producer) == WEIR_OK);
    for (int i = 0; i < SESSIONS; i++) {
        struct place *place = &places[i];
        const char name[] = {(char)('a' + i)};
        place->config = weir_engine_config(engine);
        place->first = place->oldest = place->next = place->config->first_sequence;
        REQUIRE(weir_session_open(engine, name, 1, WEIR_OPEN_OR_CREATE, &place->session, NULL) == WEIR_OK);
        if (i == 3) {
            place->earlier_epoch = epoch_of(place->session);
            REQUIRE(weir_session_terminate(place->session) == WEIR_OK);
            weir_session_release(place->session);
            REQUIRE(weir_session_open(engine, name, 1, WEIR_OPEN_OR_CREATE, &place->session, NULL) == WEIR_OK);
        }
        place->epoch = epoch_of(place->session);
        publish(producer, place, counts[i]);
    }
    weir_producer_destroy(producer);
}

static void build_stage(void) {
    static const uint64_t firsts[ENGINES] = {1, WEIR_FROM_ZERO, (1ull << 32) - 7, UINT64_MAX / 2 - 1};
    for (int i = 0; i < ENGINES; i++) {
        weir_engine *engine;
        weir_config config = WEIR_CONFIG_INIT;
        config.max_sessions = 2 * SESSIONS;
        config.replay_capacity = CAPACITY;
        config.first_sequence = firsts[i];
        config.rules.id_form = i % 2 == 1 ? WEIR_IDS_BARE : WEIR_IDS_EPOCH;
        config.rules.ahead = i / 2 == 1 ? WEIR_AHEAD_EMPTY : WEIR_AHEAD_RESTART;
        config.clock = (weir_clock){frozen, frozen, NULL};
        config.entropy = (weir_entropy){fill_counted, NULL};
        REQUIRE(weir_engine_create(&engine, &config) == WEIR_OK);
        build_sessions(engine, stage[i]);
    }
}

/* ---- The plain reader of ids ---------------------------------------------------------------------------------- */

static bool read_number(const char *text, size_t length, size_t most, uint64_t *number) {
    unsigned __int128 value = 0;
    if (length == 0 || length > most) return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *number = (uint64_t)value;
    return value <= UINT64_MAX;
}

static bool read_id(const char *text, size_t length, uint64_t *epoch, uint64_t *sequence) {
    unsigned __int128 value = 0;
    if (length < 13 || text[11] != '.') return false;
    for (int i = 0; i < 11; i++) {
        const char *digit = text[i] == '\0' ? NULL : strchr(alphabet, text[i]);
        if (digit == NULL) return false;
        value = value << 6 | (unsigned)(digit - alphabet);
    }
    if (value > UINT64_MAX || (length > 13 && text[12] == '0')) return false;
    *epoch = (uint64_t)value;
    return read_number(text + 12, length - 12, 19, sequence);
}

static void require_reading(const char *text, size_t length) {
    uint64_t epoch = 0, sequence = 0, expected_epoch = 0, expected_sequence = 0, bare = 0, expected_bare = 0;
    char again[WEIR_ID_MAX];
    bool is_id = id_parse(text, length, &epoch, &sequence);
    REQUIRE(is_id == read_id(text, length, &expected_epoch, &expected_sequence));
    if (is_id) {
        REQUIRE(epoch == expected_epoch && sequence == expected_sequence);
        REQUIRE(weir_id_format(epoch, sequence, again) == length && memcmp(again, text, length) == 0);
    }
    bool is_number = id_parse_bare(text, length, &bare);
    REQUIRE(is_number == read_number(text, length, 20, &expected_bare));
    if (is_number) REQUIRE(bare == expected_bare);
}

/* What is written is of the safe alphabet, and comes back. */
static void require_writing(uint64_t epoch, uint64_t sequence) {
    char id[WEIR_ID_MAX];
    char front[WEIR_ID_MAX];
    uint64_t read_epoch = ~epoch, read_sequence = ~sequence;
    size_t length = weir_id_format(epoch, sequence, id);
    REQUIRE(length >= 13 && length <= 32 && id[11] == '.');
    REQUIRE(weir_epoch_format(epoch, front) == 11 && memcmp(front, id, 11) == 0);
    for (size_t i = 0; i < length; i++)
        REQUIRE(i == 11 || strchr(alphabet, id[i]) != NULL);
    if (sequence < 10000000000000000000u) {
        REQUIRE(id_parse(id, length, &read_epoch, &read_sequence));
        REQUIRE(read_epoch == epoch && read_sequence == sequence);
    }
}

/* ---- Placing -------------------------------------------------------------------------------------------------- */

static uint64_t expect_restart(const struct place *place, weir_gap_reason reason, weir_gap *gap) {
    *gap = (weir_gap){place->first, place->oldest - 1, place->oldest - place->first, 0, reason};
    return place->oldest;
}

static uint64_t expect_after(const struct place *place, uint64_t last, weir_gap *gap) {
    if (last >= place->next && place->config->rules.ahead == WEIR_AHEAD_EMPTY) {
        *gap = (weir_gap){place->next, place->next - 1, 0, 0, WEIR_GAP_AHEAD};
        return place->next;
    }
    if (last >= place->next) return expect_restart(place, WEIR_GAP_AHEAD, gap);
    uint64_t wanted = last < place->first ? place->first : last + 1;
    if (wanted >= place->oldest) return wanted;
    *gap = (weir_gap){wanted, place->oldest - 1, place->oldest - wanted, 1, WEIR_GAP_EVICTED};
    return place->oldest;
}

/* By the contract's words (design 4, RPL-20, RPL-21, C-01). */
static uint64_t expect(const struct place *place, const weir_subscription *how, weir_gap *gap) {
    uint64_t epoch, last;
    memset(gap, 0, sizeof(*gap));
    if (place->config->rules.id_form == WEIR_IDS_BARE) {
        if (read_number(how->last_id, how->last_id_length, 20, &last) && last >= place->first)
            return expect_after(place, last, gap);
    } else if (how->last_id_length > 0) {
        if (!read_id(how->last_id, how->last_id_length, &epoch, &last))
            return expect_restart(place, WEIR_GAP_MALFORMED, gap);
        if (epoch == place->epoch) return expect_after(place, last, gap);
        bool same_name = epoch >> 48 == place->epoch >> 48;
        return expect_restart(place, same_name ? WEIR_GAP_EPOCH : WEIR_GAP_SESSION, gap);
    }
    if (how->start == WEIR_START_AFTER) return expect_after(place, how->after, gap);
    return how->start == WEIR_START_NOW ? place->next : place->oldest;
}

static void require_read_on(const struct place *place, weir_cursor *cursor) {
    for (uint64_t sequence = cursor->next; sequence < place->next; sequence++) {
        weir_event event;
        weir_gap gap;
        uint64_t stamp = 0;
        REQUIRE(weir_read(place->session, cursor, &stamp, sizeof(stamp), &event, &gap) == WEIR_OK);
        REQUIRE(event.sequence == sequence && event.length == sizeof(stamp) && stamp == sequence);
    }
    weir_event event;
    weir_gap gap;
    REQUIRE(weir_read(place->session, cursor, NULL, 0, &event, &gap) == WEIR_EMPTY);
}

typedef int begin_function(weir_session *, const weir_subscription *, weir_cursor *, weir_gap *);

static void require_placing(const struct place *place, begin_function *begin, const weir_subscription *how) {
    weir_cursor cursor;
    weir_gap gap;
    weir_gap expected;
    uint64_t next = expect(place, how, &expected);
    int status = begin(place->session, how, &cursor, &gap);
    REQUIRE(status == (expected.reason == WEIR_GAP_NONE ? WEIR_OK : WEIR_GAP));
    REQUIRE(cursor.next >= place->oldest && cursor.next <= place->next);
    REQUIRE(cursor.next == next && gap.reason == expected.reason);
    REQUIRE(gap.first == expected.first && gap.last == expected.last && gap.lost == expected.lost);
    REQUIRE(gap.lost_known == expected.lost_known);
    if (gap.lost > 0) REQUIRE(gap.last + 1 == cursor.next);
    require_read_on(place, &cursor);
    weir_unsubscribe(place->session, &cursor);
    weir_session_info info;
    weir_session_info_get(place->session, &info);
    REQUIRE(info.subscribers == 0 && info.newest + 1 == place->next && info.oldest == place->oldest);
}

/* ---- Inputs --------------------------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at, *end;
};

static uint64_t draw(struct input *input, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && input->at < input->end; i++)
        value = value << 8 | *input->at++;
    return value;
}

/* A number near one that means something. */
static uint64_t draw_sequence(struct input *input, const struct place *place) {
    uint64_t near[] = {place->first, place->oldest, place->next, UINT64_MAX, 0, 9999999999999999999u};
    uint8_t how = (uint8_t)draw(input, 1);
    if (how % 7 == 6) return draw(input, 8);
    return near[how % 7] + (uint64_t)(int8_t)draw(input, 1);
}

static uint64_t draw_epoch(struct input *input, const struct place *place) {
    uint8_t how = (uint8_t)draw(input, 1);
    if (how % 4 == 0) return place->epoch;
    if (how % 4 == 1) return stage[how / 4 % ENGINES][how / 16 % SESSIONS].epoch;
    if (how % 4 == 2) return place->earlier_epoch;
    return place->epoch ^ draw(input, 8);
}

/* An id that is right but for what one byte says. */
static size_t make_id(struct input *input, const struct place *place, char id[WEIR_ID_MAX + 1]) {
    uint64_t epoch = draw_epoch(input, place);
    uint64_t sequence = draw_sequence(input, place);
    uint8_t fault = (uint8_t)draw(input, 1);
    size_t length = weir_id_format(epoch, sequence, id);
    require_writing(epoch, sequence);
    if (fault % 4 == 1) {
        memmove(id, id + 12, length - 12); /* the bare number */
        length -= 12;
    } else if (fault % 4 == 2) {
        id[fault / 4 % length] = (char)draw(input, 1);
    } else if (fault % 4 == 3 && fault > 128) {
        id[length++] = (char)draw(input, 1);
    }
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static begin_function *const ways[] = {weir_replay, weir_subscribe, weir_attach};
    struct input input = {data, data + size};
    char made[WEIR_ID_MAX + 1];
    if (stage[0][0].session == NULL) build_stage();
    uint8_t which = (uint8_t)draw(&input, 1), how = (uint8_t)draw(&input, 1);
    const struct place *place = &stage[which % ENGINES][which / ENGINES % SESSIONS];
    weir_subscription subscription = {.start = (weir_start)(how / 2 % 3), .after = place->first + (which >> 4)};
    subscription.last_id = (const char *)input.at;
    subscription.last_id_length = (size_t)(input.end - input.at);
    if (how % 2 == 1) {
        subscription.last_id_length = make_id(&input, place, made);
        subscription.last_id = made;
    }
    if (subscription.last_id == NULL) subscription.last_id = "";
    require_reading(subscription.last_id, subscription.last_id_length);
    require_placing(place, ways[how / 8 % 3], &subscription);
    return 0;
}
