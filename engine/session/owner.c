#include "owner.h"

#include <string.h>

#include "base/memory.h"
#include "limits.h"

struct owner_record {
    weir_quota_slot slot;
    uint16_t tenant_length;
    uint16_t principal_length;
    bool has_tenant;
    bool has_principal;
    char text[]; /* tenant, then principal */
};

static size_t record_size(const struct owner_record *record) {
    return sizeof(*record) + record->tenant_length + record->principal_length;
}

static bool part_is_valid(const char *text, size_t length) {
    return text == NULL ? length == 0 : length <= WEIR_OWNER_MAX;
}

int owner_create(weir_engine *engine, const weir_owner *owner, struct owner_record **out, weir_refusal *refusal) {
    *out = NULL;
    if (owner == NULL || (owner->tenant == NULL && owner->principal == NULL)) return WEIR_OK;
    if (!part_is_valid(owner->tenant, owner->tenant_length) ||
        !part_is_valid(owner->principal, owner->principal_length))
        return WEIR_INVALID;
    size_t size = sizeof(struct owner_record) + owner->tenant_length + owner->principal_length;
    struct owner_record *record = (struct owner_record *)memory_take(&engine->config.allocator, size, 8);
    if (record == NULL) return WEIR_NO_MEMORY;
    record->has_tenant = owner->tenant != NULL;
    record->has_principal = owner->principal != NULL;
    record->tenant_length = (uint16_t)owner->tenant_length;
    record->principal_length = (uint16_t)owner->principal_length;
    if (record->has_tenant) memcpy(record->text, owner->tenant, owner->tenant_length);
    if (record->has_principal) memcpy(record->text + owner->tenant_length, owner->principal, owner->principal_length);
    int status = limits_acquire_session(engine, owner, &record->slot, refusal);
    if (status != WEIR_OK)
        memory_give(&engine->config.allocator, record, size, 8);
    else
        *out = record;
    return status;
}

void owner_free(weir_engine *engine, struct owner_record *record) {
    if (record == NULL) return;
    limits_release_session(engine, &record->slot);
    memory_give(&engine->config.allocator, record, record_size(record), 8);
}

weir_owner owner_of(const weir_session *session) {
    weir_owner owner = {NULL, 0, NULL, 0};
    const struct owner_record *record = session->owner;
    if (record != NULL && record->has_tenant) {
        owner.tenant = record->text;
        owner.tenant_length = record->tenant_length;
    }
    if (record != NULL && record->has_principal) {
        owner.principal = record->text + record->tenant_length;
        owner.principal_length = record->principal_length;
    }
    return owner;
}

static bool is_theirs(const char *has, size_t has_length, const char *asks, size_t asks_length) {
    return asks == NULL || (has != NULL && has_length == asks_length && memcmp(has, asks, asks_length) == 0);
}

/* Under MASK a foreign session answers like one that never was (C-19). */
static int check_owner(const weir_session *session, const weir_owner *asks) {
    weir_owner has = owner_of(session);
    int status = WEIR_OK;
    if (!is_theirs(has.principal, has.principal_length, asks->principal, asks->principal_length))
        status = WEIR_PRINCIPAL_MISMATCH;
    if (!is_theirs(has.tenant, has.tenant_length, asks->tenant, asks->tenant_length)) status = WEIR_TENANT_MISMATCH;
    bool mask = session->engine->config.rules.scope_errors == WEIR_SCOPE_MASK;
    return status != WEIR_OK && mask ? WEIR_NOT_FOUND : status;
}

int weir_session_find(weir_engine *engine, const char *name, size_t length, const weir_owner *owner,
                      weir_session **session) {
    *session = registry_find(engine, name, length); /* NULL for a name that is none as well (MCP-06) */
    if (*session == NULL) return WEIR_NOT_FOUND;
    int status = registry_look_up(*session, false) ? WEIR_OK : WEIR_NOT_FOUND;
    if (status == WEIR_OK && owner != NULL) status = check_owner(*session, owner);
    if (status == WEIR_OK && !registry_look_up(*session, true)) status = WEIR_NOT_FOUND; /* TTL-12: only now a hit */
    if (status == WEIR_OK) return status;
    weir_session_release(*session);
    *session = NULL;
    return status;
}
