/* Names and texts of the one status list in weir.h. */
#include <weir.h>

const char *weir_strerror(int status) {
    switch (status) {
#define STATUS_TEXT(name, code, text)                                                                                \
    case code:                                                                                                       \
        return text;
        WEIR_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "unknown status";
    }
}

const char *weir_status_name(int status) {
    switch (status) {
#define STATUS_NAME(name, code, text)                                                                                \
    case code:                                                                                                       \
        return "WEIR_" #name;
        WEIR_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "WEIR_UNKNOWN";
    }
}

const char *weir_version(void) {
    return WEIR_VERSION;
}
