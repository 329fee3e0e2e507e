#include "support/simulated_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    DEFAULT_BUFFERS = 64,
    DEFAULT_SIZE = 8192,
    NS_PER_WAIT = 1000,
    MAX_IDLE_WAITS = 1000000, /* without an end in sight: the test has lost its way */
};

#define DEFAULT_DELAY_NS UINT64_C(1000000)
#define NEVER_NS         UINT64_MAX

static const char *const kind_names[] = {"accept", "receive", "send"};

/* Which kinds of operations an error can come from. */
enum { A = 1 << SIMULATED_ACCEPT, R = 1 << SIMULATED_RECEIVE, S = 1 << SIMULATED_SEND };
static const struct {
    int error;
    unsigned kinds;
    enum simulated_fault fault;
} errors[] = {
#define SIMULATED_ERROR_ROW(name, kinds) {name, kinds, SIMULATED_##name},
    SIMULATED_ERROR_LIST(SIMULATED_ERROR_ROW)
#undef SIMULATED_ERROR_ROW
};

static struct simulated *self(struct io_backend *backend) {
    return (struct simulated *)backend;
}

static uint64_t pick_delay(struct simulated *world) {
    return simulated_pick(world, world->faults.max_delay_ns != 0 ? world->faults.max_delay_ns : DEFAULT_DELAY_NS);
}

static uint64_t checksum_of(const char *data, size_t length) {
    uint64_t sum = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < length; i++) {
        sum = (sum ^ (unsigned char)data[i]) * UINT64_C(0x100000001B3);
    }
    return sum;
}

/* ---- Starting ---- */

static void check_owner(struct simulated *world) {
    SIMULATED_REQUIRE(world, !world->has_owner || pthread_equal(world->owner, pthread_self()),
                      "called by a thread that is not the owner");
}

static struct simulated_operation *start(struct simulated *world, enum simulated_kind kind, int descriptor,
                                         uint64_t token) {
    check_owner(world);
    const struct endpoint *endpoint = simulated_find(world, descriptor, kind_names[kind]);
    SIMULATED_REQUIRE(world, endpoint->listening == (kind == SIMULATED_ACCEPT), "%s on the wrong kind of descriptor",
                      kind_names[kind]);
    SIMULATED_REQUIRE(world, token != IO_TOKEN_NONE, "%s with the reserved token", kind_names[kind]);
    for (unsigned i = 0; i < world->operation_count; i++) {
        const struct simulated_operation *other = &world->operations[i];
        SIMULATED_REQUIRE(world, other->token != token, "token %#llx is used twice", (unsigned long long)token);
        SIMULATED_REQUIRE(world, other->descriptor != descriptor || other->kind != kind,
                          "a second %s is started on descriptor %d", kind_names[kind], descriptor);
    }
    if (world->operation_count == world->operation_capacity) {
        world->operation_capacity = world->operation_capacity == 0 ? 64 : world->operation_capacity * 2;
        world->operations =
            simulated_resize(world->operations, world->operation_capacity * sizeof *world->operations);
    }
    struct simulated_operation *operation = &world->operations[world->operation_count++];
    *operation =
        (struct simulated_operation){.token = token, .kind = kind, .descriptor = descriptor, .cancel_ns = NEVER_NS};
    if (world->observer.started != NULL) world->observer.started(world->observer.context, kind, descriptor, token);
    operation->failing = world->faults.error > 0 && simulated_random(world) % 1000 < world->faults.error;
    return operation;
}

static void finish(struct simulated *world, struct simulated_operation *operation, int32_t result) {
    operation->finished = true;
    operation->result = result;
    operation->due_ns = world->now_ns;
    bool lost = world->faults.lost > 0 && operation->cancel_ns == NEVER_NS &&
                simulated_random(world) % 1000 < world->faults.lost;
    if (lost) {
        operation->due_ns = NEVER_NS;
        simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_LOST);
    } else if (simulated_happens(world, world->faults.late_completion)) {
        operation->due_ns += pick_delay(world);
        simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_LATE);
    }
}

/* An error of the list, or for a send also 0. The bytes stay where they are; a connection that was aborted is gone. */
static void finish_with_error(struct simulated *world, struct simulated_operation *operation) {
    unsigned count = sizeof errors / sizeof errors[0];
    unsigned choice = (unsigned)(simulated_random(world) % (count + 1));
    while (choice < count && !(errors[choice].kinds & 1u << operation->kind)) {
        choice = (unsigned)(simulated_random(world) % (count + 1));
    }
    bool zero = choice == count;
    if (zero && operation->kind != SIMULATED_SEND)
        return; /* 0 has a meaning of its own elsewhere: spared this time */
    simulated_tell(world, operation->kind, operation->descriptor, zero ? SIMULATED_ZERO : errors[choice].fault);
    finish(world, operation, zero ? 0 : -errors[choice].error);
}

/* A reset that the operation meets. */
static void tell_reset(struct simulated *world, const struct simulated_operation *operation) {
    simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_RESET);
}

/* Once per operation: what it waits for. */
static void tell_waiting(struct simulated *world, struct simulated_operation *operation, enum simulated_fault fault) {
    if (!operation->told) simulated_tell(world, operation->kind, operation->descriptor, fault);
    operation->told = true;
}

/* A send that ends early tells of the bytes that were taken, else of the reason. */
static void finish_early(struct simulated *world, struct simulated_operation *operation, int32_t error) {
    finish(world, operation, operation->done > 0 ? (int32_t)operation->done : error);
}

/* ---- Progress of single operations ---- */

static void progress_accept(struct simulated *world, struct simulated_operation *operation) {
    struct endpoint *listener = simulated_find(world, operation->descriptor, "accept");
    if (listener->error_count > 0) {
        int error = listener->errors[0];
        memmove(listener->errors, listener->errors + 1, --listener->error_count * sizeof listener->errors[0]);
        finish(world, operation, -error);
        return;
    }
    struct simulated_peer *peer = listener->pending;
    if (peer == NULL) return;
    if (simulated_happens(world, world->faults.accept_error)) {
        bool aborted = simulated_random(world) % 2 == 0;
        if (aborted) {
            listener->pending = peer->next_pending;
            peer->pending = false;
            peer->reset = peer->closed = true;
            tell_reset(world, operation);
            simulated_bury(peer);
        }
        finish(world, operation, aborted ? -ECONNABORTED : -EMFILE);
        return;
    }
    listener->pending = peer->next_pending;
    peer->pending = false;
    simulated_establish(world, peer);
    finish(world, operation, peer->descriptor);
}

static void progress_receive(struct simulated *world, struct simulated_operation *operation) {
    struct simulated_peer *peer = simulated_find(world, operation->descriptor, "receive")->peer;
    size_t there = simulated_remaining(&peer->inbound);
    if (peer->reset) {
        tell_reset(world, operation);
        finish(world, operation, peer->receive_shut ? 0 : -ECONNRESET);
    } else if (there > 0 && !peer->receive_shut) {
        if (world->lent_count == world->faults.receive_buffers) {
            tell_waiting(world, operation, SIMULATED_NO_BUFFER);
            return;
        }
        size_t length = there < world->faults.receive_size ? there : world->faults.receive_size;
        if (simulated_happens(world, world->faults.split_receive)) length = simulated_pick(world, length);
        if (length < there) simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_PARTIAL);
        /* Each buffer is an allocation of just the bytes, so that a sanitizer sees any use beyond or after them. */
        operation->buffer = simulated_resize(NULL, length);
        memcpy(operation->buffer, peer->inbound.data + peer->inbound.taken, length);
        peer->inbound.taken += length;
        world->lent[world->lent_count++] = operation->buffer;
        finish(world, operation, (int32_t)length);
    } else if (peer->finished || peer->receive_shut) {
        if (peer->finished) simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_FINISHED);
        finish(world, operation, 0);
    }
}

static void progress_send(struct simulated *world, struct simulated_operation *operation) {
    struct simulated_peer *peer = simulated_find(world, operation->descriptor, "send")->peer;
    if (peer->reset || peer->send_shut) {
        if (peer->reset) tell_reset(world, operation);
        finish_early(world, operation, peer->reset && !peer->send_shut ? -ECONNRESET : -EPIPE);
        return;
    }
    size_t unread = simulated_remaining(&peer->outbound);
    size_t room = peer->window > unread ? peer->window - unread : 0;
    size_t rest = operation->length - operation->done;
    size_t count = rest < room ? rest : room;
    bool reset = simulated_happens(world, world->faults.reset);
    bool cut = count > 1 && simulated_happens(world, world->faults.short_send);
    if ((reset || cut) && count > 1) count = simulated_pick(world, count - 1);
    if (count < rest && room < rest) tell_waiting(world, operation, SIMULATED_NO_ROOM);
    simulated_append(&peer->outbound, operation->data + operation->done, count);
    operation->done += count;
    if (reset) {
        peer->reset = true;
        tell_reset(world, operation);
        finish_early(world, operation, -ECONNRESET);
    } else if (cut) {
        simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_PARTIAL);
        finish(world, operation, (int32_t)operation->done);
    } else if (operation->done == operation->length) {
        finish(world, operation, (int32_t)operation->done);
    }
}

static void progress(struct simulated *world, struct simulated_operation *operation) {
    if (operation->finished) return;
    if (operation->failing) {
        operation->failing = false;
        finish_with_error(world, operation);
        if (operation->finished) return;
    }
    if (operation->kind == SIMULATED_ACCEPT) progress_accept(world, operation);
    if (operation->kind == SIMULATED_RECEIVE) progress_receive(world, operation);
    if (operation->kind == SIMULATED_SEND) progress_send(world, operation);
    if (operation->finished && operation->cancel_ns != NEVER_NS)
        simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_CANCEL_BEATEN);
    if (!operation->finished && operation->cancel_ns <= world->now_ns) {
        simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_CANCELLED);
        finish_early(world, operation, -ECANCELED);
    }
}

/* ---- The table ---- */

static void simulated_accept(struct io_backend *backend, int descriptor, uint64_t token) {
    (void)start(self(backend), SIMULATED_ACCEPT, descriptor, token);
}

static void simulated_receive(struct io_backend *backend, int descriptor, uint64_t token) {
    (void)start(self(backend), SIMULATED_RECEIVE, descriptor, token);
}

static void simulated_send(struct io_backend *backend, int descriptor, const void *data, size_t length,
                           uint64_t token) {
    struct simulated *world = self(backend);
    SIMULATED_REQUIRE(world, data != NULL && length > 0 && length <= INT32_MAX, "a send of %zu bytes", length);
    struct simulated_operation *operation = start(world, SIMULATED_SEND, descriptor, token);
    operation->data = data;
    operation->length = length;
    operation->checksum = checksum_of(data, length);
}

static void simulated_cancel_operation(struct io_backend *backend, uint64_t token) {
    struct simulated *world = self(backend);
    check_owner(world);
    for (unsigned i = 0; i < world->operation_count; i++) {
        struct simulated_operation *operation = &world->operations[i];
        if (operation->token != token) continue;
        if (operation->finished) { /* what was lost comes to light */
            simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_CANCEL_BEATEN);
            if (operation->due_ns == NEVER_NS) operation->due_ns = world->now_ns;
            continue;
        }
        enum simulated_cancel order = world->faults.cancel;
        if (order == SIMULATED_CANCEL_ANY_ORDER) order = simulated_random(world) % SIMULATED_CANCEL_ANY_ORDER;
        if (order == SIMULATED_CANCEL_LATE)
            simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_CANCEL_SLOW);
        if (order == SIMULATED_CANCEL_WINS) {
            operation->cancel_ns = world->now_ns;
            simulated_tell(world, operation->kind, operation->descriptor, SIMULATED_CANCELLED);
            finish_early(world, operation, -ECANCELED);
        } else if (operation->cancel_ns == NEVER_NS) {
            operation->cancel_ns = world->now_ns + (order == SIMULATED_CANCEL_LATE ? pick_delay(world) : 0);
            if (order == SIMULATED_OPERATION_WINS) progress(world, operation);
        }
    }
}

static void simulated_shutdown(struct io_backend *backend, int descriptor, int how) {
    struct simulated *world = self(backend);
    struct simulated_peer *peer = simulated_find(world, descriptor, "shutdown")->peer;
    if (peer == NULL) return;
    if (how == SHUT_RD || how == SHUT_RDWR) peer->receive_shut = true;
    if (how == SHUT_WR || how == SHUT_RDWR) peer->send_shut = true;
}

static void simulated_close(struct io_backend *backend, int descriptor) {
    struct simulated *world = self(backend);
    struct endpoint *endpoint = simulated_find(world, descriptor, "close");
    for (unsigned i = 0; i < world->operation_count; i++) {
        SIMULATED_REQUIRE(world, world->operations[i].descriptor != descriptor,
                          "descriptor %d is closed while a %s is started", descriptor,
                          kind_names[world->operations[i].kind]);
    }
    if (endpoint->peer != NULL) {
        struct simulated_peer *peer = endpoint->peer;
        peer->closed = true;
        peer->send_shut = true;
        peer->descriptor = -1;
        if (simulated_remaining(&peer->inbound) > 0 && !peer->reset) peer->closed_with_reset = true;
        simulated_bury(peer);
    }
    while (endpoint->pending != NULL) {
        struct simulated_peer *peer = endpoint->pending;
        endpoint->pending = peer->next_pending;
        peer->pending = false;
        peer->reset = peer->closed = true;
        simulated_bury(peer);
    }
    endpoint->open = false;
}

static void simulated_release(struct io_backend *backend, char *data) {
    struct simulated *world = self(backend);
    check_owner(world);
    unsigned i = 0;
    while (i < world->lent_count && world->lent[i] != data) {
        i++;
    }
    SIMULATED_REQUIRE(world, i < world->lent_count, "release of a buffer that is not lent");
    world->lent[i] = world->lent[--world->lent_count];
    free(data);
}

/* ---- Waiting ---- */

static void deliver(struct simulated *world, unsigned index, struct io_completion *completion) {
    struct simulated_operation *operation = &world->operations[index];
    if (operation->kind == SIMULATED_SEND && checksum_of(operation->data, operation->length) != operation->checksum)
        simulated_violation(world, true, "the bytes of send %#llx changed while it was started",
                            (unsigned long long)operation->token);
    if (world->observer.completed != NULL)
        world->observer.completed(world->observer.context, operation->kind, operation->descriptor, operation->result);
    *completion = (struct io_completion){.token = operation->token, .result = operation->result};
    if (operation->buffer != NULL) {
        completion->data = operation->buffer;
        completion->size = (uint32_t)operation->result;
    }
    /* The others keep their order: without `reorder` they are delivered as they were started. */
    world->operation_count--;
    memmove(operation, operation + 1, (world->operation_count - index) * sizeof *operation);
}

/* An operation whose completion is due, or operation_count. */
static unsigned find_due(struct simulated *world) {
    unsigned count = world->operation_count;
    unsigned offset = world->faults.reorder && count > 0 ? (unsigned)(simulated_random(world) % count) : 0;
    for (unsigned turn = 0; turn < count; turn++) {
        const struct simulated_operation *operation = &world->operations[(turn + offset) % count];
        if (operation->finished && operation->due_ns <= world->now_ns) return (turn + offset) % count;
    }
    return count;
}

static unsigned deliver_due(struct simulated *world, struct io_completion *completions, unsigned capacity) {
    unsigned count = 0;
    while (count < capacity) {
        unsigned index = find_due(world);
        if (index == world->operation_count) break;
        for (unsigned i = 0; i < index; i++) {
            const struct simulated_operation *other = &world->operations[i];
            if (other->finished && other->due_ns <= world->now_ns)
                simulated_tell(world, other->kind, other->descriptor, SIMULATED_OVERTAKEN);
        }
        deliver(world, index, &completions[count++]);
    }
    return count;
}

/* When something is to happen by itself: a late completion or a late cancel. */
static uint64_t next_due(const struct simulated *world) {
    uint64_t due_ns = NEVER_NS;
    for (unsigned i = 0; i < world->operation_count; i++) {
        const struct simulated_operation *operation = &world->operations[i];
        uint64_t own_ns = operation->finished ? operation->due_ns : operation->cancel_ns;
        if (own_ns < due_ns) due_ns = own_ns;
    }
    return due_ns;
}

static unsigned look(struct simulated *world, struct io_completion *completions, unsigned capacity) {
    for (unsigned i = 0; i < world->operation_count; i++) {
        progress(world, &world->operations[i]);
    }
    return deliver_due(world, completions, capacity);
}

/* A broken backend: what was started will never complete, and nothing of it is used any more. */
static int drop_operations(struct simulated *world) {
    while (world->operation_count > 0) {
        struct simulated_operation operation = world->operations[--world->operation_count];
        if (operation.buffer != NULL) simulated_release(&world->base, operation.buffer);
        if (operation.kind == SIMULATED_ACCEPT && operation.finished && operation.result >= 0)
            simulated_close(&world->base, operation.result); /* nobody will hear of this connection */
    }
    simulated_tell(world, SIMULATED_WAIT, -1, SIMULATED_BROKEN);
    return -world->broken;
}

static int simulated_wait(struct io_backend *backend, uint64_t timeout_ns, struct io_completion *completions,
                          unsigned capacity) {
    struct simulated *world = self(backend);
    if (!world->has_owner) world->owner = pthread_self();
    world->has_owner = true;
    check_owner(world);
    SIMULATED_REQUIRE(world, capacity > 0 && completions != NULL, "wait without room for completions");
    if (world->broken != 0) return drop_operations(world);
    uint64_t end_ns = timeout_ns >= NEVER_NS - world->now_ns ? NEVER_NS : world->now_ns + timeout_ns;
    world->now_ns += NS_PER_WAIT;
    bool woken = u64_exchange_seq_cst(&world->woken, 0) != 0;
    if (timeout_ns > 0 && simulated_happens(world, world->faults.early_wait)) {
        simulated_tell(world, SIMULATED_WAIT, -1, SIMULATED_EARLY);
        return 0;
    }
    unsigned count = look(world, completions, capacity);
    uint64_t due_ns = next_due(world);
    if (count == 0 && !woken && (due_ns != NEVER_NS || end_ns != NEVER_NS)) {
        uint64_t until_ns = due_ns < end_ns ? due_ns : end_ns;
        if (until_ns > world->now_ns) world->now_ns = until_ns;
        count = look(world, completions, capacity);
    }
    bool idle = count == 0 && !woken && timeout_ns == IO_WAIT_FOREVER;
    world->idle_waits = idle ? world->idle_waits + 1 : 0;
    SIMULATED_REQUIRE(world, world->idle_waits < MAX_IDLE_WAITS, "%d waits in a row for nothing", MAX_IDLE_WAITS);
    return (int)count;
}

static void simulated_wake(struct io_backend *backend) {
    (void)u64_exchange_seq_cst(&self(backend)->woken, 1);
}

static int simulated_pollable(struct io_backend *backend) {
    (void)backend;
    return -EOPNOTSUPP;
}

static void simulated_destroy(struct io_backend *backend) {
    struct simulated *world = self(backend);
    SIMULATED_REQUIRE(world, world->operation_count == 0, "destroyed with %u operations started",
                      world->operation_count);
    SIMULATED_REQUIRE(world, simulated_open_descriptors(backend) == 0, "destroyed with %u descriptors open",
                      simulated_open_descriptors(backend));
    SIMULATED_REQUIRE(world, world->lent_count == 0, "destroyed with %u buffers lent", world->lent_count);
    simulated_free_world(world);
}

static const struct io_backend_operations simulated_operations = {
    .name = "simulated",
    .accept = simulated_accept,
    .receive = simulated_receive,
    .send = simulated_send,
    .cancel = simulated_cancel_operation,
    .shutdown = simulated_shutdown,
    .close = simulated_close,
    .release = simulated_release,
    .wait = simulated_wait,
    .wake = simulated_wake,
    .pollable = simulated_pollable,
    .destroy = simulated_destroy,
};

struct io_backend *simulated_create(const struct simulated_faults *faults) {
    struct simulated *world = simulated_resize(NULL, sizeof *world);
    *world = (struct simulated){.base.operations = &simulated_operations};
    if (faults != NULL) world->faults = *faults;
    if (world->faults.receive_buffers == 0) world->faults.receive_buffers = DEFAULT_BUFFERS;
    if (world->faults.receive_size == 0) world->faults.receive_size = DEFAULT_SIZE;
    world->random = world->faults.seed;
    world->lent = simulated_resize(NULL, world->faults.receive_buffers * sizeof *world->lent);
    return &world->base;
}
