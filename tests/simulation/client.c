#include <stdio.h>
#include <string.h>

#include "sabotage.h"
#include "simulation.h"

#define NOTHING_MISSING UINT64_MAX

static void take_answer(void *context, const struct answer_heard *answer);

void client_start(struct simulation *simulation, unsigned index) {
    struct client *client = &simulation->clients[index];
    memset(client, 0, offsetof(struct client, decoder));
    client->simulation = simulation;
    client->index = index;
    client->random = random_start(simulation->plan.seed, 10 + index);
    client->name = random_below(&client->random, simulation->settings.sessions);
    client->ndjson = random_happens(&client->random, 30);
    client->http10 = random_happens(&client->random, 15);
    client->slow = plan_has(&simulation->plan, WEATHER_STALL) && random_happens(&client->random, 30);
    client->next_ns = simulation_now_ns(simulation) + random_below(&client->random, 100) * NS_PER_MS;
    client->retry_ms = 1;
    client->last_id[0] = '\0';
    client->decoder.context = client;
    client->decoder.answer = take_answer;
    client->decoder.frame = client_take_frame;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------- */

/* Mostly its own; now and then one that nobody can have got, or somebody else's. */
static void draw_last_id(struct client *client) {
    struct random *random = &client->random;
    const struct simulation *simulation = client->simulation;
    if (simulation->settling || !plan_has(&simulation->plan, WEATHER_LEAVE)) return;
    if (random_happens(random, 2))
        snprintf(client->last_id, sizeof(client->last_id), "nonsense");
    else if (random_happens(random, 2) && client->last_id[0] != '\0')
        snprintf(client->last_id + strlen(client->last_id), 4, "999");
    else if (random_happens(random, 3))
        client->last_id[0] = '\0';
    else if (random_happens(random, 5)) /* another session, with this one's id */
        client->name = random_below(random, simulation->settings.sessions);
}

static void write_request(struct client *client) {
    struct random *random = &client->random;
    bool before = random_happens(random, 5);
    bool by_query = random_happens(random, 10);
    client->presented = client->last_id[0] != '\0';
    client->from_now = !client->presented && random_happens(random, 20);
    client->length = (size_t)snprintf(
        client->request, sizeof(client->request),
        "%sGET /sessions/%s/events%s%s HTTP/1.%u\r\nHost: x\r\n%s%s%s%s\r\n",
        before ? "GET /health HTTP/1.1\r\nHost: x\r\n\r\n" : "", truth_name(client->name),
        client->from_now                ? "?from=now"
        : client->presented && by_query ? "?last_event_id="
                                        : "",
        client->presented && by_query ? client->last_id : "", client->http10 ? 0 : 1,
        client->ndjson ? "Accept: application/x-ndjson\r\n" : "",
        client->presented && !by_query ? "Last-Event-ID: " : "",
        client->presented && !by_query ? client->last_id : "", client->presented && !by_query ? "\r\n" : "");
}

static void come(struct client *client) {
    struct simulation *simulation = client->simulation;
    draw_last_id(client);
    write_request(client);
    client->peer = simulated_connect(simulation->server.backend, simulation->server.listener);
    client->fed = 0;
    client->finished = client->subscribed = client->gap_due = client->ended = client->retry_last = false;
    client->first = true;
    client->missing = NOTHING_MISSING;
    client->stalled_until_ns = 0;
    if (client->slow && !simulation->settling)
        simulated_set_window(client->peer, 1 + random_below(&client->random, 4000));
    decoder_start(&client->decoder, 0);
    simulation->totals->lives++;
    simulation_note(simulation, client->presented ? "client comes back" : "client comes", client->index,
                    client->name);
}

static void feed(struct client *client) {
    size_t left = client->length - client->fed;
    if (left == 0 || client->finished) return;
    if (random_below(&client->random, 1000) < client->simulation->settings.drip && !client->simulation->settling)
        left = random_below(&client->random, (uint32_t)left + 1);
    simulated_feed(client->peer, client->request + client->fed, left);
    client->fed += left;
}

/* ---- Reading ------------------------------------------------------------------------------------------------------ */

/* Answers that are no stream: what the server may say to a subscriber who has done nothing wrong. */
static void take_answer(void *context, const struct answer_heard *answer) {
    static const unsigned expected[] = {200, 404, 408, 410, 503};
    struct client *client = context;
    client->simulation->totals->answers++;
    client->simulation->server.seen.refused += answer->status >= 400;
    for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        if (answer->status == expected[i]) return;
    simulation_fail(client->simulation, ORACLE_FRAMING, "client %u got status %u: %.*s", client->index,
                    answer->status, (int)answer->length, answer->body);
}

static void hear(struct client *client, size_t most) {
    struct simulation *simulation = client->simulation;
    while (most > 0) {
        char bytes[8192];
        size_t count = simulated_read(client->peer, bytes, most < sizeof(bytes) ? most : sizeof(bytes));
        if (count == 0) return;
        most -= count;
        client->heard_ns = simulation_now_ns(simulation);
        trace_bytes(&simulation->outcome.trace, bytes, count);
        count = sabotage_bytes(client, bytes, count);
        SIMULATION_REQUIRE(simulation, ORACLE_FRAMING, decoder_feed(&client->decoder, bytes, count),
                           "client %u (%s, HTTP/1.%u) heard %s", client->index, client->ndjson ? "NDJSON" : "SSE",
                           client->http10 ? 0 : 1, client->decoder.problem);
    }
}

static void read_some(struct client *client) {
    if (client->deaf || simulation_now_ns(client->simulation) < client->stalled_until_ns) return;
    bool slowly = client->slow && !client->simulation->settling;
    hear(client, slowly ? random_below(&client->random, 2000) : SIZE_MAX);
}

/* ---- Leaving ------------------------------------------------------------------------------------------------------ */

/* It has heard all that it will hear. What was jumped over did not come. */
static void close_accounts(struct client *client) {
    struct simulation *simulation = client->simulation;
    SIMULATION_REQUIRE(simulation, ORACLE_LOSS, client->missing == NOTHING_MISSING,
                       "client %u was never told of %s/%llu, and of no gap", client->index, truth_name(client->name),
                       (unsigned long long)client->missing);
    if (!client->subscribed || client->gap_due) return;
    SIMULATION_REQUIRE(simulation, ORACLE_BALANCE, client->events + client->lost == client->next - client->start,
                       "client %u heard %llu events and of %llu lost ones, and stands %llu further", client->index,
                       (unsigned long long)client->events, (unsigned long long)client->lost,
                       (unsigned long long)(client->next - client->start));
}

/* A drain ends streams in good order: not before they have been sent what was accepted before it. */
static void check_drained(struct client *client) {
    const struct simulation *simulation = client->simulation;
    const struct server *server = &simulation->server;
    int life = server->drain_life[client->name];
    bool in_order = client->decoder.phase == PHASE_OVER && !client->ended && (client->retry_last || client->ndjson);
    if (!server->draining || !in_order || life < 0) return;
    if (strcmp(simulation->truth.lives[life].epoch, client->epoch) != 0) return;
    if (simulation->settings.server.slow_policy == WEIR_POLICY_DETACH || plan_has(&simulation->plan, WEATHER_MEMORY))
        return; /* these end streams in the same words */
    SIMULATION_REQUIRE(client->simulation, ORACLE_LOSS, client->next > server->drain_newest[client->name],
                       "client %u: a drain ends its stream at %llu; when it began the newest event of %s was %llu",
                       client->index, (unsigned long long)client->next, truth_name(client->name),
                       (unsigned long long)server->drain_newest[client->name]);
}

static void depart(struct client *client, uint64_t delay_ns) {
    struct simulation *simulation = client->simulation;
    hear(client, SIZE_MAX);
    close_accounts(client);
    if (client->subscribed) check_drained(client);
    if (client->decoder.phase != PHASE_OVER && client->subscribed) simulation->server.seen.cut = true;
    if (!client->subscribed) simulation->server.seen.cut = true;
    simulation_note(simulation, "client is away", client->index, (int64_t)client->decoder.phase);
    simulated_set_window(client->peer, 0); /* nobody is there any more to take anything */
    simulated_dismiss(client->peer);
    client->peer = NULL;
    client->next_ns = simulation_now_ns(simulation) + delay_ns;
}

void client_leave(struct client *client, uint64_t delay_ns) {
    if (client->peer == NULL) {
        client->next_ns = simulation_now_ns(client->simulation) + delay_ns;
        return;
    }
    client->simulation->server.seen.cut = true;
    hear(client, SIZE_MAX);
    simulated_reset(client->peer);
    depart(client, delay_ns);
}

static void misbehave(struct client *client) {
    struct random *random = &client->random;
    const struct settings *settings = &client->simulation->settings;
    if (random_below(random, 1000) < settings->stall) {
        client->stalled_until_ns = simulation_now_ns(client->simulation) + random_below(random, 4000) * NS_PER_MS;
        simulated_set_window(client->peer, random_below(random, 500));
    }
    if (random_below(random, 1000) >= settings->leave) return;
    client->simulation->server.seen.cut = true;
    switch (random_below(random, 4)) {
    case 0: /* with what it has not read, and at once */
        client_leave(client, random_below(random, 20) * NS_PER_MS);
        return;
    case 1: /* half: nothing more will be asked, but it goes on reading */
        if (!client->finished) simulated_finish(client->peer);
        client->finished = true;
        return;
    case 2: /* says what nobody wants to hear */
        if (!client->finished && client->subscribed) simulated_feed(client->peer, "GET / HTTP/1.1\r\n", 16);
        return;
    default: /* says goodbye and goes when all is read */
        hear(client, SIZE_MAX);
        if (!client->finished) simulated_finish(client->peer);
        depart(client, random_below(random, 200) * NS_PER_MS);
    }
}

void client_poll(struct client *client) {
    struct simulation *simulation = client->simulation;
    if (client->peer == NULL) {
        if (simulation_now_ns(simulation) >= client->next_ns && !simulation->server.going) come(client);
        if (client->peer == NULL) return;
    }
    feed(client);
    read_some(client);
    bool over = simulated_saw_finish(client->peer) || simulated_saw_reset(client->peer);
    if (over && simulation_now_ns(simulation) >= client->stalled_until_ns) {
        if (!client->finished && !simulated_saw_reset(client->peer)) simulated_finish(client->peer);
        depart(client, (uint64_t)client->retry_ms * NS_PER_MS);
        return;
    }
    if (!simulation->settling) misbehave(client);
}

void client_calm_down(struct client *client) {
    client->stalled_until_ns = 0;
    client->slow = false;
    if (client->peer != NULL) simulated_set_window(client->peer, client->deaf ? 0 : SIZE_MAX);
}

bool client_is_at_head(struct client *client) {
    weir_session_info info;
    char epoch[16];
    if (client->peer == NULL || !client->subscribed || client->ended || client->gap_due || client->first)
        return false;
    if (!server_session(client->simulation, client->name, &info)) return false;
    epoch[weir_epoch_format(info.epoch, epoch)] = '\0';
    return strcmp(client->epoch, epoch) == 0 && client->next == info.newest + 1;
}
