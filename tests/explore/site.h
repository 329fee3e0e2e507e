/* A site: one atomic operation or fence of the explored source, as the compiler met it. Sites are what scripts/weaken
 * weakens. An inline function has a site in each file that includes it; they count as one, by their name. */
#ifndef WEIR_EXPLORE_SITE_H
#define WEIR_EXPLORE_SITE_H

#include <stdbool.h>
#include <stdint.h>

enum order { ORDER_RELAXED, ORDER_ACQUIRE, ORDER_RELEASE, ORDER_ACQ_REL, ORDER_SEQ_CST, ORDER_NONE };

enum operation {
    OPERATION_LOAD,
    OPERATION_STORE,
    OPERATION_CAS, /* on failure a load with `failure` */
    OPERATION_CHANGE,
    OPERATION_FENCE
};

struct explore_site {
    const char *file;
    const char *function;
    const char *name; /* of the operation as the source calls it */
    uint32_t line;
    enum operation operation;
    enum order order;   /* as written, or as weakened for this run; ORDER_NONE: a fence that was dropped */
    enum order failure; /* of a compare-and-swap */
    uint64_t hits;
};

static inline bool order_acquires(enum order order) {
    return order == ORDER_ACQUIRE || order == ORDER_ACQ_REL || order == ORDER_SEQ_CST;
}
static inline bool order_releases(enum order order) {
    return order == ORDER_RELEASE || order == ORDER_ACQ_REL || order == ORDER_SEQ_CST;
}

#endif
