/* What was accepted, and where: every life of every session with all its events in order. It is written where the
 * server accepts them, so it is exact, whatever answers were lost on their way back.
 *
 * Every payload tells whose it is: "w/SESSION/NUMBER/CHECKSUM/FILLER". The number is used once in a run, or
 * once per session where SESSION is "*"; the checksum covers everything else. Line ends are compared as clients see them: CR and CRLF are LF. */
#ifndef WEIR_TESTS_SIMULATION_TRUTH_H
#define WEIR_TESTS_SIMULATION_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir.h>

#include "support/random.h"

struct simulation;

#define TRUTH_NAMES   8u     /* the first PLAN_SESSIONS are what clients subscribe to */
#define TRUTH_ALL     8u     /* stands for the name in what is published to all at once */
#define TRUTH_KINDS   3u     /* of events, the default one included */
#define PAYLOAD_MOST  9000u  /* bytes; of them JSON escapes may make six times as many */
#define TRUTH_NUMBERS 65536u /* events in one run */

enum payload_form { PAYLOAD_TEXT, PAYLOAD_LINE, PAYLOAD_JSON };

struct publication {
    uint64_t hash; /* of the text as clients see it */
    uint32_t length;
    uint32_t number;
    unsigned kind; /* 0: the default */
};

struct life {
    unsigned name;
    char epoch[16];
    uint64_t newest;
    uint64_t bytes;
    weir_end_reason ended;
    struct publication *items; /* sequence 1 first */
    uint64_t capacity;
};

struct truth {
    struct life *lives;
    unsigned count, capacity;
    int current[TRUTH_NAMES]; /* the session's life now, or -1 */
    uint32_t next_number;
    unsigned char used[TRUTH_NUMBERS / 8];
    uint64_t created, ended, published, bytes; /* of the engine that runs now, */
    uint64_t gaps, lost;                       /* and what its readers have heard of */
};

const char *truth_name(unsigned name);
/* The name of a kind; "" for the default. */
const char *truth_kind(unsigned kind);
/* The session of that name, or -1. */
int truth_find_name(const char *name, size_t length);

void truth_start(struct truth *truth);
void truth_free(struct truth *truth);
/* A new engine: no session is left of the old one. */
void truth_new_engine(struct truth *truth);

/* The life with that epoch, or NULL. */
struct life *truth_life(struct truth *truth, unsigned name, const char *epoch);
/* The session's life, which may be new. */
struct life *truth_of_session(struct simulation *simulation, unsigned name, const weir_session_info *info);
/* An event was accepted as the life's next. */
void truth_accepted(struct simulation *simulation, struct life *life, unsigned kind, const char *payload,
                    size_t length);
/* From the engine: a session has ended. */
void truth_ended(struct simulation *simulation, unsigned name, weir_end_reason reason);

/* A payload that nobody has sent. Returns its length; *number is its own. */
size_t payload_write(struct simulation *simulation, unsigned name, enum payload_form form, struct random *random,
                     char *out, uint32_t *number);
/* Whether it is a whole payload of that session, or of all. */
bool payload_check(const char *text, size_t length, unsigned name, uint32_t *number);
/* Of the text as clients see it; *seen is its length then. */
uint64_t payload_hash(const char *text, size_t length, size_t *seen);

#endif
