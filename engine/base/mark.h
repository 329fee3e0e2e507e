/* Named steps of publish and notify, then of what may race with them. A test build (WEIR_MARKS) calls a hook at each,
 * which may stop the thread there: that is how the tests show that a producer stopped anywhere delays nobody. Other
 * builds contain nothing of it. */
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
    X(PUBLISH_END)                                                                                                   \
    X(OFFER_ATTACHMENT_HELD)                                                                                         \
    X(ATTACH_DECIDED)                                                                                                \
    X(ATTACH_LINKED)                                                                                                 \
    X(ATTACHMENT_CLOSED)                                                                                             \
    X(EVICTION_DECIDED)                                                                                              \
    X(EVICTION_MARKED)                                                                                               \
    X(SWEEP_MARKED)                                                                                                  \
    X(CHANNEL_OPEN_INSERTED)                                                                                         \
    X(CHANNEL_JOIN_BEGUN)                                                                                            \
    X(CHANNEL_JOIN_BUILT)                                                                                            \
    X(CHANNEL_JOIN_INSERTED)                                                                                         \
    X(CHANNEL_JOIN_DRAWN)                                                                                            \
    X(CHANNEL_JOIN_CHECKED)                                                                                          \
    X(CHANNEL_MOVED)                                                                                                 \
    X(CHANNEL_LEAVE_DECIDED)                                                                                         \
    X(CHANNEL_BROADCAST_DRAWN)                                                                                       \
    X(CHANNEL_BODY_STORED)                                                                                           \
    X(CHANNEL_MEMBER_SEEN)                                                                                           \
    X(CHANNEL_MEMBER_HELD)                                                                                           \
    X(CHANNEL_MEMBER_OFFERED)                                                                                        \
    X(CONSUMER_AWAKE)                                                                                                \
    X(CONSUMER_FOUND_NOTHING)                                                                                        \
    X(CONSUMER_ANSWERED)                                                                                             \
    X(CONSUMER_ASLEEP)                                                                                               \
    X(SESSION_COME_UPON)                                                                                             \
    X(SESSION_BEGUN)

enum mark {
#define MARK_ENUM(name) MARK_##name,
    MARK_LIST(MARK_ENUM)
#undef MARK_ENUM
        MARK_COUNT
};

#define MARK_PUBLISH_COUNT (MARK_PUBLISH_END + 1) /* the steps of a publish to a session that nobody is attached to */

#ifdef WEIR_MARKS
void weir_test_mark(enum mark mark);
#define WEIR_MARK(name) weir_test_mark(MARK_##name)
#else
#define WEIR_MARK(name) ((void)0)
#endif

#endif
