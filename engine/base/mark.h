/* Named steps of publish and notify. A test build (WEIR_MARKS) calls a hook at each, which may stop the thread there:
 * that is how the tests show that a producer stopped anywhere delays nobody. Other builds contain nothing of it. */
#ifndef WEIR_BASE_MARK_H
#define WEIR_BASE_MARK_H

#define MARK_LIST(X)                                                                                                 \
    X(PUBLISH_BEGIN)                                                                                                 \
    X(PUBLISH_SLOTS_MADE)                                                                                            \
    X(PUBLISH_CHUNK_MADE)                                                                                            \
    X(PUBLISH_CELL_TAKEN)                                                                                            \
    X(PUBLISH_CELL_FILLED)                                                                                           \
    X(PUBLISH_SLOT_FOUND)                                                                                            \
    X(PUBLISH_CLAIMED)                                                                                               \
    X(PUBLISH_HINT_STORED)                                                                                           \
    X(PUBLISH_CELL_KEPT)                                                                                             \
    X(NOTIFY_LEAF_LOADED)                                                                                            \
    X(NOTIFY_LEAF_SET)                                                                                               \
    X(NOTIFY_SUMMARY_SET)                                                                                            \
    X(NOTIFY_EPOCH_LOADED)                                                                                           \
    X(NOTIFY_WOKEN)                                                                                                  \
    X(PUBLISH_END)

enum mark {
#define MARK_ENUM(name) MARK_##name,
    MARK_LIST(MARK_ENUM)
#undef MARK_ENUM
        MARK_COUNT
};

#ifdef WEIR_MARKS
void weir_test_mark(enum mark mark);
#define WEIR_MARK(name) weir_test_mark(MARK_##name)
#else
#define WEIR_MARK(name) ((void)0)
#endif

#endif
