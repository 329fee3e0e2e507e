#include "support/simulated_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_DESCRIPTOR 1000000 /* far above any real one */

static struct simulated *self(struct io_backend *backend) {
    return (struct simulated *)backend;
}
static const struct simulated *self_const(const struct io_backend *backend) {
    return (const struct simulated *)backend;
}

void simulated_violation(const struct simulated *world, bool memory, const char *format, ...) {
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (world->observer.violated != NULL) world->observer.violated(world->observer.context, memory, text);
    fprintf(stderr, "simulated backend, seed %llu: %s\n", (unsigned long long)world->faults.seed, text);
    abort();
}

void simulated_tell(struct simulated *world, enum simulated_kind kind, int descriptor, enum simulated_fault fault) {
    if (world->observer.fault != NULL) world->observer.fault(world->observer.context, kind, descriptor, fault);
}

/* ---- Chance and memory ---- */

uint64_t simulated_random(struct simulated *world) {
    uint64_t value = world->random += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

/* Between 1 and `most`. */
uint64_t simulated_pick(struct simulated *world, uint64_t most) {
    return 1 + simulated_random(world) % most;
}

bool simulated_happens(struct simulated *world, unsigned per_cent) {
    return per_cent > 0 && simulated_random(world) % 100 < per_cent;
}

void *simulated_resize(void *memory, size_t size) {
    void *result = realloc(memory, size);
    if (result == NULL) abort();
    return result;
}

void simulated_append(struct bytes *bytes, const void *data, size_t length) {
    if (length == 0) return;
    if (bytes->length + length > bytes->capacity) {
        bytes->capacity = (bytes->length + length) * 2;
        bytes->data = simulated_resize(bytes->data, bytes->capacity);
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

size_t simulated_remaining(const struct bytes *bytes) {
    return bytes->length - bytes->taken;
}

/* ---- Endpoints ---- */

static int open_endpoint(struct simulated *world) {
    unsigned index = 0;
    while (index < world->endpoint_count && world->endpoints[index].open) {
        index++; /* the lowest free number, as the kernel does: numbers come back soon */
    }
    if (index == world->endpoint_count) {
        world->endpoints = simulated_resize(world->endpoints, ++world->endpoint_count * sizeof *world->endpoints);
    }
    world->endpoints[index] = (struct endpoint){.open = true};
    return FIRST_DESCRIPTOR + (int)index;
}

struct endpoint *simulated_find(struct simulated *world, int descriptor, const char *caller) {
    unsigned index = (unsigned)descriptor - FIRST_DESCRIPTOR;
    SIMULATED_REQUIRE(world, index < world->endpoint_count && world->endpoints[index].open,
                      "%s on descriptor %d, which is not open", caller, descriptor);
    return &world->endpoints[index];
}

void simulated_establish(struct simulated *world, struct simulated_peer *peer) {
    peer->descriptor = open_endpoint(world);
    world->endpoints[peer->descriptor - FIRST_DESCRIPTOR].peer = peer;
}

static void free_peer(struct simulated_peer *peer) {
    free(peer->inbound.data);
    free(peer->outbound.data);
    free(peer);
}

void simulated_bury(struct simulated_peer *peer) {
    if (!peer->dismissed || !peer->closed || peer->pending) return;
    struct simulated_peer **place = &peer->world->peers;
    while (*place != peer) {
        place = &(*place)->next;
    }
    *place = peer->next;
    free_peer(peer);
}

void simulated_free_world(struct simulated *world) {
    while (world->peers != NULL) {
        struct simulated_peer *peer = world->peers;
        world->peers = peer->next;
        free_peer(peer);
    }
    free(world->endpoints);
    free(world->operations);
    free(world->lent);
    free(world);
}

/* ---- The test's side ---- */

void simulated_set_faults(struct io_backend *backend, const struct simulated_faults *faults) {
    struct simulated *world = self(backend);
    struct simulated_faults changed = *faults;
    changed.seed = world->faults.seed;
    changed.receive_buffers = world->faults.receive_buffers;
    changed.receive_size = world->faults.receive_size;
    world->faults = changed;
    for (unsigned i = 0; changed.lost == 0 && i < world->operation_count; i++) {
        struct simulated_operation *operation = &world->operations[i];
        if (operation->finished && operation->due_ns == UINT64_MAX) operation->due_ns = world->now_ns;
    }
}

void simulated_observe(struct io_backend *backend, const struct simulated_observer *observer) {
    self(backend)->observer = *observer;
}

void simulated_break(struct io_backend *backend, int error) {
    self(backend)->broken = error;
}

uint64_t simulated_now_ns(const struct io_backend *backend) {
    return self_const(backend)->now_ns;
}

void simulated_advance(struct io_backend *backend, uint64_t duration_ns) {
    self(backend)->now_ns += duration_ns;
}

int simulated_listen(struct io_backend *backend) {
    struct simulated *world = self(backend);
    int descriptor = open_endpoint(world);
    world->endpoints[descriptor - FIRST_DESCRIPTOR].listening = true;
    return descriptor;
}

void simulated_fail_accept(struct io_backend *backend, int listener, int error) {
    struct endpoint *endpoint = simulated_find(self(backend), listener, "simulated_fail_accept");
    SIMULATED_REQUIRE(self(backend), endpoint->error_count < SIMULATED_MAX_ERRORS, "too many queued accept errors");
    endpoint->errors[endpoint->error_count++] = error;
}

static struct simulated_peer *create_peer(struct simulated *world) {
    struct simulated_peer *peer = simulated_resize(NULL, sizeof *peer);
    *peer = (struct simulated_peer){.next = world->peers, .world = world, .descriptor = -1, .window = SIZE_MAX};
    world->peers = peer;
    return peer;
}

struct simulated_peer *simulated_connect(struct io_backend *backend, int listener) {
    struct simulated *world = self(backend);
    struct simulated_peer **end = &simulated_find(world, listener, "simulated_connect")->pending;
    while (*end != NULL) {
        end = &(*end)->next_pending;
    }
    *end = create_peer(world);
    (*end)->pending = true;
    return *end;
}

struct simulated_peer *simulated_pair(struct io_backend *backend, int *descriptor) {
    struct simulated_peer *peer = create_peer(self(backend));
    simulated_establish(self(backend), peer);
    *descriptor = peer->descriptor;
    return peer;
}

void simulated_feed(struct simulated_peer *peer, const void *data, size_t length) {
    SIMULATED_REQUIRE(peer->world, !peer->finished, "the test feeds a peer behind its FIN");
    if (!peer->reset && !peer->closed) simulated_append(&peer->inbound, data, length);
}

void simulated_finish(struct simulated_peer *peer) {
    peer->finished = true;
}

void simulated_reset(struct simulated_peer *peer) {
    peer->reset = true;
    peer->inbound.taken = peer->inbound.length;
}

void simulated_set_window(struct simulated_peer *peer, size_t bytes) {
    peer->window = bytes;
}

size_t simulated_read(struct simulated_peer *peer, void *data, size_t capacity) {
    size_t count = simulated_remaining(&peer->outbound) < capacity ? simulated_remaining(&peer->outbound) : capacity;
    if (data != NULL && count > 0) memcpy(data, peer->outbound.data + peer->outbound.taken, count);
    peer->outbound.taken += count;
    return count;
}

const char *simulated_sent(const struct simulated_peer *peer, size_t *length) {
    *length = peer->outbound.length;
    return peer->outbound.data != NULL ? peer->outbound.data : "";
}

void simulated_dismiss(struct simulated_peer *peer) {
    peer->dismissed = true;
    simulated_bury(peer);
}

int simulated_descriptor(const struct simulated_peer *peer) {
    return peer->descriptor;
}
bool simulated_saw_finish(const struct simulated_peer *peer) {
    return peer->send_shut;
}
bool simulated_saw_reset(const struct simulated_peer *peer) {
    return peer->reset || peer->closed_with_reset;
}
bool simulated_was_closed(const struct simulated_peer *peer) {
    return peer->closed;
}

unsigned simulated_open_descriptors(const struct io_backend *backend) {
    unsigned count = 0;
    for (unsigned i = 0; i < self_const(backend)->endpoint_count; i++) {
        count += self_const(backend)->endpoints[i].open;
    }
    return count;
}

unsigned simulated_started_operations(const struct io_backend *backend) {
    return self_const(backend)->operation_count;
}

unsigned simulated_lent_buffers(const struct io_backend *backend) {
    return self_const(backend)->lent_count;
}
