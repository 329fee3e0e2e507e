/* Servers of config_fuzz. */
#ifndef FUZZ_CONFIG_SERVER_H
#define FUZZ_CONFIG_SERVER_H

#include <weir_io.h>

/* The server of this configuration, which listens at 127.0.0.1:0: made when it is valid, refused with a sentence
 * otherwise; if it was made, it turns and stops. Returns the status. */
int require_server(const weir_server_config *config);

#endif
