#include "outlet.h"

#include <stdlib.h>

#include "wire/text.h"

static unsigned profile_index(struct stream_profile profile) {
    return (unsigned)profile.format * 2 + (profile.chunked ? 1 : 0);
}

static struct outlet *make_outlet(struct reactor *reactor, weir_session *session) {
    weir_session_info info;
    struct outlet *outlet = calloc(1, sizeof(*outlet));
    if (outlet == NULL) return NULL;
    weir_session_info_get(session, &info);
    outlet->reactor = reactor;
    outlet->session = session;
    outlet->epoch_length = (uint8_t)weir_epoch_format(info.epoch, outlet->epoch);
    outlet->epoch[outlet->epoch_length] = '.';
    if (weir_engine_config(reactor->shared->engine)->rules.id_form == WEIR_IDS_EPOCH)
        outlet->id_start = (uint8_t)(outlet->epoch_length + 1);
    return outlet;
}

/* One more stream of an outlet that there is. */
static int share(struct outlet *outlet) {
    if (outlet->shared == NULL) outlet->shared = calloc(1, sizeof(*outlet->shared));
    if (outlet->shared == NULL) return WEIR_NO_MEMORY;
    outlet->stream_count++;
    return WEIR_OK;
}

int outlet_join(struct reactor *reactor, weir_session *session, struct outlet **out) {
    struct outlet *outlet = weir_outlet_user(reactor->poller, session);
    *out = outlet;
    if (outlet != NULL) {
        weir_session_release(session); /* the outlet holds it already */
        return share(outlet);
    }
    outlet = make_outlet(reactor, session);
    int status =
        outlet == NULL ? WEIR_NO_MEMORY : weir_outlet_open(reactor->poller, session, outlet, &outlet->notified);
    if (status != WEIR_OK) {
        free(outlet);
        weir_session_release(session);
        return status;
    }
    outlet->stream_count = 1;
    *out = outlet;
    return WEIR_OK;
}

static void drop_batches(struct outlet *outlet) {
    struct shared_batches *shared = outlet->shared;
    if (shared == NULL) return;
    for (unsigned i = 0; i < PROFILES; i++) {
        batch_release(shared->current[i]);
        batch_release(shared->behind[i]);
    }
    *shared = (struct shared_batches){0};
}

static void free_unused(struct outlet *outlet) {
    if (outlet->stream_count > 0 || outlet->delivering) return;
    drop_batches(outlet);
    weir_outlet_close(outlet->notified);
    weir_session_release(outlet->session);
    free(outlet->shared);
    free(outlet);
}

void outlet_leave(struct outlet *outlet) {
    outlet->stream_count--;
    free_unused(outlet);
}

/* ---- Rendering ---------------------------------------------------------------------------------------------- */

struct rendering {
    struct outlet *outlet;
    struct stream *stream;
    struct batch *batch;
    uint64_t until; /* from here on others have rendered already */
};

/* The wire id, in a buffer of WEIR_ID_MAX bytes. Of bare ids the outlet's part is empty. */
static struct span write_id(const struct outlet *outlet, uint64_t sequence, char *id) {
    memcpy(id, outlet->epoch, outlet->id_start);
    return (struct span){id, outlet->id_start + text_write_u64(id + outlet->id_start, sequence)};
}

static size_t write_event(struct outlet *outlet, struct stream_profile profile, const struct stream_event *event,
                          uint64_t broadcast, char *out, size_t room) {
    struct span rest;
    if (broadcast != 0 && rendered_rest(&outlet->reactor->rendered, profile.format, broadcast, event, &rest))
        return stream_write_with_rest(out, room, profile, event->id, rest);
    return stream_write_event(out, room, profile, event);
}

/* Writes one event behind the batch's last. WEIR_FULL when the batch has no room left for it. */
static int render_event(struct rendering *rendering, const weir_event *event) {
    struct outlet *outlet = rendering->outlet;
    struct batch *batch = rendering->batch;
    struct stream_profile profile = rendering->stream->profile;
    struct stream_event rendered;
    char id[WEIR_ID_MAX];
    rendered.id = write_id(outlet, event->sequence, id);
    rendered.kind.data = weir_kind_name(outlet->reactor->shared->engine, event->kind, &rendered.kind.length);
    rendered.payload.data = outlet->reactor->scratch;
    rendered.payload.length = event->length;
    size_t room = batch->capacity - batch->length;
    size_t size = write_event(outlet, profile, &rendered, event->broadcast, batch->data + batch->length, room);
    if (!batch_fits(batch, size)) return WEIR_FULL;
    if (size > room) /* the batch was empty, and has been made larger for this one event */
        stream_write_event(batch->data, batch->capacity, profile, &rendered);
    batch_added(batch, size);
    return WEIR_OK;
}

/* Reads on with the stream's cursor and renders until there is nothing more, no room, or it joins what is rendered.
 * Returns what ended it (WEIR_FULL for the last two); an event that found no room is left for the next batch. */
static int render(struct rendering *rendering, weir_gap *gap) {
    struct outlet *outlet = rendering->outlet;
    weir_cursor *cursor = &rendering->stream->cursor;
    for (;;) {
        weir_event event;
        weir_cursor before = *cursor;
        if (before.next == rendering->until) return WEIR_FULL;
        int status =
            weir_read(outlet->session, cursor, outlet->reactor->scratch, outlet->reactor->scratch_size, &event, gap);
        if (status != WEIR_OK) return status;
        status = render_event(rendering, &event);
        if (status == WEIR_OK) continue;
        *cursor = before;
        return status;
    }
}

/* ---- Sharing ------------------------------------------------------------------------------------------------ */

static int lend(struct batch *batch, struct stream *stream, uint64_t from, struct outlet_run *run) {
    run->offset = batch_offset(batch, from);
    run->length = batch->length - run->offset;
    run->events = (uint32_t)(batch->to - from);
    run->batch = batch;
    batch_hold(batch);
    weir_cursor_advance(stream->outlet->session, &stream->cursor, batch->to);
    return WEIR_OK;
}

/* A lone subscriber gets a copy of its own, as large as it is: the working batch is free again at once, and a slow
 * reader holds no more than what it is being sent. */
static int lend_copy(const struct batch *batch, struct stream *stream, uint64_t from, struct outlet_run *run) {
    struct batch *copy = batch_copy(batch, from);
    if (copy == NULL) return WEIR_NO_MEMORY;
    int status = lend(copy, stream, from, run);
    batch_release(copy); /* the run holds it now */
    return status;
}

/* Keeps a new batch where the next streams will look for it. */
static void keep(struct shared_batches *shared, struct batch *batch, unsigned profile) {
    struct batch **place = &shared->current[profile];
    if (*place != NULL && batch->from < (*place)->from) place = &shared->behind[profile];
    batch_release(*place);
    batch_hold(batch);
    *place = batch;
}

/* A batch that begins where the stream stands. */
static int run_of_new_batch(struct outlet *outlet, struct stream *stream, struct outlet_run *run, weir_gap *gap) {
    weir_cursor before = stream->cursor;
    unsigned profile = profile_index(stream->profile);
    const struct batch *current = outlet->shared == NULL ? NULL : outlet->shared->current[profile];
    struct rendering rendering = {
        .outlet = outlet,
        .stream = stream,
        .batch = batch_take(&outlet->reactor->batches, before.next),
        .until = current != NULL && before.next < current->from ? current->from : UINT64_MAX,
    };
    struct batch *batch = rendering.batch;
    if (batch == NULL) return WEIR_NO_MEMORY;
    int status = render(&rendering, gap);
    if (batch->to > before.next) {
        run->gap_follows = status == WEIR_GAP;
        bool shared = outlet->stream_count > 1;
        if (shared) keep(outlet->shared, batch, profile);
        status = shared ? lend(batch, stream, before.next, run) : lend_copy(batch, stream, before.next, run);
        if (status != WEIR_OK) stream->cursor = before;
    }
    batch_release(batch);
    return status == WEIR_FULL ? WEIR_NO_MEMORY : status; /* no room in an empty batch: it could not be made larger */
}

/* The same from what others have rendered already, or have begun; WEIR_FULL when that does not reach to the stream. */
static int run_of_shared(struct outlet *outlet, struct stream *stream, struct outlet_run *run, weir_gap *gap) {
    unsigned profile = profile_index(stream->profile);
    uint64_t from = stream->cursor.next;
    struct batch *current = outlet->shared->current[profile];
    struct batch *behind = outlet->shared->behind[profile];
    if (current != NULL && current->to == from) {
        /* At the newest end: what is new is rendered behind it, for this stream and those to come. */
        struct rendering rendering = {outlet, stream, current, UINT64_MAX};
        int status = render(&rendering, gap);
        if (current->to == from && status != WEIR_FULL) return status;
        run->gap_follows = status == WEIR_GAP;
    }
    if (batch_holds(current, from)) return lend(current, stream, from, run);
    if (batch_holds(behind, from)) return lend(behind, stream, from, run);
    return WEIR_FULL;
}

int outlet_next_run(struct outlet *outlet, struct stream *stream, struct outlet_run *run, weir_gap *gap) {
    run->gap_follows = false;
    int status = outlet->shared == NULL ? WEIR_FULL : run_of_shared(outlet, stream, run, gap);
    return status == WEIR_FULL ? run_of_new_batch(outlet, stream, run, gap) : status;
}

/* ---- Streams that wait, and streams that send ------------------------------------------------------------------ */

void outlet_wait(struct outlet *outlet, struct stream *stream) {
    if (stream->waiting) return;
    stream->waiting = true;
    stream->previous = NULL;
    stream->next = outlet->waiting;
    if (outlet->waiting != NULL) outlet->waiting->previous = stream;
    outlet->waiting = stream;
}

void outlet_unwait(struct outlet *outlet, struct stream *stream) {
    if (!stream->waiting) return;
    stream->waiting = false;
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        outlet->waiting = stream->next;
    if (stream->next != NULL) stream->next->previous = stream->previous;
}

void outlet_send_begins(struct outlet *outlet) {
    outlet->sending++;
}

void outlet_send_ends(struct outlet *outlet) {
    if (--outlet->sending == 0) drop_batches(outlet);
}

void outlet_deliver(struct outlet *outlet) {
    /* The list is taken as a whole: a stream that finds nothing puts itself on the new one. Advancing a stream may
     * close it, but no other stream. */
    struct stream *stream = outlet->waiting;
    outlet->waiting = NULL;
    outlet->delivering = true;
    while (stream != NULL) {
        struct stream *next = stream->next;
        stream->waiting = false;
        if (next != NULL) next->previous = NULL;
        stream_advance(stream);
        stream = next;
    }
    outlet->delivering = false;
    free_unused(outlet);
}
