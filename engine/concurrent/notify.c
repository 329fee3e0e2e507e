#include "notify.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/memory.h"

int notify_create(struct notify *notify, const weir_allocator *allocator, uint32_t places, uint64_t epoch,
                  void (*wake)(void *context), void *context) {
    WEIR_CHECK(places > 0 && (epoch & 1) == 0);
    notify->place_count = (places + 63) / 64 * 64;
    notify->summary_count = (notify->place_count / 64 + 63) / 64;
    notify->summary_used = 0;
    notify->wake = wake;
    notify->context = context;
    notify->resume = 0;
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

/* What one call has taken, and the room it has. */
struct taking {
    struct notify *notify;
    uint32_t *places;
    uint32_t count;
    uint32_t capacity;
};

/* The bits of a leaf from bit `from` on that are wanted; the others are put back. */
static bool take_leaf(struct taking *taking, uint32_t leaf, uint64_t wanted) {
    struct notify *notify = taking->notify;
    uint64_t bits = u64_exchange_seq_cst(&notify->leaves[leaf], 0); /* W2 */
    uint64_t left = bits & ~wanted;
    for (bits &= wanted; bits != 0 && taking->count < taking->capacity; bits &= bits - 1)
        taking->places[taking->count++] = leaf * 64 + (uint32_t)__builtin_ctzll(bits);
    if (bits != 0) notify->resume = leaf * 64 + (uint32_t)__builtin_ctzll(bits);
    left |= bits;
    if (left == 0) return bits == 0;
    /* In a producer's order: the leaf, then the summary. */
    u64_or_seq_cst(&notify->leaves[leaf], left);
    u64_or_seq_cst(&notify->summary[leaf / 64], 1ull << (leaf & 63));
    return bits == 0;
}

/* The leaves of one summary word that are in `wanted`; of the leaf of `edge`, only the places in edge_wanted. False when
 * there is no more room. */
static bool take_word(struct taking *taking, uint32_t word, uint64_t wanted, uint32_t edge, uint64_t edge_wanted) {
    struct notify *notify = taking->notify;
    if ((u64_load_seq_cst(&notify->summary[word]) & wanted) == 0) return true;
    uint64_t bits = u64_exchange_seq_cst(&notify->summary[word], 0); /* W3: before the leaves, or news is lost */
    uint64_t left = bits & ~wanted;
    bool room = true;
    for (bits &= wanted; bits != 0 && room; bits &= bits - 1) {
        uint32_t leaf = word * 64 + (uint32_t)__builtin_ctzll(bits);
        if (taking->count == taking->capacity) {
            notify->resume = leaf * 64;
            left |= bits;
            room = false;
        } else {
            room = take_leaf(taking, leaf, leaf == edge ? edge_wanted : ~0ull);
            if (!room) left |= bits & (bits - 1);
        }
    }
    if (left != 0) u64_or_seq_cst(&notify->summary[word], left); /* they wait for the next word or call */
    return room;
}

/* Once around, from the place where the last call stopped back to it. */
uint32_t notify_take(struct notify *notify, uint32_t *places, uint32_t capacity) {
    struct taking taking = {notify, places, 0, capacity};
    uint32_t edge = notify->resume / 64;
    uint64_t edge_wanted = ~0ull << (notify->resume & 63);
    uint32_t first = edge / 64;
    uint64_t first_wanted = ~0ull << (edge & 63);
    if (capacity == 0 || !take_word(&taking, first, first_wanted, edge, edge_wanted)) return taking.count;
    for (uint32_t i = 1; i < notify->summary_used; i++) {
        uint32_t word = first + i < notify->summary_used ? first + i : first + i - notify->summary_used;
        if (!take_word(&taking, word, ~0ull, edge, ~0ull)) return taking.count;
    }
    uint64_t behind = ~first_wanted | (~edge_wanted != 0 ? first_wanted & -first_wanted : 0);
    if (behind != 0) take_word(&taking, first, behind, edge, ~edge_wanted);
    return taking.count;
}

bool notify_sleep(struct notify *notify) {
    uint64_t epoch = u64_load_relaxed(&notify->epoch); /* relaxed: only this thread writes it */
    WEIR_DCHECK((epoch & 1) == 0);
    u64_store_seq_cst(&notify->epoch, epoch + 1); /* W4 */
    for (uint32_t i = 0; i < notify->summary_used; i++) {
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
