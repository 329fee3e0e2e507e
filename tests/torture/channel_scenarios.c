/* Channels, quotas, leases, tokens. */
#include "engine_scenarios.h"

#include <string.h>

#include "life.h"

/* ---- Channels ---------------------------------------------------------------------------------------------------- */

/* Each member gets the event once, also where the broadcast was cut short by a failure and is sent again: then those
 * who had it get it twice, as two events. Returns the number of copies. */
static uint64_t broadcast(struct life *life, size_t length) {
    static char data[LIFE_BYTES];
    struct torture *torture = life->torture;
    const weir_message message = {.data = data, .length = length};
    uint64_t accepted = 0;
    for (;;) {
        weir_broadcast result;
        torture_forgive(torture);
        int status = weir_channel_publish(life->producer, life->channel, &message, &result);
        accepted += result.accepted;
        if (status == WEIR_OK) {
            assert_int_equal(result.accepted, LIFE_SESSIONS);
            return accepted;
        }
        assert_string_equal(weir_status_name(status), "WEIR_NO_MEMORY");
        assert_true(torture_was_hurt(torture) && result.accepted < LIFE_SESSIONS);
        torture->going = !torture->gone;
        if (!torture->going) return accepted;
        if (torture->plan.lasting) faults_stop();
    }
}

static void use_channel(struct life *life) {
    static const size_t lengths[] = {10, 300, 2000, LIFE_BYTES};
    struct torture *torture = life->torture;
    weir_cursor cursors[LIFE_SESSIONS];
    uint64_t accepted = 0;
    weir_gap gap;
    life_open(life);
    if (!torture->going) return;
    STEP(torture, weir_channel_open(life->engine, "room", 4, WEIR_OPEN_OR_CREATE, &life->channel, NULL));
    for (unsigned i = 0; i < LIFE_SESSIONS; i++)
        STEP(torture, weir_channel_join(life->channel, life->sessions[i], NULL));
    assert_int_equal(weir_channel_members(life->channel), LIFE_SESSIONS);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]) && torture->going; i++)
        accepted += broadcast(life, lengths[i]);
    for (unsigned i = 0; i < LIFE_SESSIONS && torture->going; i++) {
        STEP(torture, weir_replay(life->sessions[i], NULL, &cursors[i], &gap));
        accepted -= life_read(life, i, &cursors[i]);
    }
    if (!torture->going) return;
    assert_int_equal(accepted, 0);
    assert_int_equal(weir_channel_leave(life->channel, life->sessions[0]), WEIR_OK);
    assert_int_equal(weir_session_leave_all(life->sessions[1], NULL, NULL), 1);
    assert_int_equal(weir_channel_members(life->channel), 1);
    STEP(torture, weir_channel_join(life->channel, life->sessions[0], NULL));
    assert_int_equal(weir_channel_remove(life->engine, "room", 4), WEIR_OK);
}

static void run_channels(struct torture *torture) {
    static struct life life;
    life_init(&life, torture, WEIR_PRESET_WEIR);
    use_channel(&life);
    life_close(&life);
}

/* ---- Quotas ------------------------------------------------------------------------------------------------------ */

#define SLOTS 6u

static void use_quota(struct torture *torture, weir_quota **quota, weir_quota_slot slots[SLOTS]) {
    static const char *const principals[] = {"one", "two", "three", "four", "five", "six"};
    weir_quota_config config = WEIR_QUOTA_CONFIG_INIT;
    config.allocator = torture_allocator(torture);
    config.entropy = torture_entropy();
    STEP(torture, weir_quota_create(quota, &config));
    for (unsigned i = 0; i < SLOTS; i++) {
        STEP(torture, weir_quota_acquire(*quota, principals[i], strlen(principals[i]), 100, 1, &slots[i], NULL));
        assert_int_equal(weir_quota_count(*quota), i + 1); /* what was refused does not count */
        assert_int_equal(weir_quota_count_of(*quota, principals[i], strlen(principals[i])), 1);
    }
}

static void run_quota(struct torture *torture) {
    weir_quota *quota = NULL;
    weir_quota_slot slots[SLOTS] = {{0, 0, 0}};
    use_quota(torture, &quota, slots);
    for (unsigned i = 0; quota != NULL && i < SLOTS; i++)
        weir_quota_release(quota, &slots[i]);
    if (quota != NULL) assert_int_equal(weir_quota_count(quota), 0);
    weir_quota_destroy(quota);
}

/* ---- Leases and tokens ------------------------------------------------------------------------------------------- */

/* {"alg":"none"} . {"exp":1700000000} . (nothing) */
static const char token[] = "eyJhbGciOiJub25lIn0.eyJleHAiOjE3MDAwMDAwMDB9.";

/* A token that cannot be looked into is one that does not tell when it expires. */
static void read_token(struct torture *torture) {
    uint64_t expiry_ms = 7;
    torture_forgive(torture);
    int status = weir_token_expiry_ms(token, sizeof(token) - 1, &expiry_ms);
    if (status == WEIR_OK) {
        assert_int_equal(expiry_ms, UINT64_C(1700000000000));
        return;
    }
    assert_string_equal(weir_status_name(status), "WEIR_NOT_FOUND");
    assert_int_equal(expiry_ms, 7);
    assert_true(torture_was_hurt(torture));
}

static void use_leases(struct torture *torture, weir_leases **leases, bool system) {
    weir_leases_config config = WEIR_LEASES_CONFIG_INIT;
    weir_lease lease;
    if (!system) {
        config.allocator = torture_allocator(torture);
        config.entropy = torture_entropy();
    }
    STEP(torture, weir_leases_create(leases, &config));
    for (unsigned i = 1; i <= 3; i++) {
        STEP(torture, weir_lease_open(*leases, 0, 7, 1000, &lease, NULL));
        assert_int_equal(lease.id, i); /* an open that fails uses none */
    }
}

static void run_leases(struct torture *torture) {
    for (unsigned i = 0; i < 2 && torture->going; i++) {
        weir_leases *leases = NULL;
        use_leases(torture, &leases, i == 1);
        read_token(torture);
        weir_leases_destroy(leases);
    }
}

const struct scenario engine_channels = {"engine: channels", run_channels, 200};
const struct scenario engine_quota = {"engine: quota", run_quota, 200};
const struct scenario engine_leases = {"engine: leases, token", run_leases, 200};
