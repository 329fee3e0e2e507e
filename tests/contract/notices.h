/* An observer that keeps what it was told, for tests of one thread. */
#ifndef CONTRACT_NOTICES_H
#define CONTRACT_NOTICES_H

#include <weir.h>

#define NOTICES_MAX 256

struct noted {
    weir_notice notice; /* its name is in `session` */
    char session[WEIR_NAME_MAX + 1];
};

struct notices {
    uint32_t count;
    struct noted noted[NOTICES_MAX];
};

/* The observer to put into a weir_config; forgets what `notices` held. */
weir_observer notices_observer(struct notices *notices);

/* How many there were of that kind about that session, of any reason or of this one. */
uint32_t notices_of(const struct notices *notices, weir_notice_kind kind, const char *session);
uint32_t notices_count(const struct notices *notices, weir_notice_kind kind, const char *session,
                       weir_end_reason reason);

/* The last one of that kind; there must be one. */
const weir_notice *notices_last(const struct notices *notices, weir_notice_kind kind);

#endif
