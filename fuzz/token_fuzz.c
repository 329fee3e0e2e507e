/* Any bytes as a token, and any bytes as the claims of one, through the expiry reader and a plain one. */
#include "contract/token_reference.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    REQUIRE(token_agrees((const char *)data, size));
    char *token = malloc(TOKEN_ROOM(size));
    REQUIRE(token);
    REQUIRE(token_agrees(token, token_make(token, data, size)));
    free(token);
    return 0;
}
