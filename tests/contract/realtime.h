/* The realtime session server, as its tests make one. */
#ifndef CONTRACT_REALTIME_H
#define CONTRACT_REALTIME_H

#include "support.h"

#include <weir_channel.h>

/* No ring, ten fulls in a row and fifty in all, tokens, channels of one member each, `max_channels` of them a session:
 * 0 for what the preset says. */
static inline void open_server(struct fixture *fixture, uint32_t max_channels) {
    weir_config config = WEIR_CONFIG_INIT;
    assert_int_equal(weir_preset(WEIR_PRESET_REALTIME, &config), WEIR_OK);
    config.node_id = 0x1122334455667788u;
    if (max_channels != 0) config.max_session_channels = max_channels;
    fixture_open(fixture, &config);
}

/* Sends a number that need not have a sequence of its own; returns the status. */
static inline int push(struct fixture *fixture, const char *name, uint64_t number) {
    return try_send(fixture, name, number, NULL);
}

/* Whole seconds since a session's consumer was last active. */
static inline uint64_t last_active_s(struct fixture *fixture, const char *name) {
    weir_attachment_info info;
    int status = attachment_info_of(fixture, name, &info);
    assert_true(status == WEIR_OK || status == WEIR_FULL);
    return info.active_wall_s;
}

#endif
