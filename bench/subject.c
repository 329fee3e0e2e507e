#include "subject.h"

#include <string.h>

bool expect_ok(int status, const char *what, struct bench_result *result) {
    if (status != WEIR_OK) bench_fail(result, "%s: %s", what, weir_strerror(status));
    return status == WEIR_OK;
}

weir_session *subject_session(struct subject *subject, const char *name, struct bench_result *result) {
    weir_session *session = NULL;
    int status = weir_session_open(subject->engine, name, strlen(name), WEIR_OPEN_OR_CREATE, &session, NULL);
    return expect_ok(status, "weir_session_open", result) ? session : NULL;
}

bool subject_open(struct subject *subject, const weir_config *config, struct bench_result *result) {
    *subject = (struct subject){0};
    weir_config ring = config ? *config : (weir_config)WEIR_CONFIG_INIT;
    if (ring.replay_capacity == 0) ring.replay_capacity = RING_CAPACITY;
    if (!expect_ok(weir_engine_create(&subject->engine, &ring), "weir_engine_create", result)) return false;
    subject->session = subject_session(subject, "bench", result);
    if (!subject->session) return false;
    weir_session_info info;
    weir_session_info_get(subject->session, &info);
    subject->first_sequence = info.newest + 1;
    return true;
}

void subject_close(struct subject *subject) {
    weir_session_release(subject->session);
    weir_engine_destroy(subject->engine);
}
