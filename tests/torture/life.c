#include "life.h"

#include <string.h>

void life_init(struct life *life, struct torture *torture, weir_preset_name preset) {
    memset(life, 0, sizeof(*life));
    life->torture = torture;
    life->config = (weir_config)WEIR_CONFIG_INIT;
    life->config.max_sessions = 64;
    life->config.max_bytes = 8u << 20; /* the tables for a large budget would cost more time than the calls */
    life->config.max_kinds = 8;
    life->config.max_subscribers = 64;
    life->config.max_session_subscribers = 64;
    life->config.max_channels = 16;
    life->config.replay_capacity = 16;
    life->config.max_pollers = 2;
    life->config.allocator = torture_allocator(torture);
    life->config.entropy = torture_entropy();
    assert_int_equal(weir_preset(preset, &life->config), WEIR_OK);
}

void life_open(struct life *life) {
    struct torture *torture = life->torture;
    static const char *const names[] = {"0", "1", "2"};
    bool named = life->config.rules.id_mode == WEIR_NAMES_CALLER;
    const weir_owner owner = {"tenant", 6, "principal", 9};
    STEP(torture, weir_engine_create(&life->engine, &life->config));
    torture->engine = life->engine;
    STEP(torture, weir_producer_create(life->engine, &life->producer));
    for (unsigned i = 0; i < LIFE_SESSIONS; i++) {
        if (named && i == 0)
            STEP(torture,
                 weir_session_open(life->engine, names[i], 1, WEIR_OPEN_OR_CREATE, &life->sessions[i], NULL));
        else
            STEP(torture, weir_session_create(life->engine, named ? names[i] : NULL, named ? 1 : 0, &owner,
                                              &life->sessions[i], NULL));
    }
}

void life_publish(struct life *life, unsigned session, size_t length) {
    static char data[LIFE_BYTES];
    weir_session_info before;
    uint64_t sequence = 0;
    weir_session_info_get(life->sessions[session], &before);
    STEP(life->torture, weir_publish(life->producer, life->sessions[session], life->kind, data, length, &sequence));
    assert_int_equal(sequence, before.newest + 1); /* a refused try takes no number */
    life->published[session]++;
}

uint64_t life_read(struct life *life, unsigned session, weir_cursor *cursor) {
    static char data[LIFE_BYTES];
    weir_event event;
    weir_gap gap;
    uint64_t next = cursor->next;
    uint64_t count = 0;
    for (;; count++) {
        int status = weir_read(life->sessions[session], cursor, data, sizeof(data), &event, &gap);
        if (status == WEIR_EMPTY || status == WEIR_END) return count;
        assert_string_equal(weir_status_name(status), "WEIR_OK");
        assert_int_equal(event.sequence, next);
        next++;
    }
}

void life_close(struct life *life) {
    weir_consumer_destroy(life->consumer);
    for (unsigned i = 0; i < LIFE_SESSIONS; i++) {
        if (life->sessions[i] != NULL) weir_unsubscribe(life->sessions[i], &life->cursors[i]);
        weir_outlet_close(life->outlets[i]);
        weir_session_release(life->sessions[i]);
    }
    weir_channel_release(life->channel);
    weir_poller_destroy(life->poller);
    weir_producer_destroy(life->producer);
    weir_engine_destroy(life->engine);
}
