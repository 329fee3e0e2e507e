/* Numbered lines out of a descriptor, read in large pieces. A line ends with LF, or with the input; a CR before
 * that LF is part of the line's end. A line over the limit is skipped as a whole, with its number told. */
#ifndef WEIR_IO_COMMAND_LINE_READER_H
#define WEIR_IO_COMMAND_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

struct line_reader {
    int descriptor;
    char *buffer;
    size_t capacity;
    size_t start;    /* of the next line */
    size_t end;      /* of what has been read */
    size_t searched; /* no line end before this place */
    size_t limit;    /* bytes of a line, without its end */
    uint64_t number; /* of the next line; the first is 1 */
    bool skipping;   /* inside a line that is too long */
    bool ended;      /* the descriptor has no more */
};

enum line_result {
    LINE_READY,
    LINE_TOO_LONG, /* it is skipped */
    LINE_MORE,     /* no whole line here: fill */
    LINE_END
};

/* False when there is no memory. */
bool line_reader_init(struct line_reader *reader, int descriptor, size_t limit);
void line_reader_free(struct line_reader *reader);

/* Takes the next line. *line is valid until the next fill; *number is set for LINE_READY and LINE_TOO_LONG. */
enum line_result line_reader_next(struct line_reader *reader, struct span *line, uint64_t *number);

/* Reads once. 0, or -errno. */
int line_reader_fill(struct line_reader *reader);

#endif
