#include "swarm_oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- The truth -------------------------------------------------------------------------------------------------- */

const char *truth_name(unsigned session) {
    static const char *const names[TRUTH_SESSIONS] = {"a", "b", "c"};
    return names[session];
}

static struct truth_life *find_life(struct truth *truth, unsigned session, const char *epoch) {
    for (unsigned i = 0; i < truth->count; i++)
        if (truth->lives[i].session == session && strcmp(truth->lives[i].epoch, epoch) == 0) return &truth->lives[i];
    return NULL;
}

static void read_epoch(struct rig *rig, unsigned session, char epoch[16]) {
    weir_session_info info;
    weir_session_info_get(rig_session(rig, truth_name(session)), &info);
    epoch[weir_epoch_format(info.epoch, epoch)] = '\0';
}

const struct truth_life *truth_current(const struct truth *truth, struct rig *rig, unsigned session) {
    char epoch[16];
    read_epoch(rig, session, epoch);
    return find_life((struct truth *)(uintptr_t)truth, session, epoch);
}

/* Mostly short, now and then longer than a batch; with line ends of every kind. */
static size_t write_payload(const struct truth_life *life, uint64_t sequence, char *out, size_t capacity) {
    uint64_t mix = (sequence * UINT64_C(0x9E3779B97F4A7C15)) ^ (life->session * UINT64_C(0xC2B2AE3D27D4EB4F));
    mix ^= mix >> 29;
    size_t length = mix % 16 == 0 ? mix / 16 % 3000 : mix / 16 % 60;
    int prefix =
        snprintf(out, capacity, "%s/%s/%llu/", truth_name(life->session), life->epoch, (unsigned long long)sequence);
    for (size_t i = 0; i < length; i++)
        out[(size_t)prefix + i] = i % 17 == 16 ? '\n' : (char)('a' + (mix + i) % 26);
    return (size_t)prefix + length;
}

#define PAYLOAD_MAX 4096

void truth_publish(struct truth *truth, struct rig *rig, unsigned session) {
    char epoch[16], payload[PAYLOAD_MAX];
    read_epoch(rig, session, epoch);
    struct truth_life *life = find_life(truth, session, epoch);
    if (life == NULL) {
        assert_true(truth->count < TRUTH_LIVES);
        life = &truth->lives[truth->count++];
        life->session = session;
        memcpy(life->epoch, epoch, sizeof(epoch));
        life->newest = 0;
    }
    uint64_t sequence = 0;
    size_t length = write_payload(life, life->newest + 1, payload, sizeof(payload));
    int status = weir_publish(rig->producer, rig_session(rig, truth_name(session)), 0, payload, length, &sequence);
    assert_int_equal(status, WEIR_OK);
    assert_int_equal(sequence, life->newest + 1);
    life->newest = sequence;
}

/* ---- One subscriber ---------------------------------------------------------------------------------------------- */

struct checking {
    const struct truth *truth;
    const struct visit *visit;
    struct visit_result *result;
    bool first; /* no event and no gap seen */
};

static void position(struct checking *checking, const char *epoch, uint64_t next) {
    snprintf(checking->result->epoch, sizeof(checking->result->epoch), "%.*s",
             (int)sizeof(checking->result->epoch) - 1, epoch);
    checking->result->next = next;
    checking->result->positioned = true;
}

/* A client that presented an id stands behind it, until a gap says otherwise. */
static void begin(struct checking *checking) {
    char epoch[VISIT_ID_MAX];
    if (checking->visit->last_id[0] == '\0') return;
    snprintf(epoch, sizeof(epoch), "%s", checking->visit->last_id);
    char *dot = strchr(epoch, '.');
    if (dot == NULL) return; /* a malformed one: a gap has to come first */
    *dot = '\0';
    position(checking, epoch, strtoull(dot + 1, NULL, 10) + 1);
}

static void check_gap(struct checking *checking, const struct decoded *frame) {
    struct visit_result *result = checking->result;
    struct frame_gap gap = frame_gap(frame);
    bool counted = strcmp(gap.reason, "slow") == 0 || strcmp(gap.reason, "evicted") == 0;
    assert_int_equal(gap.lost_known, counted);
    if (gap.range) assert_true(gap.first <= gap.last);
    if (counted) {
        assert_true(gap.range);
        assert_int_equal(gap.lost, gap.last - gap.first + 1);
        if (result->positioned) assert_int_equal(gap.first, result->next);
        if (result->positioned) assert_string_equal(gap.epoch, result->epoch);
    } else { /* only a resume can be told that its id says nothing here */
        assert_true(checking->first && checking->visit->last_id[0] != '\0');
        if (gap.range) assert_int_equal(gap.first, 1);
        if (strcmp(gap.reason, "epoch") == 0) assert_string_not_equal(gap.epoch, result->epoch);
    }
    position(checking, gap.epoch, gap.range ? gap.last + 1 : 1);
    result->gaps++;
    checking->first = false;
}

static void check_event(struct checking *checking, const struct decoded *frame) {
    struct visit_result *result = checking->result;
    char epoch[VISIT_ID_MAX], payload[PAYLOAD_MAX];
    uint64_t sequence = frame_sequence(frame);
    assert_true(frame->id.length < sizeof(epoch));
    memcpy(epoch, frame->id.data, frame->id.length + 1);
    *strchr(epoch, '.') = '\0';
    if (!result->positioned) {
        assert_int_equal(checking->visit->last_id[0], '\0'); /* no event before the gap of a bad id */
        position(checking, epoch, sequence);
    }
    assert_string_equal(epoch, result->epoch);
    assert_int_equal(sequence, result->next);
    const struct truth_life *life =
        find_life((struct truth *)(uintptr_t)checking->truth, checking->visit->session, epoch);
    assert_non_null(life);
    assert_true(sequence <= life->newest);
    size_t length = write_payload(life, sequence, payload, sizeof(payload));
    assert_int_equal(frame->data.length, length);
    assert_memory_equal(frame->data.data, payload, length);
    result->events++;
    result->next = sequence + 1;
    result->any = true;
    result->last = sequence;
    memcpy(result->last_id, frame->id.data, frame->id.length + 1);
    checking->first = false;
}

struct visit_result visit_check(const struct truth *truth, const struct visit *visit) {
    struct visit_result result = {0};
    struct checking checking = {truth, visit, &result, true};
    struct stream_text text;
    result.began = stream_text_read(visit->peer, visit->answers, &text);
    if (!result.began) return result;
    begin(&checking);
    for (size_t i = 0; i < text.frames.count; i++) {
        const struct decoded *frame = &text.frames.items[i];
        if (!text.ndjson && i == 0) assert_int_equal(frame->type, DECODED_RETRY);
        bool last = i + 1 == text.frames.count;
        switch (frame->type) {
        case DECODED_RETRY:
            assert_true(i == 0 || last); /* at the beginning, and when the server goes */
            break;
        case DECODED_GAP:
            check_gap(&checking, frame);
            break;
        case DECODED_EVENT:
            check_event(&checking, frame);
            break;
        case DECODED_END:
            assert_true(last);
            break;
        case DECODED_HEARTBEAT:
            break;
        }
    }
    result.ended = text.ended || simulated_saw_finish(visit->peer);
    stream_text_free(&text);
    return result;
}
