#include "case_file.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "case_text.h"
#include "wire/text.h"

/* The file being read. */
struct reader {
    struct case_list *list;
    struct conformance_case *current; /* NULL before the first */
    struct case_text request;         /* of it, so far */
    const char *file;
    unsigned line;
};

__attribute__((noreturn, format(printf, 2, 3))) static void fail(const struct reader *reader, const char *format,
                                                                 ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%u: ", reader->file, reader->line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static char *keep_block(struct case_list *list, char *block) {
    list->blocks = realloc(list->blocks, (list->block_count + 1) * sizeof(*list->blocks));
    if (list->blocks == NULL || block == NULL) abort();
    return list->blocks[list->block_count++] = block;
}

static bool take_prefix(struct span *line, const char *prefix) {
    struct span wanted = span_of(prefix);
    if (line->length < wanted.length || memcmp(line->data, wanted.data, wanted.length) != 0) return false;
    line->data += wanted.length;
    line->length -= wanted.length;
    return true;
}

/* The word at the front; the line goes on behind its blanks. */
static struct span take_word(struct span *line) {
    size_t length = 0;
    while (length < line->length && line->data[length] != ' ')
        length++;
    struct span word = {line->data, length};
    while (length < line->length && line->data[length] == ' ')
        length++;
    line->data += length;
    line->length -= length;
    return word;
}

static unsigned read_number(const struct reader *reader, struct span word) {
    uint64_t value;
    if (!text_parse_u64(word, &value) || value > 1000000) fail(reader, "a number is missing");
    return (unsigned)value;
}

static void append_escaped(struct reader *reader, struct case_text *text, struct span escaped) {
    const char *problem = case_text_append_escaped(text, escaped);
    if (problem != NULL) fail(reader, "%s", problem);
}

/* ---- One case ---------------------------------------------------------------------------------------------- */

static void finish_case(struct reader *reader) {
    struct conformance_case *one = reader->current;
    if (one == NULL) return;
    if (!one->ending_given) fail(reader, "the case above does not say how its connection ends");
    if (one->answer_count == 0 && one->ending != ENDING_WAITS && one->ending != ENDING_IDLE)
        fail(reader, "the case above expects no answer");
    one->request.length = reader->request.length;
    one->request.data = keep_block(reader->list, case_text_take(&reader->request));
}

/* case NAME FAULT...: Title */
static void begin_case(struct reader *reader, struct span line) {
    finish_case(reader);
    struct case_list *list = reader->list;
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        list->cases = realloc(list->cases, list->capacity * sizeof(*list->cases));
        if (list->cases == NULL) abort();
    }
    const char *colon = memchr(line.data, ':', line.length);
    if (colon == NULL) fail(reader, "a case has a name, a colon and a title");
    struct span ids = {line.data, (size_t)(colon - line.data)};
    reader->current = &list->cases[list->count++];
    *reader->current = (struct conformance_case){.file = reader->file, .line = reader->line};
    reader->current->title = text_trim((struct span){colon + 1, line.length - ids.length - 1});
    reader->current->name = take_word(&ids);
    reader->current->faults = ids;
    for (size_t i = 0; i + 1 < list->count; i++)
        if (span_equal(list->cases[i].name, reader->current->name))
            fail(reader, "a case of this name is there already");
}

/* = STATUS [xTIMES] [CODE] [bodiless] */
static void take_answer(struct reader *reader, struct span line) {
    struct conformance_case *one = reader->current;
    if (one->answer_count == ANSWERS_MAX) fail(reader, "too many answers");
    struct expected_answer *answer = &one->answers[one->answer_count++];
    answer->status = read_number(reader, take_word(&line));
    answer->times = 1;
    while (line.length > 0) {
        struct span word = take_word(&line);
        if (span_equal(word, SPAN("bodiless")))
            answer->bodiless = true;
        else if (word.data[0] == 'x')
            answer->times = read_number(reader, (struct span){word.data + 1, word.length - 1});
        else
            answer->code = word;
    }
}

static void add_check(struct reader *reader, enum check_kind kind, struct span line) {
    struct conformance_case *one = reader->current;
    if (one->answer_count == 0) fail(reader, "a check stands behind the answer it is about");
    struct expected_answer *answer = &one->answers[one->answer_count - 1];
    if (answer->check_count == CHECKS_MAX) fail(reader, "too many checks");
    struct case_text text = {0};
    append_escaped(reader, &text, line);
    struct span kept = {NULL, text.length};
    kept.data = keep_block(reader->list, case_text_take(&text));
    answer->checks[answer->check_count++] = (struct check){kind, kept};
}

static bool take_check(struct reader *reader, struct span line) {
    static const struct {
        const char *word;
        enum check_kind kind;
    } kinds[] = {
        {"header ", CHECK_HEADER}, {"no-header ", CHECK_NO_HEADER}, {"body ", CHECK_BODY},
        {"holds ", CHECK_HOLDS},   {"omits ", CHECK_OMITS},
    };
    if (!take_prefix(&line, "  ")) return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (take_prefix(&line, kinds[i].word)) {
            add_check(reader, kinds[i].kind, line);
            return true;
        }
    return false;
}

static bool take_ending(struct conformance_case *one, struct span line) {
    static const char *const words[] = {"kept", "closed", "streams", "waits", "idle"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_equal(line, span_of(words[i]))) {
            one->ending = (enum ending)i;
            one->ending_given = true;
            return true;
        }
    return false;
}

static void take_server(struct reader *reader, struct span line) {
    if (span_equal(line, SPAN("token")))
        reader->current->server = SERVER_TOKEN;
    else if (span_equal(line, SPAN("strict")))
        reader->current->server = SERVER_STRICT;
    else
        fail(reader, "there is no such server");
}

/* given LETTER: EVENT... */
static void take_given(struct reader *reader, struct span line) {
    struct conformance_case *one = reader->current;
    if (line.length < 2 || line.data[0] < 'a' || line.data[0] > 'z' || line.data[1] != ':')
        fail(reader, "a given session has a letter and a colon");
    if (one->given_count == GIVENS_MAX) fail(reader, "too many sessions are given");
    one->givens[one->given_count++] =
        (struct given){line.data[0], text_trim((struct span){line.data + 2, line.length - 2})};
}

static void take_line(struct reader *reader, struct span line) {
    if (take_prefix(&line, "case ")) {
        begin_case(reader, line);
        return;
    }
    if (line.length == 0 || line.data[0] == '#') return;
    if (reader->current == NULL) fail(reader, "this stands before the first case");
    if (span_equal(line, SPAN(">")) || take_prefix(&line, "> ")) {
        if (!span_equal(line, SPAN(">"))) append_escaped(reader, &reader->request, line);
        append_escaped(reader, &reader->request, SPAN("\\r\\n"));
    } else if (take_prefix(&line, "| ")) {
        append_escaped(reader, &reader->request, line);
    } else if (take_prefix(&line, "= ")) {
        take_answer(reader, line);
    } else if (take_prefix(&line, "given ")) {
        take_given(reader, line);
    } else if (take_prefix(&line, "server ")) {
        take_server(reader, line);
    } else if (take_prefix(&line, "published ")) {
        reader->current->published = read_number(reader, line);
    } else if (!take_check(reader, line) && !take_ending(reader->current, line)) {
        fail(reader, "this line is not understood");
    }
}

/* ---- Files ------------------------------------------------------------------------------------------------- */

static char *read_all(const char *path, size_t *length) {
    FILE *file = fopen(path, "r");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    long size = ftell(file);
    char *data = malloc((size_t)size + 1);
    rewind(file);
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) abort();
    fclose(file);
    *length = (size_t)size;
    return data;
}

static void read_file(struct case_list *list, const char *path) {
    size_t length;
    char *data = keep_block(list, read_all(path, &length));
    struct reader reader = {.list = list, .file = path};
    for (size_t at = 0; at < length; reader.line++) {
        const char *end = memchr(data + at, '\n', length - at);
        if (end == NULL) end = data + length;
        if (at == 0) reader.line = 1;
        struct span line = {data + at, (size_t)(end - data) - at};
        take_line(&reader, line);
        at += line.length + 1;
    }
    finish_case(&reader);
}

static int is_table(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".txt") == 0;
}

void case_list_read(struct case_list *list, const char *folder) {
    memset(list, 0, sizeof(*list));
    struct dirent **entries;
    int count = scandir(folder, &entries, is_table, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no cases\n", folder);
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        char *path = malloc(strlen(folder) + strlen(entries[i]->d_name) + 2);
        if (path == NULL) abort();
        sprintf(path, "%s/%s", folder, entries[i]->d_name);
        read_file(list, keep_block(list, path));
        free(entries[i]);
    }
    free(entries);
}

void case_list_free(struct case_list *list) {
    for (size_t i = 0; i < list->block_count; i++)
        free(list->blocks[i]);
    free(list->blocks);
    free(list->cases);
}
