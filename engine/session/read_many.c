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

static inline void fill_event(const struct run *run, uint64_t facts, size_t length, weir_event *event) {
    *event = (weir_event){.sequence = run->next,
                          .time_ms = event_time_at(run->now_ms, facts),
                          .length = (uint32_t)length,
                          .kind = facts_kind(facts)};
}

static inline void step(struct run *run, size_t length) {
    run->buffer += length;
    run->room -= length;
    run->next++;
}

/* Reads up to `count` events from neighbouring slots, whose words are `first_word` and the reference of a smallest cell:
 * what most events are in. While the buffer has room for all of a cell it is copied whole, whatever the event's length.
 * Stops at what is not plain and whole, and returns how many were.
 * The check is that of slots_judge, for a slot whose address is known; a word that only got or lost a mark meanwhile is
 * left to read_plain. R1 need not be seq_cst as in slots_load: what is not found here is looked for again by slots_load
 * before anybody hears that there is nothing. */
static inline uint32_t read_smallest(struct run *run, uint64_t first_word, weir_event *events, uint32_t count) {
    const atomic_pointer *chunks = run->session->engine->pool.classes[0].chunks;
    const atomic_u64 *slot = &run->slots->words[run->next & run->slots->mask];
    struct run at = *run; /* which no store into the buffer can change */
    uint32_t done = 0;
    for (; done < count; done++, slot++) {
        uint64_t word = u64_load_acquire(slot); /* R1 */
        uint64_t reference = word - first_word;
        if (UNLIKELY(reference > CELL_INDEX_MAX)) break;
        const struct cell *cell = cell_in_chunks(chunks, 0, (uint32_t)reference);
        uint64_t facts = u64_load_relaxed(&cell->facts); /* relaxed, like all of the copy: judged by R3 */
        size_t length = facts_plain_length(facts);
        if (UNLIKELY(length > CELL_SMALL_ROOM || at.room < CELL_SMALL_ROOM)) break;
        copy_whole_cell(at.buffer, cell->payload, length, CELL_SMALL_ROOM);
        fence_acquire();                                                   /* F2 */
        if (UNLIKELY(u64_load_acquire(slot) != word)) break;               /* R3 */
        if (UNLIKELY(u64_load_relaxed(&cell->sequence) != at.next)) break; /* relaxed: as in slots_judge */
        fill_event(&at, facts, length, &events[done]);
        step(&at, length);
    }
    *run = at;
    return done;
}

/* Reads the next event from a cell of any class, when it is plain and whole. */
static bool read_plain(struct run *run, uint64_t first_word, weir_event *event) {
    uint64_t word = slots_load(run->slots, run->next); /* R1 */
    uint64_t reference = word - first_word;
    if (reference > UINT32_MAX || !cell_has_payload((cell_reference)reference)) return false;
    const struct cell *cell = cell_at(&run->session->engine->pool, (cell_reference)reference);
    uint64_t facts = u64_load_relaxed(&cell->facts); /* relaxed, as above */
    size_t length = facts_plain_length(facts);
    if (length > cell_room(cell_class((cell_reference)reference)) || length > run->room) return false;
    copy_from_cell(run->buffer, cell->payload, length);
    if (slots_judge(run->slots, cell, run->next, word) != SLOT_EVENT) return false;
    fill_event(run, facts, length, event);
    step(run, length);
    return true;
}

/* Reads on up to `count` events, all of one lap: their words have the same tag. Returns how many were plain. */
static inline uint32_t read_lap(struct run *run, weir_event *events, uint32_t count) {
    uint64_t first_word = slot_word(slot_tag(run->slots, run->next), 0);
    for (uint32_t done = 0;; done++) {
        done += read_smallest(run, first_word, events + done, count - done);
        if (done == count || !read_plain(run, first_word, &events[done])) return done;
    }
}

static inline uint32_t left_in_lap(const struct run *run) {
    return run->slots->mask + 1 - (uint32_t)(run->next & run->slots->mask);
}

static uint32_t read_run(weir_session *session, const struct slots *slots, weir_cursor *cursor, void *buffer,
                         size_t capacity, weir_event *events, uint32_t count) {
    struct run run = {session, slots, buffer, capacity, engine_now_ms(session->engine), cursor->next};
    uint64_t until = cursor->end - cursor->next;
    if (count > until) count = (uint32_t)until;
    uint32_t done = 0;
    uint32_t wanted, got;
    do {
        uint32_t left = left_in_lap(&run);
        wanted = count - done < left ? count - done : left;
        got = read_lap(&run, events + done, wanted);
        done += got;
    } while (got == wanted && done < count);
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
