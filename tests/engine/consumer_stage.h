/* What the consumer tests begin with: an engine, a consumer, and short ways to say which batch must come next. */
#ifndef ENGINE_CONSUMER_STAGE_H
#define ENGINE_CONSUMER_STAGE_H

#include "fixture.h"

struct consumer_stage {
    struct fixture fixture;
    weir_consumer *consumer;
};

/* `config` and `batches` may be NULL for defaults. */
void stage_open(struct consumer_stage *stage, const weir_config *config, const weir_consumer_config *batches);

/* Destroys the consumer with the feeds that are left, and the engine; checks that all memory is back. */
void stage_close(struct consumer_stage *stage);

/* A feed on the session by weir_feed_subscribe, which must succeed; its user is the session. */
weir_feed *stage_feed(struct consumer_stage *stage, weir_session *session, const weir_subscription *how);

/* Takes the next batch, of publish_numbers: events first to last of the feed, payloads in one run. */
void expect_batch(struct consumer_stage *stage, weir_feed *feed, uint64_t first, uint64_t last);

/* Takes the next batch: a gap, or an end. */
void expect_batch_gap(struct consumer_stage *stage, weir_feed *feed, uint64_t first, uint64_t last,
                      weir_gap_reason reason, int known);
void expect_batch_end(struct consumer_stage *stage, weir_feed *feed, int status, weir_end_reason ended);

/* There is no batch, and the descriptor says so. */
void expect_no_batch(struct consumer_stage *stage);

/* Whether the descriptor is readable now. */
int is_readable(const weir_consumer *consumer);

/* Checks that a batch is whole: its views lie in its bytes one after the other, in order. */
void check_batch(const weir_batch *batch, const weir_feed *feed);

#endif
