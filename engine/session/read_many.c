/* Reading a run of events at once: what weir_read looks at for each event is looked at once, and the rest is a loop over
 * neighbouring slots of one lap. Whatever is not plain ends the run, and is weir_read's. */
#include "read.h"

/* Where a run stands. */
struct run {
    const weir_session *session;
    const struct slots *slots;
    char *buffer;
    size_t room; /* bytes left in the buffer */
    uint64_t now_ms;
    uint64_t next;
};

/* What weir_read would look for before each event, as of now. Later events of the run need no look of their own: where
 * the queue has not overflowed here, it had not when the first of them was read either, and all are read as of then. */
static const struct slots *plain_slots(weir_session *session, const weir_cursor *cursor) {
    void *ring = pointer_load_seq_cst(&session->ring); /* seq_cst: see session_slots */
    if (UNLIKELY(cursor->rare || cursor->next >= cursor->end || !ring_is_slots(ring))) return NULL;
    const struct slots *slots = (const struct slots *)ring;
    return LIKELY(!cursor_has_overflowed(slots, cursor)) ? slots : NULL;
}

/* The smallest cells are what most events are in, and are copied as they are where the buffer has room for all of one. */
static inline void copy_payload(const struct run *run, const struct cell *cell, uint32_t class_index, size_t length) {
    if (class_index == 0 && LIKELY(run->room >= CELL_SMALL_ROOM))
        copy_whole_cell(run->buffer, cell->payload, length, CELL_SMALL_ROOM);
    else
        copy_from_cell(run->buffer, cell->payload, length);
}

/* Copies the event in `cell` under `word`, and says whether it was there, plain and whole. */
static inline __attribute__((always_inline)) bool read_plain(struct run *run, uint64_t word, const struct cell *cell,
                                                             uint32_t class_index, weir_event *event) {
    uint64_t facts = u64_load_relaxed(&cell->facts); /* relaxed, like all of the copy: judged by R3 */
    size_t length = facts_length(facts);
    if (UNLIKELY(length > cell_room(class_index) || length > run->room || facts_are_rare(facts))) return false;
    copy_payload(run, cell, class_index, length);
    if (UNLIKELY(slots_judge(run->slots, cell, run->next, word) != SLOT_EVENT)) return false;
    *event = (weir_event){.sequence = run->next,
                          .time_ms = event_time_at(run->now_ms, facts),
                          .length = (uint32_t)length,
                          .kind = facts_kind(facts)};
    run->buffer += length;
    run->room -= length;
    run->next++;
    return true;
}

/* Reads on inside one lap, where all words have the same tag. Returns how many events that were. */
static inline uint32_t read_lap(struct run *run, weir_event *events, uint32_t count) {
    const struct cell_pool *pool = &run->session->engine->pool;
    uint64_t first_word = slot_word(slot_tag(run->slots, run->next), 0);
    uint32_t left = run->slots->mask + 1 - (uint32_t)(run->next & run->slots->mask);
    if (count > left) count = left;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word = slots_load(run->slots, run->next); /* R1 */
        uint64_t reference = word - first_word;
        if (LIKELY(reference <= CELL_INDEX_MAX)) { /* of class 0 */
            const struct cell *cell = cell_in_class(pool, 0, (uint32_t)reference);
            if (!read_plain(run, word, cell, 0, &events[i])) return i;
        } else {
            if (reference > UINT32_MAX || !cell_has_payload((cell_reference)reference)) return i;
            const struct cell *cell = cell_at(pool, (cell_reference)reference);
            if (!read_plain(run, word, cell, cell_class((cell_reference)reference), &events[i])) return i;
        }
    }
    return count;
}

static uint32_t read_run(weir_session *session, const struct slots *slots, weir_cursor *cursor, void *buffer,
                         size_t capacity, weir_event *events, uint32_t count) {
    struct run run = {session, slots, buffer, capacity, engine_now_ms(session->engine), cursor->next};
    uint64_t until = cursor->end - cursor->next;
    if (count > until) count = (uint32_t)until;
    uint32_t done = 0;
    for (uint32_t more = 1; more > 0 && done < count; done += more)
        more = read_lap(&run, events + done, count - done);
    cursor->next = run.next;
    cursor_read_bytes(session->engine, cursor, capacity - run.room);
    return done;
}

int weir_read_many(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *events,
                   uint32_t max_events, uint32_t *count, weir_gap *gap) {
    *count = 0;
    if (UNLIKELY(max_events == 0)) return WEIR_INVALID;
    const struct slots *slots = plain_slots(session, cursor);
    if (LIKELY(slots != NULL)) *count = read_run(session, slots, cursor, buffer, capacity, events, max_events);
    if (LIKELY(*count > 0)) return WEIR_OK;
    int status = weir_read(session, cursor, buffer, capacity, events, gap);
    *count = status == WEIR_OK;
    return status;
}
