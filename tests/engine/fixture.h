/* What most engine tests begin with: an engine on a fake clock and a counting allocator, a producer, and short ways to
 * say publish and read. */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include <weir.h>

#include "prelude.h"
#include "support/counting_allocator.h"
#include "support/fake_clock.h"

struct fixture {
    struct fake_clock clock;
    struct counting_allocator memory;
    weir_engine *engine;
    weir_producer *producer;
};

/* Fills in clock and allocator and makes engine and producer; what `config` leaves at 0 is the default. Small bounds
 * where the defaults would only cost time: 256 sessions. */
void fixture_open(struct fixture *fixture, const weir_config *config);

/* Destroys both, and checks that the engine gave all of its memory back. */
void fixture_close(struct fixture *fixture);

/* The session of that name, made if need be; the caller releases it. */
weir_session *fixture_session(struct fixture *fixture, const char *name);

/* Publishes the text as an event of kind 0, which must succeed; returns its sequence. */
uint64_t publish_text(struct fixture *fixture, weir_session *session, const char *text);

/* Publishes `count` events whose payload is their sequence; returns the last one. */
uint64_t publish_numbers(struct fixture *fixture, weir_session *session, uint64_t count);

/* Reads one event of publish_numbers and checks its number. */
void expect_number(weir_session *session, weir_cursor *cursor, uint64_t sequence);

/* Reads first to last, and then expects `status`. */
void expect_numbers(weir_session *session, weir_cursor *cursor, uint64_t first, uint64_t last, int status);

/* Reads, and expects a gap of exactly that. */
void expect_gap(weir_session *session, weir_cursor *cursor, uint64_t first, uint64_t last);

/* Reads, and expects that status. */
void expect_status(weir_session *session, weir_cursor *cursor, int status);

/* Checks what a subscribe or a read said about a gap. */
void check_gap(const weir_gap *gap, uint64_t first, uint64_t last, weir_gap_reason reason, int known);

/* Subscribes and expects `status`. */
weir_cursor subscribe(weir_session *session, weir_start start, weir_policy policy, uint32_t depth, int status);

/* Subscribes after an id, and gives the gap. */
int subscribe_after(weir_session *session, const char *id, size_t length, weir_cursor *cursor, weir_gap *gap);

weir_session_info info_of(const weir_session *session);
weir_stats stats_of(const weir_engine *engine);

#endif
