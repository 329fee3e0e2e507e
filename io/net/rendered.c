#include "rendered.h"

#include <stdlib.h>

static bool make_room(struct rendered_text *text, size_t size) {
    if (size <= text->capacity) return true;
    char *larger = realloc(text->data, size);
    if (larger == NULL) return false;
    text->data = larger;
    text->capacity = size;
    return true;
}

bool rendered_rest(struct rendered *rendered, enum stream_format format, uint64_t broadcast,
                   const struct stream_event *event, struct span *rest) {
    struct rendered_text *text = &rendered->places[format][broadcast % RENDERED_PLACES];
    if (text->broadcast != broadcast) {
        size_t size = stream_write_rest(NULL, 0, format, event);
        text->broadcast = 0;
        if (size > RENDERED_MAX || !make_room(text, size)) return false;
        text->length = stream_write_rest(text->data, text->capacity, format, event);
        text->broadcast = broadcast;
        rendered->renderings++;
    }
    *rest = (struct span){text->data, text->length};
    return true;
}

void rendered_free(struct rendered *rendered) {
    for (int format = 0; format < 2; format++)
        for (unsigned i = 0; i < RENDERED_PLACES; i++)
            free(rendered->places[format][i].data);
}
