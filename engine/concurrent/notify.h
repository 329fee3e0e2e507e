/* Notify: how publishers tell one consuming thread which of its places have news, and wake it when it sleeps.
 *
 * No step belongs to one producer: everybody sets what is not set yet, so a producer that stops between two steps
 * cannot put another's event to sleep. A busy consumer costs a producer three loads.
 *
 *   leaves    one bit per place with news
 *   summary   one bit per leaf word that is not zero (or soon will be)
 *   epoch     odd while the consumer sleeps or is about to; grows by one at each change
 *
 * Producer, after publishing: set leaf bit, set summary bit, load epoch; if odd and this producer has not yet woken
 * this epoch, call wake. Consumer: exchange summary, exchange leaf, then look at the places; before sleep: epoch odd,
 * look at the summary again, sleep, epoch even.
 *
 *   seq_cst, all of them: W1 publishing compare-and-swap (slots.h R2), W2 leaf load/set and exchange, W3 summary
 *   load/set, exchange and the look before sleep, W4 epoch load and store, and the consumer's load of the slot.
 *   With any one weaker a store may pass a later load, both sides see the old state, and the event is not delivered
 *   until the next one. On x86 the loads cost nothing; the read-modify-writes only happen when there is news. */
#ifndef WEIR_CONCURRENT_NOTIFY_H
#define WEIR_CONCURRENT_NOTIFY_H

#include <weir.h>

#include "base/atomic.h"

struct notify {
    uint32_t place_count;   /* multiple of 64 */
    uint32_t summary_count; /* words */
    uint32_t summary_used;  /* the consumer's: so many of them have places that were ever in use */
    uint32_t resume;        /* the consumer's: the place where its next look begins */
    atomic_u64 *leaves;
    atomic_u64 *summary;
    void (*wake)(void *context);
    void *context;
    atomic_u64 wakeups; /* statistics */
    CACHE_ALIGNED atomic_u64 epoch;
};

/* `notify` is zeroed memory, or one that was destroyed. */
int notify_create(struct notify *notify, const weir_allocator *allocator, uint32_t places, uint64_t epoch,
                  void (*wake)(void *context), void *context);
void notify_destroy(struct notify *notify, const weir_allocator *allocator);

/* The consumer, before it tells producers of the place. It looks at summary words up to that of the highest place that
 * was ever in use. */
static inline void notify_use(struct notify *notify, uint32_t place) {
    uint32_t word = place / (64 * 64);
    if (word >= notify->summary_used) notify->summary_used = word + 1;
}

/* Any producer. *woken is this producer's memory of the last epoch of this notify that it woke. Wait-free but for
 * `wake` itself. */
void notify_set(struct notify *notify, uint32_t place, uint64_t *woken);

/* Whether notify_set would find nothing to do: the three loads of a busy consumer, in their order. */
static inline bool notify_is_told(const struct notify *notify, uint32_t place) {
    uint32_t leaf = place / 64;
    return (u64_load_seq_cst(&notify->leaves[leaf]) >> (place & 63) & 1) != 0 &&      /* W2 */
           (u64_load_seq_cst(&notify->summary[leaf / 64]) >> (leaf & 63) & 1) != 0 && /* W3 */
           (u64_load_seq_cst(&notify->epoch) & 1) == 0;                               /* W4 */
}

/* The consumer. Stores up to `capacity` places with news, cleared before they are returned. When there are more, the
 * next call begins behind the last one taken: places that always have news cannot starve the others. */
uint32_t notify_take(struct notify *notify, uint32_t *places, uint32_t capacity);
bool notify_sleep(struct notify *notify);
void notify_awake(struct notify *notify);

#endif
