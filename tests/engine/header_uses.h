/* The smallest program of an embedder, in the common part of C and C++: create, publish, read, clean up. */

static void wake_nobody(void *context) {
    (void)context;
}

int main(void) {
    weir_engine *engine;
    weir_session *session;
    weir_producer *producer;
    weir_poller *poller;
    weir_outlet *outlet;
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    weir_config config = WEIR_CONFIG_INIT;
    weir_poller_config poller_config = {4, wake_nobody, NULL};
    char buffer[16];
    void *user;
    config.replay_capacity = 3;
    if (weir_engine_create(&engine, &config) != WEIR_OK) return 1;
    if (weir_session_open(engine, "s", 1, WEIR_OPEN_OR_CREATE, &session, NULL) != WEIR_OK) return 2;
    if (weir_producer_create(engine, &producer) != WEIR_OK) return 3;
    if (weir_poller_create(engine, &poller_config, &poller) != WEIR_OK) return 4;
    if (weir_outlet_open(poller, session, &cursor, &outlet) != WEIR_OK) return 5;
    if (weir_publish(producer, session, 0, "hello", 5, NULL) != WEIR_OK) return 6;
    if (weir_subscribe(session, NULL, &cursor, &gap) != WEIR_OK) return 7;
    if (weir_poller_take(poller, &user, 1) != 1 || user != &cursor) return 8;
    if (weir_read(session, &cursor, buffer, sizeof(buffer), &event, &gap) != WEIR_OK) return 9;
    if (event.length != 5 || event.sequence != 1 || buffer[4] != 'o') return 10;
    weir_unsubscribe(session, &cursor);
    weir_outlet_close(outlet);
    weir_poller_destroy(poller);
    weir_producer_destroy(producer);
    weir_session_release(session);
    weir_engine_destroy(engine);
    return 0;
}
