/* What a subscriber makes of the frames that it hears: O1 to O4, and that ends and gaps say what is so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sabotage.h"
#include "simulation.h"

#define NOTHING_MISSING UINT64_MAX

/* ---- Where it begins ---------------------------------------------------------------------------------------------- */

static struct client *client_of(struct simulation *simulation, const struct connection *connection) {
    for (unsigned i = 0; i < simulation->plan.clients; i++) {
        struct client *client = &simulation->clients[i];
        if (client->peer != NULL && simulated_descriptor(client->peer) == connection->descriptor) return client;
    }
    return NULL;
}

/* The id's sequence when it is of this life and has been given out, else 0. */
static uint64_t presented_sequence(const struct client *client, const weir_session_info *info) {
    size_t length = strlen(client->epoch);
    if (strncmp(client->last_id, client->epoch, length) != 0 || client->last_id[length] != '.') return 0;
    uint64_t sequence = strtoull(client->last_id + length + 1, NULL, 10);
    return sequence <= info->newest ? sequence : 0;
}

void client_subscribed(struct simulation *simulation, const struct connection *connection) {
    struct client *client = client_of(simulation, connection);
    weir_session_info info;
    if (client == NULL || !server_session(simulation, client->name, &info)) return;
    client->subscribed = true;
    client->epoch[weir_epoch_format(info.epoch, client->epoch)] = '\0';
    client->oldest = info.oldest;
    client->next = client->from_now ? info.newest + 1 : info.oldest;
    client->events = client->lost = 0;
    if (client->presented) {
        uint64_t sequence = presented_sequence(client, &info);
        client->gap_due = sequence == 0;
        client->next = sequence + 1;
    }
    client->start = client->next;
    simulation_note(simulation, "subscribed from", client->index, (int64_t)client->next);
}

/* ---- Frames ------------------------------------------------------------------------------------------------------- */

static void require_nothing_missing(struct client *client) {
    SIMULATION_REQUIRE(client->simulation, ORACLE_LOSS, client->missing == NOTHING_MISSING,
                       "client %u was not told of %s/%llu before %llu", client->index, truth_name(client->name),
                       (unsigned long long)client->missing, (unsigned long long)client->next);
}

static void take_counted_gap(struct client *client, const struct gap_frame *gap) {
    struct simulation *simulation = client->simulation;
    SIMULATION_REQUIRE(simulation, ORACLE_LOSS, !client->gap_due, "client %u presented '%s' and got a gap '%s'",
                       client->index, client->last_id, gap->reason);
    SIMULATION_REQUIRE(simulation, ORACLE_BALANCE,
                       gap->range && gap->lost_known && gap->lost == gap->last - gap->first + 1,
                       "client %u: a gap from %llu to %llu that counts %llu", client->index,
                       (unsigned long long)gap->first, (unsigned long long)gap->last, (unsigned long long)gap->lost);
    SIMULATION_REQUIRE(simulation, gap->first > client->next ? ORACLE_LOSS : ORACLE_DUPLICATE,
                       gap->first == client->next, "client %u stands at %llu and hears of a gap from %llu",
                       client->index, (unsigned long long)client->next, (unsigned long long)gap->first);
    client->lost += gap->lost;
    client->next = gap->last + 1;
}

/* The id that was presented says nothing here: what is kept follows, from its beginning. */
static void take_unknown_gap(struct client *client, const struct gap_frame *gap) {
    struct simulation *simulation = client->simulation;
    SIMULATION_REQUIRE(simulation, ORACLE_BALANCE, client->gap_due && !gap->lost_known,
                       "client %u presented '%s', stands at %s.%llu, and hears of a gap '%s'", client->index,
                       client->last_id, client->epoch, (unsigned long long)client->next, gap->reason);
    client->next = client->start = gap->range ? gap->last + 1 : 1;
    SIMULATION_REQUIRE(simulation, ORACLE_LOSS, client->next == client->oldest && (!gap->range || gap->first == 1),
                       "client %u: after a gap '%s' it stands at %llu; the oldest kept was %llu", client->index,
                       gap->reason, (unsigned long long)client->next, (unsigned long long)client->oldest);
    client->gap_due = false;
}

static void take_gap(struct client *client, const struct frame *frame) {
    struct simulation *simulation = client->simulation;
    struct gap_frame gap;
    SIMULATION_REQUIRE(simulation, ORACLE_FRAMING, gap_read(frame, &gap), "client %u: a gap that says '%.*s'",
                       client->index, (int)frame->length, frame->data);
    sabotage_gap(client, &gap);
    require_nothing_missing(client);
    SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION, strcmp(gap.epoch, client->epoch) == 0,
                       "client %u: a gap of epoch %s on %s", client->index, gap.epoch, client->epoch);
    if (strcmp(gap.reason, "slow") == 0 || strcmp(gap.reason, "evicted") == 0)
        take_counted_gap(client, &gap);
    else
        take_unknown_gap(client, &gap);
    simulation->totals->gaps++;
    simulation->totals->lost += gap.lost_known ? gap.lost : 0;
    simulation->server.seen.gaps++;
    simulation->truth.gaps++;
    simulation->truth.lost += gap.lost_known ? gap.lost : 0;
}

static uint64_t read_id(struct client *client, const struct frame *frame) {
    size_t length = strlen(client->epoch);
    uint64_t sequence = 0;
    bool good = frame->id_length > length + 1 && frame->id_length < length + 20 && frame->id[length] == '.' &&
                memcmp(frame->id, client->epoch, length) == 0;
    for (size_t i = length + 1; good && i < frame->id_length; i++) {
        good = frame->id[i] >= '0' && frame->id[i] <= '9';
        sequence = sequence * 10 + (uint64_t)(frame->id[i] - '0');
    }
    SIMULATION_REQUIRE(client->simulation, ORACLE_ISOLATION, good, "client %u: id '%.*s' in epoch %s", client->index,
                       (int)frame->id_length, frame->id, client->epoch);
    return sequence;
}

static void check_content(struct client *client, const struct frame *frame, uint64_t sequence) {
    struct simulation *simulation = client->simulation;
    const struct life *life = truth_life(&simulation->truth, client->name, client->epoch);
    uint32_t number = 0;
    size_t seen = 0;
    SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION, payload_check(frame->data, frame->length, client->name, &number),
                       "client %u: event %llu is no event of %s: '%.*s'", client->index, (unsigned long long)sequence,
                       truth_name(client->name), (int)(frame->length < 60 ? frame->length : 60), frame->data);
    SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION, life != NULL && sequence >= 1 && sequence <= life->newest,
                       "client %u: event %llu of %s was never published", client->index, (unsigned long long)sequence,
                       truth_name(client->name));
    const struct publication *item = &life->items[sequence - 1];
    const char *kind = truth_kind(item->kind);
    SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION,
                       frame->kind_length == strlen(kind) && memcmp(frame->kind, kind, frame->kind_length) == 0,
                       "client %u: event %llu of %s is of kind '%.*s', not '%s'", client->index,
                       (unsigned long long)sequence, truth_name(client->name), (int)frame->kind_length, frame->kind,
                       kind);
    uint64_t hash = payload_hash(frame->data, frame->length, &seen);
    SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION,
                       item->number == number && item->hash == hash && item->length == seen,
                       "client %u: event %llu of %s is publication %u, not %u", client->index,
                       (unsigned long long)sequence, truth_name(client->name), number, item->number);
}

/* What comes after a jump shows what the jump was: it is out of order, or what was left out is lost. */
static void take_sequence(struct client *client, uint64_t sequence) {
    struct simulation *simulation = client->simulation;
    bool late = sequence >= client->missing && sequence < client->missing_end;
    SIMULATION_REQUIRE(simulation, ORACLE_ORDER, !late, "client %u: event %llu of %s comes after %llu", client->index,
                       (unsigned long long)sequence, truth_name(client->name),
                       (unsigned long long)(client->next - 1));
    require_nothing_missing(client);
    SIMULATION_REQUIRE(simulation, ORACLE_DUPLICATE, sequence >= client->next,
                       "client %u: event %llu of %s comes again", client->index, (unsigned long long)sequence,
                       truth_name(client->name));
    if (sequence > client->next) {
        client->missing = client->next;
        client->missing_end = sequence;
    }
    client->next = sequence + 1;
}

static void take_event(struct client *client, const struct frame *frame) {
    struct simulation *simulation = client->simulation;
    SIMULATION_REQUIRE(simulation, ORACLE_LOSS, !client->gap_due, "client %u presented '%s' and got no gap",
                       client->index, client->last_id);
    uint64_t sequence = read_id(client, frame);
    take_sequence(client, sequence);
    check_content(client, frame, sequence);
    client->events++;
    simulation->totals->events++;
    simulation->server.seen.events++;
    memcpy(client->last_id, frame->id, frame->id_length);
    client->last_id[frame->id_length] = '\0';
}

/* Everything before the end was told. */
static void take_end(struct client *client, const struct frame *frame) {
    struct simulation *simulation = client->simulation;
    const struct life *life = truth_life(&simulation->truth, client->name, client->epoch);
    require_nothing_missing(client);
    SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION, life != NULL && life->ended != WEIR_ENDED_NOT,
                       "client %u is told of an end that was not", client->index);
    const char *reason = life->ended == WEIR_ENDED_EXPIRED ? "expired" : "terminated";
    char text[64];
    int length = snprintf(text, sizeof(text), "{\"reason\":\"%s\"}", reason);
    SIMULATION_REQUIRE(simulation, ORACLE_FRAMING,
                       frame->length == (size_t)length && memcmp(frame->data, text, (size_t)length) == 0,
                       "client %u: the end says %.*s, not %s", client->index, (int)frame->length, frame->data, text);
    SIMULATION_REQUIRE(simulation, ORACLE_LOSS, !client->gap_due && client->next == life->newest + 1,
                       "client %u: the end comes at %llu; the last event is %llu", client->index,
                       (unsigned long long)client->next, (unsigned long long)life->newest);
    client->ended = true;
}

/* At the beginning, and when the server goes. Where memory fails the first may be missing. */
static void take_retry(struct client *client, const struct frame *frame) {
    client->retry_last = !client->first;
    client->retry_ms = (unsigned)frame->retry_ms;
    uint32_t base = client->simulation->settings.server.retry_ms;
    SIMULATION_REQUIRE(client->simulation, ORACLE_FRAMING, frame->retry_ms >= base && frame->retry_ms <= 2 * base,
                       "client %u: retry %llu", client->index, (unsigned long long)frame->retry_ms);
}

void client_take_frame(void *context, const struct frame *frame) {
    struct client *client = context;
    struct simulation *simulation = client->simulation;
    struct frame changed = *frame;
    SIMULATION_REQUIRE(simulation, ORACLE_FRAMING, client->subscribed && !client->ended && !client->retry_last,
                       "client %u: a frame behind the end of its stream", client->index);
    bool retry_wanted = client->first && !client->ndjson && !plan_has(&simulation->plan, WEATHER_MEMORY);
    SIMULATION_REQUIRE(simulation, ORACLE_FRAMING, !retry_wanted || frame->type == FRAME_RETRY,
                       "client %u: its stream does not begin with a retry", client->index);
    for (unsigned times = sabotage_frame(client, &changed); times > 0; times--) {
        switch (changed.type) {
        case FRAME_EVENT:
            take_event(client, &changed);
            break;
        case FRAME_GAP:
            take_gap(client, &changed);
            break;
        case FRAME_END:
            take_end(client, &changed);
            break;
        case FRAME_RETRY:
            take_retry(client, &changed);
            break;
        case FRAME_HEARTBEAT:
            simulation->totals->heartbeats++;
            simulation->server.seen.heartbeats++;
            break;
        }
    }
    client->first = false;
}
