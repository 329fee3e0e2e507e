/* PUT, GET and DELETE of a session. */
#include <stdio.h>

#include "respond.h"
#include "router.h"

static weir_engine *engine_of(const struct route_call *call) {
    return call->connection->reactor->shared->engine;
}

/* An id in quotes, or null when there is no such event. */
static void format_id(char *out, size_t size, uint64_t epoch, uint64_t sequence, bool exists) {
    char id[WEIR_ID_MAX];
    if (!exists) {
        snprintf(out, size, "null");
        return;
    }
    size_t length = weir_id_format(epoch, sequence, id);
    snprintf(out, size, "\"%.*s\"", (int)length, id);
}

/* Everything in it is of weir's own alphabet: nothing needs escaping. */
static void respond_facts(const struct route_call *call, const weir_session *session, unsigned status) {
    weir_session_info info;
    char epoch[16];
    char oldest[WEIR_ID_MAX + 3];
    char newest[WEIR_ID_MAX + 3];
    char body[640];
    weir_session_info_get(session, &info);
    bool any = info.newest + 1 > info.oldest;
    size_t epoch_length = weir_epoch_format(info.epoch, epoch);
    format_id(oldest, sizeof(oldest), info.epoch, info.oldest, any);
    format_id(newest, sizeof(newest), info.epoch, info.newest, info.published > 0);
    int length = snprintf(body, sizeof(body),
                          "{\"name\":\"%.*s\",\"epoch\":\"%.*s\",\"capacity\":%u,\"queue_depth\":%u,\"kept\":%llu,"
                          "\"published\":%llu,\"oldest\":%s,\"newest\":%s,\"subscribers\":%u}\n",
                          (int)info.name_length, info.name, (int)epoch_length, epoch, info.replay_capacity,
                          info.queue_depth, (unsigned long long)(info.newest + 1 - info.oldest),
                          (unsigned long long)info.published, oldest, newest, info.subscribers);
    struct span span = {body, (size_t)length};
    respond_json(call->connection, call->request, status, span);
}

bool open_session(const struct route_call *call, weir_open mode, weir_session **session, int *created) {
    int status = weir_session_open(engine_of(call), call->name.data, call->name.length, mode, session, created);
    if (status != WEIR_OK) respond_status(call->connection, call->request, status);
    return status == WEIR_OK;
}

bool open_session_for_use(const struct route_call *call, weir_session **session) {
    bool strict = connection_config(call->connection)->strict_sessions != 0;
    return open_session(call, strict ? WEIR_OPEN_EXISTING : WEIR_OPEN_OR_CREATE, session, NULL);
}

void handle_session_put(const struct route_call *call) {
    weir_session *session;
    int created;
    if (!open_session(call, WEIR_OPEN_OR_CREATE, &session, &created)) return;
    respond_facts(call, session, created ? 201 : 200);
    weir_session_release(session);
}

void handle_session_get(const struct route_call *call) {
    weir_session *session;
    if (!open_session(call, WEIR_OPEN_EXISTING, &session, NULL)) return;
    respond_facts(call, session, 200);
    weir_session_release(session);
}

void handle_session_delete(const struct route_call *call) {
    weir_session *session;
    if (!open_session(call, WEIR_OPEN_EXISTING, &session, NULL)) return;
    weir_session_terminate(session);
    weir_session_release(session);
    struct response response = {.status = 204, .close = !call->request->keep_alive};
    respond(call->connection, &response);
}
