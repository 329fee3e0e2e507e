#include "limits.h"

#include <string.h>

#include "attachment.h"

/* A quota counts as many things as there can be at most: what it bounds is the principal's part. */
static int create_quota(weir_engine *engine, uint32_t limit, uint32_t most, weir_quota **quota) {
    weir_quota_config config = WEIR_QUOTA_CONFIG_INIT;
    if (limit == 0) return WEIR_OK;
    config.max_slots = most < WEIR_QUOTA_SLOTS_MAX ? most : WEIR_QUOTA_SLOTS_MAX;
    config.allocator = engine->config.allocator;
    config.entropy = engine->config.entropy;
    return weir_quota_create(quota, &config);
}

/* Whoever is about to create a session has a place already: so many at once are not told that there is none when it is
 * really their own limit, or the name, that is in the way. */
#define CREATORS_AT_ONCE 64u

int limits_create(weir_engine *engine) {
    const weir_config *config = &engine->config;
    uint32_t sessions = config->max_sessions;
    uint32_t subscribers = config->max_subscribers;
    int status =
        create_quota(engine, config->max_principal_sessions, sessions + CREATORS_AT_ONCE, &engine->session_quota);
    if (status == WEIR_OK)
        status = create_quota(engine, config->max_principal_subscribers, subscribers, &engine->principal_quota);
    if (status == WEIR_OK)
        status = create_quota(engine, config->max_address_subscribers, subscribers, &engine->address_quota);
    return status;
}

void limits_destroy(weir_engine *engine) {
    weir_quota_destroy(engine->session_quota);
    weir_quota_destroy(engine->principal_quota);
    weir_quota_destroy(engine->address_quota);
}

/* One place for `text` in a quota that may not be wanted. What the quota calls its principal may be an address here. */
static int acquire(weir_quota *quota, const char *text, size_t length, uint32_t limit, int status_when_full,
                   weir_quota_slot *slot, weir_refusal *refusal) {
    weir_refusal told;
    memset(slot, 0, sizeof(*slot));
    if (text == NULL || quota == NULL) return length <= WEIR_OWNER_MAX ? WEIR_OK : WEIR_INVALID;
    int status = weir_quota_acquire(quota, text, length, UINT64_MAX, limit, slot, &told);
    if (status == WEIR_PRINCIPAL_LIMIT) status = status_when_full;
    if (status == WEIR_CAPACITY_LIMIT) status = WEIR_SUBSCRIBERS_LIMIT;
    return status == WEIR_OK ? status : refuse(refusal, status, told.limit, told.current);
}

int limits_acquire(weir_engine *engine, const weir_subscription *how, struct attachment *attachment) {
    const weir_config *config = &engine->config;
    int status =
        acquire(engine->principal_quota, how->principal, how->principal_length, config->max_principal_subscribers,
                WEIR_PRINCIPAL_LIMIT, &attachment->principal, how->refusal);
    if (status != WEIR_OK) return status;
    status = acquire(engine->address_quota, how->address, how->address_length, config->max_address_subscribers,
                     WEIR_ADDRESS_LIMIT, &attachment->address, how->refusal);
    if (status != WEIR_OK && engine->principal_quota != NULL)
        weir_quota_release(engine->principal_quota, &attachment->principal);
    return status;
}

void limits_release(weir_engine *engine, struct attachment *attachment) {
    if (engine->principal_quota != NULL) weir_quota_release(engine->principal_quota, &attachment->principal);
    if (engine->address_quota != NULL) weir_quota_release(engine->address_quota, &attachment->address);
}

int limits_acquire_session(weir_engine *engine, const weir_owner *owner, weir_quota_slot *slot,
                           weir_refusal *refusal) {
    int status = acquire(engine->session_quota, owner->principal, owner->principal_length,
                         engine->config.max_principal_sessions, WEIR_PRINCIPAL_LIMIT, slot, refusal);
    return status == WEIR_SUBSCRIBERS_LIMIT ? WEIR_SESSIONS_LIMIT : status;
}

void limits_release_session(weir_engine *engine, weir_quota_slot *slot) {
    if (engine->session_quota != NULL) weir_quota_release(engine->session_quota, slot);
}
