#include <poll.h>
#include <stdio.h>
#include <weir.h>

int main(void) {
    weir_engine *engine;
    weir_session *session;
    weir_producer *producer;
    weir_consumer *consumer;
    weir_feed *feed;
    if (weir_engine_create(&engine, NULL) != WEIR_OK) return 1;
    if (weir_session_open(engine, "chat-1", 6, WEIR_OPEN_OR_CREATE, &session, NULL) != WEIR_OK) return 1;
    if (weir_producer_create(engine, &producer) != WEIR_OK) return 1;
    if (weir_consumer_create(engine, NULL, &consumer) != WEIR_OK) return 1; /* one per consuming thread */
    if (weir_feed_subscribe(consumer, session, NULL, stdout, &feed) != WEIR_OK) return 1; /* one per client */
    weir_publish(producer, session, 0, "hello\n", 6, NULL); /* from any thread, before the loop or meanwhile */
    weir_publish(producer, session, 0, "world\n", 6, NULL);
    weir_session_terminate(session);

    int over = 0;
    struct pollfd news = {weir_consumer_fd(consumer), POLLIN, 0}; /* beside your own descriptors */
    while (!over && poll(&news, 1, -1) == 1) {
        weir_batch batch;
        while (weir_consumer_next(consumer, &batch) == WEIR_OK) {
            if (batch.status == WEIR_OK) fwrite(batch.bytes, 1, batch.length, (FILE *)batch.user);
            if (batch.status == WEIR_GAP) printf("lost %llu events\n", (unsigned long long)batch.gap.lost);
            if (batch.status == WEIR_LAGGED || batch.status == WEIR_END) over = 1; /* batch.ended tells why */
        }
    }
    weir_consumer_destroy(consumer); /* and its feeds */
    weir_producer_destroy(producer);
    weir_session_release(session);
    weir_engine_destroy(engine);
    return over ? 0 : 1;
}
