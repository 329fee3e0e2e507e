/* Channels, in the words of their tests. */
#ifndef CONTRACT_CHANNELS_H
#define CONTRACT_CHANNELS_H

#include "support.h"

static inline void open_with(struct fixture *fixture, weir_exclusive exclusive) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 16;
    config.rules.exclusive = exclusive;
    fixture_open(fixture, &config);
}

static inline weir_channel *channel_of(struct fixture *fixture, const char *name) {
    weir_channel *channel;
    assert_int_equal(weir_channel_open(fixture->engine, name, strlen(name), WEIR_OPEN_OR_CREATE, &channel, NULL),
                     WEIR_OK);
    return channel;
}

static inline weir_broadcast publish_to(struct fixture *fixture, weir_channel *channel, const char *text) {
    const weir_message message = {.data = text, .length = strlen(text)};
    weir_broadcast result;
    assert_int_equal(weir_channel_publish(fixture->producer, channel, &message, &result), WEIR_OK);
    return result;
}

static inline void check_result(const weir_broadcast *result, uint32_t members, uint32_t accepted, uint32_t full,
                                uint32_t ended) {
    assert_int_equal(result->members, members);
    assert_int_equal(result->accepted, accepted);
    assert_int_equal(result->full, full);
    assert_int_equal(result->ended, ended);
    assert_int_equal(result->number != 0, accepted > 0);
}

/* Reads one event, which must be this text of that broadcast. */
static inline void expect_text(weir_session *session, weir_cursor *cursor, const char *text, uint64_t broadcast) {
    char buffer[64];
    weir_event event;
    weir_gap gap;
    assert_int_equal(weir_read(session, cursor, buffer, sizeof(buffer), &event, &gap), WEIR_OK);
    assert_int_equal(event.length, strlen(text));
    assert_memory_equal(buffer, text, event.length);
    assert_int_equal(event.broadcast, broadcast);
}

/* The one event in the session is this. */
static inline void expect_only(weir_session *session, const char *text, uint64_t broadcast) {
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    expect_text(session, &cursor, text, broadcast);
    expect_status(session, &cursor, WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
}

struct told {
    uint32_t count;
    char names[8][WEIR_NAME_MAX + 1];
};

static inline void note_channel(void *context, weir_channel *channel) {
    struct told *told = (struct told *)context;
    size_t length;
    const char *name = weir_channel_name(channel, &length);
    assert_true(told->count < 8);
    memcpy(told->names[told->count], name, length);
    told->names[told->count++][length] = '\0';
}

static inline void expect_told(const struct told *told, const char *names) {
    char text[8 * (WEIR_NAME_MAX + 1)] = "";
    for (uint32_t i = 0; i < told->count; i++) {
        if (i > 0) strcat(text, " ");
        strcat(text, told->names[i]);
    }
    assert_string_equal(text, names);
}

/* The session's channels, while a join or a leave may be under way: its count is told apart from them. */
static inline void expect_channels_named(weir_session *session, const char *names) {
    struct told told = {0};
    weir_session_channels(session, note_channel, &told);
    expect_told(&told, names);
}

/* The same at rest. */
static inline void expect_channels(weir_session *session, const char *names) {
    struct told told = {0};
    weir_session_channels(session, note_channel, &told);
    expect_told(&told, names);
    assert_int_equal(info_of(session).channels, told.count);
}

static inline void expect_left(weir_session *session, const char *names) {
    struct told told = {0};
    uint32_t count = weir_session_leave_all(session, note_channel, &told);
    assert_int_equal(count, told.count);
    expect_told(&told, names);
}

#endif
