/* The words of the systems that weir stands in for, said through weir's public interface: a consumer registers under a
 * name, somebody sends to that name, a client replays what it missed, a sweep reports whom it has ended. Payloads are
 * numbers, as in engine/fixture.h: an event carries the sequence that it was sent as. */
#ifndef CONTRACT_SUPPORT_H
#define CONTRACT_SUPPORT_H

#include "engine/fixture.h"

/* The body of a test program's main: runs the table, or with --list prints the names in it, one a line. */
#define RUN_TESTS(argc, argv, tests)                                                                                 \
    (asks_for_list(argc, argv) ? list_tests(tests, sizeof(tests) / sizeof((tests)[0]))                               \
                               : cmocka_run_group_tests(tests, NULL, NULL))
int asks_for_list(int argc, char **argv);
int list_tests(const struct CMUnitTest *tests, size_t count);

/* An engine under a preset; `config` says what the preset leaves open. Close it with fixture_close. */
void system_open(struct fixture *fixture, weir_preset_name preset, weir_config config);

/* Whole seconds of Unix time on the fixture's clock, and the same moment some seconds later. */
uint64_t wall_s(const struct fixture *fixture);
void advance_s(struct fixture *fixture, uint64_t seconds);

/* A consumer of a session: the handle that it holds, and its cursor. */
struct listener {
    weir_session *session;
    weir_cursor cursor;
};

/* Registers a consumer of events from now on, with a live queue of `depth`, and makes the session if need be. Returns
 * its generation. */
uint64_t listener_attach(struct fixture *fixture, struct listener *consumer, const char *name, uint32_t depth);

/* The same as `how` says; returns weir_attach's status. Give back with listener_leave unless that failed. */
int listener_attach_as(struct fixture *fixture, struct listener *consumer, const char *name,
                       const weir_subscription *how);

/* What weir_attach starts from, changed to: from now on, with that depth. */
weir_subscription from_now(const struct fixture *fixture, uint32_t depth);

/* The consumer goes away, and gives its handle back. */
void listener_leave(struct listener *consumer);

/* Reads first to last; nothing more is there. */
void expect_live(struct listener *consumer, uint64_t first, uint64_t last);
void expect_nothing(struct listener *consumer);

/* Reads `status`, WEIR_END or WEIR_LAGGED, as often as one asks, for that reason. */
void expect_over(struct listener *consumer, int status, weir_end_reason reason);

/* weir_send of a number; returns its status. */
int try_send(struct fixture *fixture, const char *name, uint64_t number, weir_receipt *receipt);

/* Sends a number, which must be accepted under that sequence; returns what the live queue made of it. */
weir_live send_number(struct fixture *fixture, const char *name, uint64_t sequence);
void send_numbers(struct fixture *fixture, const char *name, uint64_t first, uint64_t last);

/* Replays a session by name and expects exactly first to last, each once, in order. A session that nobody knows has
 * nothing to replay. */
void expect_replay_all(struct fixture *fixture, const char *name, uint64_t first, uint64_t last);
void expect_replay_since(struct fixture *fixture, const char *name, uint64_t after, uint64_t first, uint64_t last);
void expect_replay_empty(struct fixture *fixture, const char *name);

/* Whether there is a session of that name; asking may count as a lookup. */
int is_known(struct fixture *fixture, const char *name);

/* weir_session_open to keep events for somebody who is still to come. Returns 1 when this made the session. */
int pre_register(struct fixture *fixture, const char *name);

/* A handle on a session that must be there; the caller releases it. */
weir_session *find(struct fixture *fixture, const char *name);

/* What weir_attachment_get says of a session found by name. */
int attachment_info_of(struct fixture *fixture, const char *name, weir_attachment_info *info);

/* Sweeps all places for `what`; the names that ended, for whatever reason, in the order that they did. */
#define SWEPT_MAX 16
struct swept {
    uint32_t count;
    struct {
        char name[WEIR_NAME_MAX + 1];
        weir_end_reason reason;
    } sessions[SWEPT_MAX];
};
struct swept sweep_for(struct fixture *fixture, uint32_t what, uint64_t idle_ttl_ms);
int was_swept(const struct swept *swept, const char *name, weir_end_reason reason);

#endif
