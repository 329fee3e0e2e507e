// The public header alone, as a strict C++17 program sees it, which links to the C library.
#include <weir_io.h>

int main() {
    weir_server_config config{};
    config.size = sizeof(config);
    weir_io_error error{};
    weir_server *server = nullptr;
    int status = weir_server_create(&server, nullptr, &config, &error);
    weir_server_destroy(server);
    return status == WEIR_INVALID && server == nullptr ? 0 : 1;
}
