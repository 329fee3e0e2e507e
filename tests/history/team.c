#include "team.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/scale.h"

#define SPINS 400u /* before a thread gives its core away: there may be more threads than cores */

/* Waits for the word to become `wanted`: first awake, so that all start together, then asleep, so that nobody who has
 * something to do waits for somebody who has not. */
static void wait_for(atomic_u32 *word, uint32_t wanted) {
    for (uint32_t spins = 0;; spins++) {
        uint32_t seen = u32_load_acquire(word);
        if (seen == wanted) return;
        if (spins >= SPINS) syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
}

static void tell(atomic_u32 *word, uint32_t value) {
    u32_store_release(word, value);
    syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void run_round(struct team *team, uint32_t index, uint32_t round) {
    if (u32_subtract_acq_rel(&team->coming, 1) == 1) tell(&team->started, round);
    wait_for(&team->started, round);
    team->work(team->context, index);
    if (u32_subtract_acq_rel(&team->working, 1) == 1) tell(&team->finished, round);
}

static void *run_seat(void *context) {
    struct team_seat *seat = (struct team_seat *)context;
    for (uint32_t round = 1;; round++) {
        wait_for(&seat->team->round, round);
        if (u32_load_acquire(&seat->team->quit)) return NULL;
        run_round(seat->team, seat->index, round);
    }
}

void team_open(struct team *team, uint32_t size) {
    *team = (struct team){.size = size};
    for (uint32_t i = 1; i < size; i++) {
        team->seats[i] = (struct team_seat){team, i};
        if (pthread_create(&team->threads[i], NULL, run_seat, &team->seats[i]) != 0) abort();
    }
}

void team_run(struct team *team, void (*work)(void *context, uint32_t index), void *context) {
    uint32_t round = u32_load_relaxed(&team->round) + 1; /* relaxed: only this thread stores it */
    team->work = work;
    team->context = context;
    u32_store_relaxed(&team->coming, team->size); /* relaxed, both: told with the round */
    u32_store_relaxed(&team->working, team->size);
    tell(&team->round, round);
    run_round(team, 0, round);
    wait_for(&team->finished, round);
}

void team_close(struct team *team) {
    u32_store_release(&team->quit, 1);
    tell(&team->round, u32_load_relaxed(&team->round) + 1); /* relaxed: as in team_run */
    for (uint32_t i = 1; i < team->size; i++)
        pthread_join(team->threads[i], NULL);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOWER 8u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOWER 8u
#endif
#endif
#ifndef SLOWER
#define SLOWER 1u
#endif

uint64_t history_scaled(uint64_t count) {
    return count / SLOWER * test_scale();
}
