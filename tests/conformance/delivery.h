/* One case, sent to a server in one way, and everything that must hold of what comes back and of what is left. */
#ifndef WEIR_TESTS_CONFORMANCE_DELIVERY_H
#define WEIR_TESTS_CONFORMANCE_DELIVERY_H

#include "link.h"

enum cut {
    CUT_NOWHERE,    /* one send */
    CUT_EVERYWHERE, /* a send for each byte, or for each piece between the cuts of a long request */
    CUT_AT          /* two sends */
};

/* A longer request is cut at each offset of its ends only, and between them at LONG_CUTS offsets. */
#define LONG_REQUEST 3000u
#define LONG_END     100u
#define LONG_CUTS    60u

struct way {
    enum cut cut;
    size_t at;
};

/* The next offset to cut at behind `at`, for requests of `length` bytes. */
size_t next_cut(size_t at, size_t length);

/* Delivers the case and checks all that it says. True when it holds, and *transcript has the bytes that came, with
 * what differs from run to run (epochs, the jitter of `retry:`) made the same. Otherwise a report was printed. */
bool deliver(struct link *link, const struct conformance_case *one, struct way way, struct case_text *transcript);

/* A new connection gets the answer that every healthy server gives. */
bool deliver_probe(struct link *link, enum server_kind server);

/* The first `length` bytes of the case and no more: no answer but those to requests that are complete in them, then
 * 408 when the time is up, or silence when no request has begun. Needs a time of its own. */
bool deliver_truncated(struct link *link, const struct conformance_case *one, size_t length);

/* Half of the case, which is one request; a drain; the other half. It is still answered, and the answer says that the
 * connection ends, which it then does. */
bool deliver_draining(struct link *link, const struct conformance_case *one);

#endif
