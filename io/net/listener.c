#include "listener.h"

#include <errno.h>
#include <string.h>

#include "connection.h"
#include "report.h"

static uint64_t accept_token(const struct listener *listener) {
    return token_make(TOKEN_ACCEPT, listener->role, 0);
}

static bool is_stopped(const struct listener *listener) {
    return listener->reactor->draining || listener->reactor->finished;
}

static void close_listener(struct listener *listener) {
    struct io_backend *backend = listener->reactor->backend;
    if (listener->descriptor < 0) return;
    backend->operations->close(backend, listener->descriptor);
    listener->descriptor = -1;
}

void listener_start(struct listener *listener) {
    struct io_backend *backend = listener->reactor->backend;
    if (listener->descriptor < 0 || listener->accepting) return;
    listener->accepting = true;
    backend->operations->accept(backend, listener->descriptor, accept_token(listener));
}

void listener_accepted(struct listener *listener, int32_t result) {
    struct reactor *reactor = listener->reactor;
    listener->accepting = false;
    if (result >= 0) {
        counter_add(&reactor->counters.accepted, 1);
        connection_open(reactor, result, listener->role);
    }
    if (is_stopped(listener)) {
        close_listener(listener);
        return;
    }
    /* These say something of one peer that is gone already, or of nothing at all. */
    if (result >= 0 || result == -ECONNABORTED || result == -EINTR || result == -EAGAIN || result == -EPROTO) {
        listener_start(listener);
        return;
    }
    /* Out of descriptors or memory: streams go on, and accepting waits a moment instead of spinning. */
    counter_add(&reactor->counters.accept_errors, 1);
    report(reactor, WEIR_LOG_WARNING, "cannot accept: %s; trying again in a moment", strerror(-result));
    timer_set(&reactor->timers, &listener->retry, TIMER_ACCEPT, reactor->now_ms);
}

void listener_stop(struct listener *listener) {
    struct io_backend *backend = listener->reactor->backend;
    timer_stop(&listener->retry);
    if (listener->accepting)
        backend->operations->cancel(backend, accept_token(listener));
    else
        close_listener(listener);
}
