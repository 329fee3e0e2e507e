/* Which places of a table are taken: one bit each, 64 of them to a run, found lowest first, so that what is in use
 * gathers at the low end and whole runs fall empty. An empty run can be retired, all of it in one step.
 *
 *   levels[0]  a word for each run: its taken places
 *   levels[1]  a bit for each run that is full: a hint that steers the search
 *   levels[2]  a bit for each full word of levels[1]: likewise
 *   used       a bit for each run that was taken from since it was last retired
 *   out        places taken, and permits of those who are about to take one
 *
 * Taking. A permit comes first: there are `maximum` of them. There are at least 64 places more than permits, so that
 * whoever holds a permit and no place yet finds one free even while a run is retired: all others hold at most
 * maximum - 1 places, and a place is given back before its permit. So "no permit left" is the one exact meaning of
 * full, and nothing else has to be waited for. The place itself is one compare-and-swap on its run's word.
 *
 * Retiring (one thread at a time) is one compare-and-swap of a run's word from "none taken" to "all taken", and
 * restoring it the way back. In between the retirer holds the run's 64 places like any taker holds its one: nobody
 * else can have them, and a taker that comes by sees one more full run, and goes on.
 *
 * The hints. B is a word of one level and s its bit in the level above.
 *   fill   F1 compare-and-swap makes B full   F2 or sets s   F3 load of B   F4 clears s again when B is not full
 *   open   O1 compare-and-swap makes B not full              O2 load of s, and clears it when it is set
 * At rest a set s means that B is full. Take the last change of s to be a set: F2. Its F3 saw B full, so O1 of whoever
 * opened B since comes after F3, and O2 after F2: O2 finds s set and clears it, a later change. All of these are
 * seq_cst, which is what makes "before" and "after" mean something between two words.
 * A clear s over a full B only costs a look; the searcher sets it. A thread stopped between O1 and O2 hides B from the
 * search until it goes on: when that finds nothing, every run is looked at, and with a permit one of them is free
 * unless others took and gave places meanwhile. Any thread; lock-free.
 *
 *   pairing                                                                        without it
 *   P1 release: give's and restore's CAS   P2 acquire: take's and retire's CAS     a place is used, or its memory
 *                                                                                  given away, before its last owner's
 *                                                                                  accesses have ended
 *   P3 release: the permit's return        P4 acquire: the permit's compare-and-   the search goes round although
 *      (after P1)                             swap                                 nobody else has moved
 *   F1 F2 F3, O1 O2: seq_cst               each other                              a free run stays hidden for good */
#ifndef WEIR_CONCURRENT_OCCUPANCY_H
#define WEIR_CONCURRENT_OCCUPANCY_H

#include "base/atomic.h"
#include "base/check.h"

#define OCCUPANCY_RUN      64u
#define OCCUPANCY_TOP      2u
#define OCCUPANCY_RUN_FULL UINT64_MAX

struct occupancy {
    uint32_t maximum; /* written at create, like all but the last two */
    uint32_t runs;
    uint32_t words[OCCUPANCY_TOP + 1];
    atomic_u64 *levels[OCCUPANCY_TOP + 1];
    atomic_u64 *used;
    uint32_t retire_next;         /* the retirer's: the run to look at next */
    CACHE_ALIGNED atomic_u32 out; /* any thread */
};

/* Runs for `maximum` places taken at once, the one to spare included. */
static inline uint32_t occupancy_runs(uint32_t maximum) {
    return (uint32_t)(((uint64_t)maximum + OCCUPANCY_RUN - 1) / OCCUPANCY_RUN) + 1;
}

static inline uint32_t occupancy_words_above(uint32_t words) {
    return (words + 63) / 64;
}

/* Bytes of a struct occupancy with its words. */
static inline size_t occupancy_size(uint32_t maximum) {
    uint32_t runs = occupancy_runs(maximum);
    uint32_t above = occupancy_words_above(runs);
    size_t words = (size_t)runs + above + occupancy_words_above(above) + above;
    return sizeof(struct occupancy) + sizeof(atomic_u64) * words;
}

/* Begins in `occupancy`, zeroed memory of occupancy_size(maximum) bytes, with nothing taken. Bits of the upper levels
 * that stand for nothing count as full. */
static inline void occupancy_init(struct occupancy *occupancy, uint32_t maximum) {
    atomic_u64 *words = (atomic_u64 *)(void *)(occupancy + 1);
    uint32_t count = occupancy_runs(maximum);
    occupancy->maximum = maximum;
    occupancy->runs = count;
    for (uint32_t level = 0; level <= OCCUPANCY_TOP; level++) {
        occupancy->words[level] = count;
        occupancy->levels[level] = words;
        words += count;
        count = occupancy_words_above(count);
        if (level == OCCUPANCY_TOP) continue;
        uint32_t in_last = (occupancy->words[level] - 1) % 64 + 1;
        if (in_last < 64) u64_store_relaxed(&words[count - 1], OCCUPANCY_RUN_FULL << in_last);
    }
    occupancy->used = words;
}

static inline bool occupancy_bit(const atomic_u64 *words, uint32_t at) {
    return (u64_load_seq_cst(&words[at / 64]) >> at % 64 & 1) != 0;
}

/* The word `at` of a level is no longer full. */
static inline void occupancy_opened(struct occupancy *occupancy, uint32_t level, uint32_t at) {
    for (; level < OCCUPANCY_TOP; level++, at /= 64) {
        atomic_u64 *above = &occupancy->levels[level + 1][at / 64];
        uint64_t bit = 1ull << at % 64;
        uint64_t full = u64_load_seq_cst(above); /* O2 */
        do {
            if (!(full & bit)) return;
        } while (!u64_cas_seq_cst(above, &full, full & ~bit)); /* O2, and O1 of the level above */
        if (full != OCCUPANCY_RUN_FULL) return;
    }
}

/* The word `at` of a level was seen full. */
static inline void occupancy_filled(struct occupancy *occupancy, uint32_t level, uint32_t at) {
    for (; level < OCCUPANCY_TOP; level++, at /= 64) {
        uint64_t bit = 1ull << at % 64;
        uint64_t full =
            u64_or_seq_cst(&occupancy->levels[level + 1][at / 64], bit) | bit;     /* F2, and F1 of the next */
        if (u64_load_seq_cst(&occupancy->levels[level][at]) != OCCUPANCY_RUN_FULL) /* F3 */
            occupancy_opened(occupancy, level, at);                                /* F4 */
        if (full != OCCUPANCY_RUN_FULL) return;
    }
}

/* Takes a permit: false when `maximum` places are taken. */
static inline bool occupancy_enter(struct occupancy *occupancy) {
    uint32_t out = u32_load_relaxed(&occupancy->out); /* relaxed: the compare-and-swap decides */
    do {
        if (out == occupancy->maximum) return false;
    } while (!u32_cas_acq_rel(&occupancy->out, &out, out + 1)); /* P4 */
    return true;
}

/* Gives a permit back. */
static inline void occupancy_leave(struct occupancy *occupancy) {
    uint32_t before = u32_subtract_acq_rel(&occupancy->out, 1); /* P3 */
    WEIR_DCHECK(before > 0);
    (void)before;
}

/* The run with the lowest free place, or one close to it: by the hints, and if they are of no use by looking at all.
 * The caller holds a permit. */
static inline uint32_t occupancy_find(struct occupancy *occupancy) {
    for (;;) {
        for (uint32_t top = 0; top < occupancy->words[OCCUPANCY_TOP];) {
            uint32_t level = OCCUPANCY_TOP;
            uint32_t at = top;
            uint64_t full = u64_load_seq_cst(&occupancy->levels[level][at]);
            if (full == OCCUPANCY_RUN_FULL) {
                top++;
                continue;
            }
            while (full != OCCUPANCY_RUN_FULL && level > 0) {
                at = at * 64 + (uint32_t)__builtin_ctzll(~full);
                full = u64_load_seq_cst(&occupancy->levels[--level][at]);
            }
            if (full != OCCUPANCY_RUN_FULL) return at;
            occupancy_filled(occupancy, level, at);
        }
        for (uint32_t run = 0; run < occupancy->runs; run++)
            if (u64_load_seq_cst(&occupancy->levels[0][run]) != OCCUPANCY_RUN_FULL) return run;
    }
}

/* Takes the lowest free place of a run: false when there is none. The caller holds a permit. */
static inline bool occupancy_take(struct occupancy *occupancy, uint32_t run, uint32_t *place) {
    atomic_u64 *word = &occupancy->levels[0][run];
    uint64_t taken = u64_load_relaxed(word); /* relaxed: the compare-and-swap decides */
    uint64_t bit;
    do {
        if (taken == OCCUPANCY_RUN_FULL) return false;
        bit = ~taken & (taken + 1);
    } while (!u64_cas_seq_cst(word, &taken, taken | bit)); /* P2, F1 */
    /* Before the place can be given back: a run with nothing taken is either marked used, or clean. */
    if (taken == 0 && !occupancy_bit(occupancy->used, run))
        u64_or_seq_cst(&occupancy->used[run / 64], 1ull << run % 64);
    if ((taken | bit) == OCCUPANCY_RUN_FULL) occupancy_filled(occupancy, 0, run);
    *place = run * OCCUPANCY_RUN + (uint32_t)__builtin_ctzll(bit);
    return true;
}

/* Gives a place back; its permit is still the caller's. */
static inline void occupancy_give(struct occupancy *occupancy, uint32_t place) {
    atomic_u64 *word = &occupancy->levels[0][place / OCCUPANCY_RUN];
    uint64_t bit = 1ull << place % OCCUPANCY_RUN;
    uint64_t taken = u64_load_relaxed(word); /* relaxed: the compare-and-swap decides */
    do {
        WEIR_DCHECK(taken & bit);
    } while (!u64_cas_seq_cst(word, &taken, taken & ~bit)); /* P1, O1 */
    if (taken == OCCUPANCY_RUN_FULL) occupancy_opened(occupancy, 0, place / OCCUPANCY_RUN);
}

/* The first place from `place` on that may be taken, or the first of the next run when the rest of its run is free. */
static inline uint32_t occupancy_next_taken(const struct occupancy *occupancy, uint32_t place) {
    uint64_t taken = u64_load_seq_cst(&occupancy->levels[0][place / OCCUPANCY_RUN]) >> place % OCCUPANCY_RUN;
    if (taken == 0) return (place / OCCUPANCY_RUN + 1) * OCCUPANCY_RUN;
    return place + (uint32_t)__builtin_ctzll(taken);
}

/* Retires the next run that was used and is empty now, going on where the last call stopped. *budget is lowered by one
 * for each look, which is at one used run or at a word of unused ones; false when it is spent. One thread at a time. */
static inline bool occupancy_retire(struct occupancy *occupancy, uint32_t *budget, uint32_t *retired) {
    while (*budget > 0) {
        --*budget;
        uint32_t run = occupancy->retire_next < occupancy->runs ? occupancy->retire_next : 0;
        atomic_u64 *used = &occupancy->used[run / 64];
        uint64_t left = u64_load_seq_cst(used) >> run % 64;
        occupancy->retire_next = left == 0 ? (run / 64 + 1) * 64 : run + (uint32_t)__builtin_ctzll(left) + 1;
        if (left == 0) continue;
        run = occupancy->retire_next - 1;
        uint64_t taken = 0;
        if (u64_load_relaxed(&occupancy->levels[0][run]) != 0) continue; /* relaxed: only saves the attempt */
        if (!u64_cas_seq_cst(&occupancy->levels[0][run], &taken, OCCUPANCY_RUN_FULL)) continue; /* P2, F1 */
        uint64_t bits = u64_load_seq_cst(used);
        while (!u64_cas_seq_cst(used, &bits, bits & ~(1ull << run % 64))) {
        }
        occupancy_filled(occupancy, 0, run);
        *retired = run;
        return true;
    }
    return false;
}

/* Makes all places of a retired run free again. */
static inline void occupancy_restore(struct occupancy *occupancy, uint32_t run) {
    uint64_t taken = OCCUPANCY_RUN_FULL;
    bool ours = u64_cas_seq_cst(&occupancy->levels[0][run], &taken, 0); /* P1, O1 */
    WEIR_CHECK(ours);
    occupancy_opened(occupancy, 0, run);
}

#endif
