/* What a server is used for, as scenarios. */
#ifndef TORTURE_SERVER_SCENARIOS_H
#define TORTURE_SERVER_SCENARIOS_H

#include "torture.h"

/* Create, one request of each kind, destroy. */
extern const struct scenario server_requests_epoll;
extern const struct scenario server_requests_uring;

/* Create, streams of both formats, publishes, drain, destroy. */
extern const struct scenario server_streams_epoll;
extern const struct scenario server_streams_uring;

/* Create and one request, where a failure of io_uring is answered with epoll. */
extern const struct scenario server_of_choice;

/* Create with two listeners, start two threads, a request, drain, join, destroy. */
extern const struct scenario server_threads_epoll;
extern const struct scenario server_threads_uring;

#endif
