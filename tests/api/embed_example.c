#include <stdio.h>
#include <string.h>
#include <weir.h>

int main(void) {
    weir_engine *engine;
    weir_session *session;
    weir_producer *producer;
    if (weir_engine_create(&engine, NULL) != WEIR_OK) return 1;
    if (weir_session_open(engine, "chat-1", 6, WEIR_OPEN_OR_CREATE, &session, NULL) != WEIR_OK) return 1;
    if (weir_producer_create(engine, &producer) != WEIR_OK) return 1; /* one per publishing thread */
    weir_publish(producer, session, 0, "hello", 5, NULL);             /* any thread, never waits */
    weir_publish(producer, session, 0, "world", 5, NULL);

    weir_cursor cursor; /* one per subscriber; a last id would go into a weir_subscription */
    weir_event event;
    weir_gap gap;
    char buffer[4096];
    int status = weir_subscribe(session, NULL, &cursor, &gap);
    while (status == WEIR_OK || status == WEIR_GAP) {
        status = weir_read(session, &cursor, buffer, sizeof(buffer), &event, &gap);
        if (status == WEIR_OK) printf("%llu: %.*s\n", (unsigned long long)event.sequence, (int)event.length, buffer);
        if (status == WEIR_GAP) printf("lost %llu events\n", (unsigned long long)gap.lost);
    }
    weir_unsubscribe(session, &cursor);
    weir_producer_destroy(producer);
    weir_session_release(session);
    weir_engine_destroy(engine);
    return status == WEIR_EMPTY ? 0 : 1;
}
