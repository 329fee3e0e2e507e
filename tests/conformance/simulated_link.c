/* A server on the simulated backend: its time is the test's, so that thousands of deliveries take a moment and every
 * deadline can be waited out. */
#include "link.h"

#include <stdlib.h>

#include "net/rig.h"

#define MOMENT_MS    1u
#define DEADLINES_MS 100000u /* longer than any that a connection has, by the defaults */

struct simulated_link {
    struct link base; /* first: the operations get this and find the rest */
    struct rig rig;
    struct simulated_peer *peer;
    size_t seen; /* bytes of what it was sent */
};

static struct simulated_link *simulated(struct link *link) {
    return (struct simulated_link *)link;
}

static bool take(struct simulated_link *link) {
    size_t length;
    const char *sent = simulated_sent(link->peer, &length);
    bool more = length > link->seen;
    if (more) case_text_append(&link->base.received, sent + link->seen, length - link->seen);
    link->seen = length;
    link->base.ended = simulated_saw_finish(link->peer);
    link->base.broken = simulated_saw_reset(link->peer);
    return more || link->base.ended;
}

/* The rig has one server, of the kind that it was opened with. */
static void link_connect(struct link *link, enum server_kind server) {
    struct simulated_link *self = simulated(link);
    (void)server;
    self->peer = rig_connect(&self->rig);
    self->seen = 0;
    rig_run(&self->rig, MOMENT_MS);
}

static void link_send(struct link *link, const char *data, size_t length) {
    simulated_feed(simulated(link)->peer, data, length);
    rig_run(&simulated(link)->rig, MOMENT_MS);
}

static void link_finish(struct link *link) {
    simulated_finish(simulated(link)->peer);
}

static bool link_receive(struct link *link) {
    rig_run(&simulated(link)->rig, MOMENT_MS);
    return take(simulated(link));
}

static void link_wait_out(struct link *link) {
    rig_run(&simulated(link)->rig, DEADLINES_MS);
}

static void link_drain(struct link *link) {
    reactors_control(&simulated(link)->rig.shared, CONTROL_DRAIN);
    rig_run(&simulated(link)->rig, MOMENT_MS);
}

static void link_disconnect(struct link *link) {
    simulated_finish(simulated(link)->peer);
    rig_run(&simulated(link)->rig, MOMENT_MS);
}

static const struct link_operations operations = {
    .connect = link_connect,
    .send = link_send,
    .finish = link_finish,
    .receive = link_receive,
    .wait_out = link_wait_out,
    .drain = link_drain,
    .disconnect = link_disconnect,
};

struct link *simulated_link_open(enum server_kind server) {
    struct simulated_link *self = calloc(1, sizeof(*self));
    if (self == NULL) abort();
    struct rig_options options = {.server = {.token = server == SERVER_TOKEN ? CONFORMANCE_TOKEN : NULL,
                                             .strict_sessions = server == SERVER_STRICT}};
    rig_open(&self->rig, &options);
    self->base.operations = &operations;
    self->base.engine = self->rig.engine;
    self->base.producer = self->rig.producer;
    return &self->base;
}

void simulated_link_close(struct link *link) {
    rig_close(&simulated(link)->rig);
    free(link->received.data);
    free(simulated(link));
}
