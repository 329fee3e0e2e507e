#include "notify.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/memory.h"

int notify_create(struct notify *notify, const weir_allocator *allocator, uint32_t places, uint64_t epoch,
                  void (*wake)(void *context), void *context) {
    WEIR_CHECK(places > 0 && (epoch & 1) == 0);
    notify->place_count = (places + 63) / 64 * 64;
    notify->summary_count = (notify->place_count / 64 + 63) / 64;
    notify->wake = wake;
    notify->context = context;
    u64_store_relaxed(&notify->wakeups, 0);
    u64_store_relaxed(&notify->epoch, epoch);
    notify->leaves = (atomic_u64 *)memory_take(allocator, notify->place_count / 8, CACHE_LINE);
    notify->summary = (atomic_u64 *)memory_take(allocator, notify->summary_count * sizeof(atomic_u64), CACHE_LINE);
    if (notify->leaves != NULL && notify->summary != NULL) return WEIR_OK;
    notify_destroy(notify, allocator);
    return WEIR_NO_MEMORY;
}

void notify_destroy(struct notify *notify, const weir_allocator *allocator) {
    memory_give(allocator, notify->leaves, notify->place_count / 8, CACHE_LINE);
    memory_give(allocator, notify->summary, notify->summary_count * sizeof(atomic_u64), CACHE_LINE);
    notify->leaves = notify->summary = NULL;
}

static void set_bit(atomic_u64 *word, uint64_t bit) {
    if ((u64_load_seq_cst(word) & bit) == 0) u64_or_seq_cst(word, bit);
}

void notify_set(struct notify *notify, uint32_t place, uint64_t *woken) {
    uint32_t leaf = place / 64;
    WEIR_MARK(NOTIFY_LEAF_LOADED);
    set_bit(&notify->leaves[leaf], 1ull << (place & 63)); /* W2 */
    WEIR_MARK(NOTIFY_LEAF_SET);
    set_bit(&notify->summary[leaf / 64], 1ull << (leaf & 63)); /* W3 */
    WEIR_MARK(NOTIFY_SUMMARY_SET);
    uint64_t epoch = u64_load_seq_cst(&notify->epoch); /* W4 */
    WEIR_MARK(NOTIFY_EPOCH_LOADED);
    if (LIKELY((epoch & 1) == 0) || *woken == epoch) return;
    *woken = epoch;
    u64_add_relaxed(&notify->wakeups, 1);
    notify->wake(notify->context);
    WEIR_MARK(NOTIFY_WOKEN);
}

static uint32_t take_leaf(struct notify *notify, uint32_t leaf, uint32_t *places) {
    uint64_t bits = u64_exchange_seq_cst(&notify->leaves[leaf], 0); /* W2 */
    uint32_t count = 0;
    for (; bits != 0; bits &= bits - 1) places[count++] = leaf * 64 + (uint32_t)__builtin_ctzll(bits);
    return count;
}

uint32_t notify_take(struct notify *notify, uint32_t *places, uint32_t capacity) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < notify->summary_count; i++) {
        if (u64_load_seq_cst(&notify->summary[i]) == 0) continue;
        uint64_t bits = u64_exchange_seq_cst(&notify->summary[i], 0); /* W3: before the leaves, or news is lost */
        for (; bits != 0; bits &= bits - 1) {
            if (capacity - count < 64) {
                u64_or_seq_cst(&notify->summary[i], bits); /* no room for these: they wait for the next call */
                return count;
            }
            count += take_leaf(notify, i * 64 + (uint32_t)__builtin_ctzll(bits), places + count);
        }
    }
    return count;
}

bool notify_sleep(struct notify *notify) {
    uint64_t epoch = u64_load_relaxed(&notify->epoch); /* relaxed: only this thread writes it */
    WEIR_DCHECK((epoch & 1) == 0);
    u64_store_seq_cst(&notify->epoch, epoch + 1); /* W4 */
    for (uint32_t i = 0; i < notify->summary_count; i++) {
        if (u64_load_seq_cst(&notify->summary[i]) == 0) continue; /* W3 */
        notify_awake(notify);
        return false;
    }
    return true;
}

void notify_awake(struct notify *notify) {
    uint64_t epoch = u64_load_relaxed(&notify->epoch);
    /* Odd to even; a call without a sleep before it changes nothing. */
    if (epoch & 1) u64_store_seq_cst(&notify->epoch, epoch + 1);
}
