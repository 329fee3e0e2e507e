#include "sabotage.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "simulation.h"

#define EVENT_CHANGED 5u /* of client 0, counted from 1 */

static const struct {
    const char *name;
    enum oracle oracle;
} sabotages[SABOTAGES] = {
    [SABOTAGE_NONE] = {"nothing", ORACLE_NONE},
    [SABOTAGE_LOSE_EVENT] = {"an event is lost", ORACLE_LOSS},
    [SABOTAGE_REPEAT_EVENT] = {"an event comes twice", ORACLE_DUPLICATE},
    [SABOTAGE_SWAP_EVENTS] = {"two events change places", ORACLE_ORDER},
    [SABOTAGE_FOREIGN_EVENT] = {"another session's event comes", ORACLE_ISOLATION},
    [SABOTAGE_CORRUPT_EVENT] = {"a bit of a payload turns", ORACLE_ISOLATION},
    [SABOTAGE_DROP_BYTE] = {"a byte of a chunk size is lost", ORACLE_FRAMING},
    [SABOTAGE_LEAK] = {"a block is never given back", ORACLE_MEMORY},
    [SABOTAGE_DEAF_CLIENT] = {"a client never reads again", ORACLE_LIVENESS},
    [SABOTAGE_MISCOUNT_GAP] = {"a gap counts one too many", ORACLE_BALANCE},
    [SABOTAGE_MISCOUNT_METRIC] = {"a counter counts one too many", ORACLE_METRICS},
    [SABOTAGE_LOSE_COMPLETION] = {"the backend forgets an operation", ORACLE_OPERATIONS},
    [SABOTAGE_CHANGE_SEND] = {"bytes change while they are sent", ORACLE_BUFFERS},
    [SABOTAGE_CHANCE] = {"one draw more the second time", ORACLE_REPEAT},
    [SABOTAGE_CRASH] = {"the process aborts", ORACLE_CRASH},
};

enum oracle sabotage_oracle(enum sabotage sabotage) {
    return sabotages[sabotage].oracle;
}

const char *sabotage_name(enum sabotage sabotage) {
    return sabotages[sabotage].name;
}

/* ---- Below the reactor ---------------------------------------------------------------------------------------------- */

/* The simulated backend's own table, and what passes by. One run at a time. */
static struct {
    const struct io_backend_operations *operations;
    struct io_backend_operations changed;
    struct simulation *simulation;
    char *sent;
    uint64_t sent_token;
} below;

static void remember_send(struct io_backend *backend, int descriptor, const void *data, size_t length,
                          uint64_t token) {
    below.sent = (char *)(uintptr_t)data;
    below.sent_token = token;
    below.operations->send(backend, descriptor, data, length, token);
}

static int change_send(struct io_backend *backend, uint64_t timeout_ns, struct io_completion *completions,
                       unsigned capacity) {
    struct sabotage_state *state = &below.simulation->sabotage;
    if (below.sent != NULL && !state->done && state->events >= EVENT_CHANGED) {
        *below.sent ^= 1;
        state->done = true;
    }
    int count = below.operations->wait(backend, timeout_ns, completions, capacity);
    for (int i = 0; i < count; i++)
        if (completions[i].token == below.sent_token) below.sent = NULL;
    return count;
}

static int lose_completion(struct io_backend *backend, uint64_t timeout_ns, struct io_completion *completions,
                           unsigned capacity) {
    struct sabotage_state *state = &below.simulation->sabotage;
    int count = below.operations->wait(backend, timeout_ns, completions, capacity);
    if (count <= 0 || state->done || state->events < EVENT_CHANGED || completions[count - 1].data != NULL)
        return count;
    state->done = true;
    return count - 1;
}

void sabotage_backend(struct simulation *simulation) {
    enum sabotage sabotage = simulation->plan.sabotage;
    if (sabotage != SABOTAGE_LOSE_COMPLETION && sabotage != SABOTAGE_CHANGE_SEND) return;
    struct io_backend *backend = simulation->server.backend;
    below.operations = backend->operations;
    below.changed = *backend->operations;
    below.simulation = simulation;
    below.sent = NULL;
    below.changed.wait = sabotage == SABOTAGE_CHANGE_SEND ? change_send : lose_completion;
    if (sabotage == SABOTAGE_CHANGE_SEND) below.changed.send = remember_send;
    backend->operations = &below.changed;
}

/* ---- Beside it ------------------------------------------------------------------------------------------------------ */

static void draw_once_more(struct simulation *simulation) {
    static unsigned runs;
    if (++runs % 2 == 0) (void)random_below(&simulation->script, 2);
}

void sabotage_step(struct simulation *simulation) {
    struct sabotage_state *state = &simulation->sabotage;
    if (state->done || state->events < EVENT_CHANGED) return;
    switch (simulation->plan.sabotage) {
    case SABOTAGE_LEAK:
        memory_leak();
        break;
    case SABOTAGE_DEAF_CLIENT:
        simulation->clients[0].deaf = true;
        break;
    case SABOTAGE_MISCOUNT_METRIC:
        counter_add(&simulation->server.reactor->counters.sends, 1);
        break;
    case SABOTAGE_CHANCE:
        draw_once_more(simulation);
        break;
    case SABOTAGE_CRASH:
        abort();
    default:
        return;
    }
    state->done = true;
}

/* ---- Above it ------------------------------------------------------------------------------------------------------- */

size_t sabotage_bytes(struct client *client, char *bytes, size_t count) {
    struct simulation *simulation = client->simulation;
    struct sabotage_state *state = &simulation->sabotage;
    if (simulation->plan.sabotage != SABOTAGE_DROP_BYTE || client->index != 0 || state->done ||
        state->events < EVENT_CHANGED || client->http10 || client->decoder.phase != PHASE_CHUNK_SIZE)
        return count;
    state->done = true;
    memmove(bytes, bytes + 1, count - 1);
    return count - 1;
}

/* The event is heard after the one that follows it. */
static unsigned swap(struct client *client, struct frame *frame) {
    static char data[PAYLOAD_MOST * 6], id[80], kind[80];
    static struct frame held;
    struct sabotage_state *state = &client->simulation->sabotage;
    if (state->events == EVENT_CHANGED) {
        held = *frame;
        held.id = id;
        held.data = data;
        held.kind = kind;
        memcpy(kind, frame->kind, frame->kind_length);
        memcpy(data, frame->data, frame->length);
        memcpy(id, frame->id, frame->id_length);
        return 0;
    }
    state->done = true;
    client_take_frame(client, frame);
    *frame = held;
    return 1;
}

static unsigned replace(struct client *client, struct frame *frame, bool foreign) {
    static char data[PAYLOAD_MOST * 6];
    uint32_t number;
    client->simulation->sabotage.done = true;
    if (foreign) {
        frame->length = payload_write(client->simulation, (client->name + 1) % PLAN_SESSIONS, PAYLOAD_LINE,
                                      &client->random, data, &number);
    } else {
        memcpy(data, frame->data, frame->length);
        data[frame->length / 2] ^= 1;
    }
    frame->data = data;
    return 1;
}

unsigned sabotage_frame(struct client *client, struct frame *frame) {
    struct simulation *simulation = client->simulation;
    struct sabotage_state *state = &simulation->sabotage;
    if (simulation->plan.sabotage == SABOTAGE_NONE || client->index != 0 || state->done || frame->type != FRAME_EVENT)
        return 1;
    if (++state->events < EVENT_CHANGED) return 1;
    switch (simulation->plan.sabotage) {
    case SABOTAGE_LOSE_EVENT:
        state->done = true;
        return 0;
    case SABOTAGE_REPEAT_EVENT:
        state->done = true;
        return 2;
    case SABOTAGE_SWAP_EVENTS:
        return swap(client, frame);
    case SABOTAGE_FOREIGN_EVENT:
        return replace(client, frame, true);
    case SABOTAGE_CORRUPT_EVENT:
        return replace(client, frame, false);
    default:
        return 1;
    }
}

void sabotage_gap(struct client *client, struct gap_frame *gap) {
    struct simulation *simulation = client->simulation;
    if (simulation->plan.sabotage != SABOTAGE_MISCOUNT_GAP || simulation->sabotage.done || !gap->lost_known) return;
    simulation->sabotage.done = true;
    gap->lost++;
}
