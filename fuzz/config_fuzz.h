/* What config_fuzz's parts share: values near the bounds, and an engine that may take so much memory and no more. */
#ifndef FUZZ_CONFIG_FUZZ_H
#define FUZZ_CONFIG_FUZZ_H

#include <stdbool.h>
#include <string.h>

#include <weir.h>

#include "require.h"

struct input {
    const uint8_t *at, *end;
};

static inline uint64_t draw(struct input *input, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && input->at < input->end; i++)
        value = value << 8 | *input->at++;
    return value;
}

/* config_engine.c. The engine of this configuration: OK when it is valid and there is memory, refused otherwise, and if
 * it was made, every field is what was asked for or the default, and it works. Services are replaced. `most_bytes`
 * bounds what it may allocate, `fail_at` is the allocation that fails (0: none). Returns the status. */
int require_engine(const weir_config *config, size_t most_bytes, uint32_t fail_at);

/* A configuration, mostly of values at the bounds; its size may be that of another version. */
void try_engine(struct input *input);
/* config_server.c. A server's configuration likewise. */
void try_server(struct input *input);

#endif
