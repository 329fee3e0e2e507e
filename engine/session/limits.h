/* Limits by principal and by address: the engine's quotas, and the slots that attachments and sessions hold of them. */
#ifndef WEIR_SESSION_LIMITS_H
#define WEIR_SESSION_LIMITS_H

#include <weir_quota.h>

#include "engine.h"

struct attachment;

/* Makes the quotas that the configuration asks for. */
int limits_create(weir_engine *engine);
void limits_destroy(weir_engine *engine);

/* Counts a consumer against its principal and its address. WEIR_PRINCIPAL_LIMIT, WEIR_ADDRESS_LIMIT (both fill
 * how->refusal), WEIR_INVALID, WEIR_NO_MEMORY. */
int limits_acquire(weir_engine *engine, const weir_subscription *how, struct attachment *attachment);
void limits_release(weir_engine *engine, struct attachment *attachment);

/* The same for a session's creator: max_principal_sessions. */
int limits_acquire_session(weir_engine *engine, const weir_owner *owner, weir_quota_slot *slot,
                           weir_refusal *refusal);
void limits_release_session(weir_engine *engine, weir_quota_slot *slot);

#endif
