/* What the probe needs of the io_uring backend beyond the table of operations. */
#ifndef WEIR_IO_BACKEND_URING_H
#define WEIR_IO_BACKEND_URING_H

#include "backend/backend.h"

/* As io_uring_backend_create, and *step names (static text) what was tried last: the failed step after an error. */
int uring_create_stepwise(struct io_backend **backend, const struct io_backend_config *config, const char **step);

#endif
