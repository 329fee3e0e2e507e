#include "disagreements.h"

#include <stdio.h>
#include <stdlib.h>

static char *read_text(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    long size = ftell(file);
    char *text = malloc((size_t)size + 1);
    rewind(file);
    if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size) abort();
    fclose(file);
    text[size] = '\0';
    return text;
}

static struct span take_word(const char **at) {
    *at += strspn(*at, " ");
    struct span word = {*at, strcspn(*at, " \n")};
    *at += word.length;
    return word;
}

static bool take_line(struct disagreement_list *list, const char *line, size_t length, struct span *reason) {
    static const char because[] = "because ";
    if (length == 0 || line[0] == '#') return true;
    if (strncmp(line, because, sizeof(because) - 1) == 0) {
        *reason = (struct span){line + sizeof(because) - 1, length - (sizeof(because) - 1)};
        return true;
    }
    static const char further[] = "        ";
    if (strncmp(line, further, sizeof(further) - 1) == 0) return reason->length > 0;
    struct disagreement *item = &list->items[list->count];
    *item = (struct disagreement){.reason = *reason};
    item->peer = take_word(&line);
    item->name = take_word(&line);
    item->ours = take_word(&line);
    item->theirs = take_word(&line);
    list->count++;
    return reason->length > 0 && item->theirs.length > 0 && *line == '\n';
}

void disagreements_read(struct disagreement_list *list, const char *path) {
    size_t lines = 0;
    list->text = read_text(path);
    list->count = 0;
    for (const char *at = list->text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    list->items = calloc(lines + 1, sizeof(*list->items));
    if (list->items == NULL) abort();
    struct span reason = {NULL, 0};
    unsigned number = 1;
    for (const char *at = list->text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1, number++) {
        size_t before = list->count;
        if (!take_line(list, at, (size_t)(end - at), &reason)) {
            fprintf(stderr, "%s:%u: this line is not understood\n", path, number);
            exit(1);
        }
        if (list->count > before) list->items[before].line = number;
    }
}

void disagreements_free(struct disagreement_list *list) {
    free(list->items);
    free(list->text);
}

struct disagreement *disagreements_find(struct disagreement_list *list, const char *peer, struct span name) {
    for (size_t i = 0; i < list->count; i++)
        if (span_equal(list->items[i].name, name) && span_equal(list->items[i].peer, span_of(peer)))
            return &list->items[i];
    return NULL;
}
