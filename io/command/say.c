/* Words to a person, and the two inputs that every subcommand checks alike: a token file and a session name. */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "wire/text.h"

void command_say(const char *name, const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "weir %s: %s\n", name, line); /* one call, so that lines of two threads do not mix */
}

static int check_token(const char *name, const char *path, const char *token) {
    size_t length = strlen(token);
    if (length < 16 || length > 256) {
        command_say(name, "--token-file: the first line of %s has %zu bytes; a token takes 16 to 256", path, length);
        return -1;
    }
    for (size_t i = 0; i < length; i++) {
        if (token[i] <= ' ' || token[i] > '~') {
            command_say(name, "--token-file: byte %zu of %s is not a visible ASCII character", i + 1, path);
            return -1;
        }
    }
    return 0;
}

int command_read_token(const char *name, const char *path, char token[TOKEN_CAPACITY]) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        command_say(name, "--token-file: %s: %s", path, strerror(errno));
        return -1;
    }
    struct stat facts;
    if (fstat(fileno(file), &facts) == 0 && (facts.st_mode & (S_IRGRP | S_IROTH)) != 0) {
        command_say(name, "warning: %s can be read by others (mode %04o); 'chmod 600' keeps it to you", path,
                    (unsigned)facts.st_mode & 07777u);
    }
    char line[1024] = "";
    if (fgets(line, sizeof line, file) == NULL && ferror(file)) {
        command_say(name, "--token-file: %s: %s", path, strerror(errno));
        fclose(file);
        return -1;
    }
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    if (check_token(name, path, line) < 0) return -1;
    memcpy(token, line, strlen(line) + 1);
    return 0;
}

int command_check_session(const char *name, const char *session) {
    if (text_name_valid(span_of(session))) return 1;
    command_say(name, "'%.80s' is not a session name; it takes 1 to 64 of the letters, digits and . _ ~ -", session);
    return 0;
}
