/* A listener: one listening socket of one reactor, with one accept started at a time. */
#ifndef WEIR_IO_NET_LISTENER_H
#define WEIR_IO_NET_LISTENER_H

#include "reactor.h"

void listener_start(struct listener *listener);
void listener_accepted(struct listener *listener, int32_t result);
/* Takes no more connections: the accept is cancelled; the socket closes once the kernel has let go of it. */
void listener_stop(struct listener *listener);

#endif
