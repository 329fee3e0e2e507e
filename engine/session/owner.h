/* Whose a session is: its tenant and principal, kept in memory of its own where there is one. */
#ifndef WEIR_SESSION_OWNER_H
#define WEIR_SESSION_OWNER_H

#include "engine.h"

weir_owner owner_of(const weir_session *session);

/* Copies what the caller says. *record is NULL for nobody. WEIR_INVALID, WEIR_PRINCIPAL_LIMIT, WEIR_NO_MEMORY. */
int owner_create(weir_engine *engine, const weir_owner *owner, struct owner_record **record, weir_refusal *refusal);

#endif
