/* The public header alone, as a strict C11 program sees it. */
#include <weir_io.h>

int main(void) {
    weir_server_config config = WEIR_SERVER_CONFIG_INIT;
    weir_server *server = 0;
    weir_server_destroy(server);
    return config.size == sizeof(weir_server_config) ? 0 : 1;
}
