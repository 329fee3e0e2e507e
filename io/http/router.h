/* Routes: which method on which path does what, and who may. One table says it all. */
#ifndef WEIR_IO_HTTP_ROUTER_H
#define WEIR_IO_HTTP_ROUTER_H

#include "net/connection.h"

/* The exchange of every reactor. */
extern const struct exchange router_exchange;

/* What a handler gets: the request and the session name of its path, decoded and valid (empty without one). */
struct route_call {
    struct connection *connection;
    const struct http_request *request;
    struct span body;
    struct span name;
};

/* sessions.c. Both take a reference, or answer the request with what stands against it and return false. For use means
 * that the session is created on its first use, unless the server is strict. */
bool open_session(const struct route_call *call, weir_open mode, weir_session **session, int *created);
bool open_session_for_use(const struct route_call *call, weir_session **session);
void handle_session_put(const struct route_call *call);
void handle_session_get(const struct route_call *call);
void handle_session_delete(const struct route_call *call);
/* publish.c */
void handle_publish(const struct route_call *call);
/* subscribe.c */
void handle_subscribe(const struct route_call *call);
/* service.c */
void handle_page(const struct route_call *call);
void handle_health(const struct route_call *call);
void handle_ready(const struct route_call *call);
void handle_metrics(const struct route_call *call);

#endif
