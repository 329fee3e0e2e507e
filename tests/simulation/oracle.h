/* What must hold, whatever happens. The clients check what each connection is told (O1 to O5), these functions the whole
 * (O6 to O10); the simulated backend finds O11, and running a seed twice O12. */
#ifndef WEIR_TESTS_SIMULATION_ORACLE_H
#define WEIR_TESTS_SIMULATION_ORACLE_H

struct simulation;

enum oracle {
    ORACLE_NONE,
    ORACLE_LOSS,       /* O1  no loss without a gap notice */
    ORACLE_DUPLICATE,  /* O2  no duplicate within one connection */
    ORACLE_ORDER,      /* O3  the order of the session */
    ORACLE_ISOLATION,  /* O4  no byte of another session, and every byte as it was published */
    ORACLE_FRAMING,    /* O5  what is sent is well-formed */
    ORACLE_MEMORY,     /* O6  all memory comes back, and never exceeds its bounds */
    ORACLE_LIVENESS,   /* O7  without faults every client reaches the newest event soon */
    ORACLE_BALANCE,    /* O8  accepted = delivered + dropped + retained */
    ORACLE_METRICS,    /* O9  what the server counts is what happened */
    ORACLE_OPERATIONS, /* O10 operations submitted = completed + in flight; the backend's preconditions */
    ORACLE_BUFFERS,    /* O11 no buffer is changed or freed while an operation holds it */
    ORACLE_REPEAT,     /* O12 the same seed gives the same run */
    ORACLE_CRASH,      /* the server aborted */
    ORACLES
};

const char *oracle_name(enum oracle oracle);

/* After every turn of the reactor. */
void oracle_check_operations(struct simulation *simulation);
/* Now and then. */
void oracle_check_counts(struct simulation *simulation);
/* When every client has heard all that it was sent, and nothing is in flight. */
void oracle_check_settled(struct simulation *simulation);
/* The reactor is gone: its memory is back. */
void oracle_check_server_memory(struct simulation *simulation);
void oracle_check_engine_memory(struct simulation *simulation);

#endif
