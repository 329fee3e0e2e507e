#include "line_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024 };

bool line_reader_init(struct line_reader *reader, int descriptor, size_t limit) {
    memset(reader, 0, sizeof *reader);
    reader->descriptor = descriptor;
    reader->limit = limit;
    reader->number = 1;
    reader->capacity = limit + READ_SIZE;
    reader->buffer = malloc(reader->capacity);
    return reader->buffer != NULL;
}

void line_reader_free(struct line_reader *reader) {
    free(reader->buffer);
    reader->buffer = NULL;
}

/* The line from `start` to `stop` is whole; the next one starts at `next`. */
static enum line_result finish_line(struct line_reader *reader, size_t stop, size_t next, struct span *line,
                                    uint64_t *number) {
    bool too_long = reader->skipping;
    if (stop > reader->start && next > stop && reader->buffer[stop - 1] == '\r') stop--;
    *line = (struct span){reader->buffer + reader->start, stop - reader->start};
    *number = reader->number++;
    reader->start = next;
    reader->searched = next;
    reader->skipping = false;
    return too_long || line->length > reader->limit ? LINE_TOO_LONG : LINE_READY;
}

enum line_result line_reader_next(struct line_reader *reader, struct span *line, uint64_t *number) {
    const char *from = reader->buffer + reader->searched;
    const char *found = memchr(from, '\n', reader->end - reader->searched);
    if (found != NULL) {
        size_t stop = (size_t)(found - reader->buffer);
        return finish_line(reader, stop, stop + 1, line, number);
    }
    if (reader->ended) {
        if (reader->start == reader->end && !reader->skipping) return LINE_END;
        return finish_line(reader, reader->end, reader->end, line, number);
    }
    reader->searched = reader->end;
    if (reader->end - reader->start > reader->limit + 1) { /* + 1: a CR that belongs to the line's end */
        reader->skipping = true;
        reader->start = reader->end;
    }
    return LINE_MORE;
}

int line_reader_fill(struct line_reader *reader) {
    if (reader->start > 0) {
        memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->searched -= reader->start;
        reader->start = 0;
    }
    ssize_t got = read(reader->descriptor, reader->buffer + reader->end, reader->capacity - reader->end);
    if (got < 0) return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    if (got == 0) reader->ended = true;
    reader->end += (size_t)got;
    return 0;
}
