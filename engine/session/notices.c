/* What is told to those who watch: notices to the observer, refusals to callers, reasons as text. */
#include "engine.h"

void tell(weir_session *session, weir_notice_kind kind, weir_end_reason reason, uint64_t generation, uint64_t backlog,
          uint32_t queue_depth) {
    const weir_observer *observer = &session->engine->config.observer;
    if (observer->notice == NULL) return;
    weir_notice notice = {kind, reason, session->name, session->name_length, generation, backlog, queue_depth};
    observer->notice(observer->context, &notice);
}

static const char *code_of(int status) {
    switch (status) {
    case WEIR_SESSIONS_LIMIT:
        return "sessions_limit";
    case WEIR_SUBSCRIBERS_LIMIT:
        return "subscribers_limit";
    case WEIR_PRINCIPAL_LIMIT:
        return "principal_limit";
    case WEIR_ADDRESS_LIMIT:
        return "address_limit";
    case WEIR_CHANNELS_LIMIT:
        return "channels_limit";
    case WEIR_MEMBERS_LIMIT:
        return "members_limit";
    case WEIR_JOINS_LIMIT:
        return "session_channels_limit";
    case WEIR_FOREIGN:
        return "foreign_channel";
    case WEIR_NO_MEMORY:
        return "no_memory";
    case WEIR_INVALID:
        return "invalid";
    default:
        return weir_status_name(status);
    }
}

int refuse(weir_refusal *refusal, int status, uint64_t limit, uint64_t current) {
    if (refusal == NULL) return status;
    refusal->status = status;
    refusal->code = code_of(status);
    refusal->limit = limit;
    refusal->current = current;
    return status;
}

struct reason_words {
    const char *name;
    const char *text;
};

static const struct reason_words reasons[] = {
    [WEIR_ENDED_NOT] = {"none", "not ended"},
    [WEIR_ENDED_TERMINATED] = {"terminated", "the session was terminated"},
    [WEIR_ENDED_EXPIRED] = {"expired", "the session has expired"},
    [WEIR_ENDED_OVERFLOW] = {"overflow", "the live queue was full once too often, and the session has ended"},
    [WEIR_ENDED_TOKEN] = {"auth_failed", "the token has expired"},
    [WEIR_ENDED_PEER] = {"closed", "the consumer has gone"},
    [WEIR_ENDED_SHUT_DOWN] = {"shut_down", "the engine is shutting down"},
    [WEIR_ENDED_DISPLACED] = {"displaced", "another consumer has taken the place"},
    [WEIR_ENDED_DETACHED] = {"detached", "the consumer was detached"},
    [WEIR_ENDED_LAGGING] = {"lagging", "the live queue was full once too often"},
    [WEIR_ENDED_SILENT] = {"silent", "the consumer has not read for too long"},
};

static const struct reason_words *words_of(weir_end_reason reason) {
    size_t index = (size_t)reason;
    if (index >= sizeof(reasons) / sizeof(reasons[0]) || reasons[index].name == NULL) index = WEIR_ENDED_NOT;
    return &reasons[index];
}

const char *weir_end_reason_name(weir_end_reason reason) {
    return words_of(reason)->name;
}

const char *weir_end_reason_text(weir_end_reason reason) {
    return words_of(reason)->text;
}
