/* An outlet: the consuming end of one session on one reactor. Renders each run of events once per wire profile and
 * lends it to all its streams.
 *
 *   current   per profile: the batch that grows at the newest end
 *   behind    per profile: the newest batch from further back, so that many who return together share it as well
 *
 * Both are let go when no stream sends any more: an idle outlet holds no rendered bytes. Only an outlet that has had a
 * second stream has room for them: most have one stream, which shares nothing. */
#ifndef WEIR_IO_NET_OUTLET_H
#define WEIR_IO_NET_OUTLET_H

#include "stream.h"

#define PROFILES 4u /* format x chunked */

struct shared_batches {
    struct batch *current[PROFILES];
    struct batch *behind[PROFILES];
};

struct outlet {
    struct reactor *reactor;
    weir_session *session;
    weir_outlet *notified;
    struct stream *waiting; /* streams that wait for events */
    uint32_t stream_count;
    uint32_t sending; /* streams with a batch in flight */
    bool delivering;  /* it stays, even when its last stream leaves */
    uint8_t epoch_length;
    uint8_t id_start; /* bytes of `epoch`, with the dot, that stand in every id here */
    char epoch[14];
    struct shared_batches *shared; /* NULL before the second stream */
};

/* What a stream may send next, or why there is nothing: WEIR_OK with a held batch and the run in it, the stream's
 * cursor standing behind that run; else what weir_read said (EMPTY, GAP, END, LAGGED) or WEIR_NO_MEMORY. */
struct outlet_run {
    struct batch *batch;
    size_t offset;
    size_t length;
    uint32_t events;
    bool gap_follows; /* *gap belongs behind the run */
};

/* The reactor's outlet for the session, with one more stream. Takes over the session reference, also on failure: statuses
 * of weir_outlet_open. */
int outlet_join(struct reactor *reactor, weir_session *session, struct outlet **outlet);
/* One stream less; the last one frees the outlet and gives the session back. */
void outlet_leave(struct outlet *outlet);

int outlet_next_run(struct outlet *outlet, struct stream *stream, struct outlet_run *run, weir_gap *gap);

void outlet_wait(struct outlet *outlet, struct stream *stream);
void outlet_unwait(struct outlet *outlet, struct stream *stream);
void outlet_send_begins(struct outlet *outlet);
void outlet_send_ends(struct outlet *outlet);

/* There is news: lets every waiting stream advance. */
void outlet_deliver(struct outlet *outlet);

#endif
