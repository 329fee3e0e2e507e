#include "notices.h"

#include <string.h>

#include "support.h"

static void note(void *context, const weir_notice *notice) {
    struct notices *notices = (struct notices *)context;
    assert_true(notices->count < NOTICES_MAX);
    assert_true(notice->session_length <= WEIR_NAME_MAX);
    struct noted *noted = &notices->noted[notices->count++];
    noted->notice = *notice;
    memcpy(noted->session, notice->session, notice->session_length);
    noted->session[notice->session_length] = '\0';
    noted->notice.session = noted->session;
}

weir_observer notices_observer(struct notices *notices) {
    memset(notices, 0, sizeof(*notices));
    return (weir_observer){note, notices};
}

uint32_t notices_of(const struct notices *notices, weir_notice_kind kind, const char *session) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < notices->count; i++)
        count += notices->noted[i].notice.kind == kind && strcmp(notices->noted[i].session, session) == 0;
    return count;
}

uint32_t notices_count(const struct notices *notices, weir_notice_kind kind, const char *session,
                       weir_end_reason reason) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < notices->count; i++)
        count += notices->noted[i].notice.kind == kind && notices->noted[i].notice.reason == reason &&
                 strcmp(notices->noted[i].session, session) == 0;
    return count;
}

const weir_notice *notices_last(const struct notices *notices, weir_notice_kind kind) {
    const weir_notice *last = NULL;
    for (uint32_t i = 0; i < notices->count; i++)
        if (notices->noted[i].notice.kind == kind) last = &notices->noted[i].notice;
    assert_non_null(last);
    return last;
}
