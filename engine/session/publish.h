/* Publishing, as the files that publish share it. */
#ifndef WEIR_SESSION_PUBLISH_H
#define WEIR_SESSION_PUBLISH_H

#include "engine.h"

/* Counts a refusal and returns it. */
int publish_refused(weir_producer *producer, int status);

/* The session's slots, made now if this is its first publish. WEIR_CLOSED, WEIR_NO_MEMORY. */
int session_find_slots(weir_session *session, struct slots **slots);

/* weir_offer with a receipt that is there. */
int publish_offer(weir_producer *producer, weir_session *session, const weir_message *message, weir_receipt *receipt);

/* Publishes a filled cell that cell_stock_next gave, as one event of `length` payload bytes; fills *receipt. Statuses of
 * weir_offer; when it is not WEIR_OK the cell is still the stock's next one. */
int publish_cell(weir_producer *producer, weir_session *session, const struct stocked_cell *mine, size_t length,
                 weir_receipt *receipt);

/* The same for a session that has, or had, an attached consumer (offer.c). */
int publish_attached(weir_producer *producer, weir_session *session, struct slots *slots,
                     const struct stocked_cell *mine, size_t length, uint64_t *sequence, weir_receipt *receipt);

/* The same for one attachment, whether or not it is still the session's: `bound` counts no fulls, and returns WEIR_FULL
 * when that attachment is closed. */
int attached_offer(weir_producer *producer, weir_session *session, struct slots *slots,
                   const struct stocked_cell *mine, size_t length, struct attachment *attachment, bool bound,
                   uint64_t *sequence, weir_receipt *receipt);

/* One attempt of weir_offer_wait. */
int publish_bound(weir_producer *producer, weir_session *session, const weir_message *message,
                  struct attachment *attachment, weir_receipt *receipt);

/* Claims and settles; with `consumed` sequences stay below *consumed + depth. WEIR_OK, WEIR_CLOSED, WEIR_FULL; counts no
 * refusal. */
int publish_bounded(weir_producer *producer, weir_session *session, struct slots *slots,
                    const struct stocked_cell *mine, size_t length, const atomic_u64 *consumed, uint32_t depth,
                    uint64_t *sequence);

/* Takes back a cell that was evicted from the session. */
void settle_replaced(weir_producer *producer, weir_session *session, cell_reference replaced);

#endif
