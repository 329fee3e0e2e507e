#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulation.h"

static const char *const names[TRUTH_NAMES + 1] = {"a", "b", "c", "d", "e", "f", "other", "new", "*"};
static const char *const kinds[TRUTH_KINDS] = {"", "k1", "\xC3\xA4 2"};

const char *truth_name(unsigned name) {
    return names[name];
}

const char *truth_kind(unsigned kind) {
    return kinds[kind];
}

int truth_find_name(const char *name, size_t length) {
    for (unsigned i = 0; i < TRUTH_NAMES; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) return (int)i;
    return -1;
}

void truth_start(struct truth *truth) {
    memset(truth, 0, sizeof(*truth));
    truth_new_engine(truth);
}

void truth_free(struct truth *truth) {
    for (unsigned i = 0; i < truth->count; i++)
        free(truth->lives[i].items);
    free(truth->lives);
}

void truth_new_engine(struct truth *truth) {
    for (unsigned i = 0; i < TRUTH_NAMES; i++)
        truth->current[i] = -1;
    truth->created = truth->ended = truth->published = truth->bytes = 0;
    truth->gaps = truth->lost = 0;
}

/* The newest first: that is where they are looked for. */
struct life *truth_life(struct truth *truth, unsigned name, const char *epoch) {
    for (unsigned i = truth->count; i-- > 0;)
        if (truth->lives[i].name == name && strcmp(truth->lives[i].epoch, epoch) == 0) return &truth->lives[i];
    return NULL;
}

static void *grow(void *items, size_t size) {
    void *larger = realloc(items, size);
    if (larger == NULL) abort();
    return larger;
}

static struct life *begin_life(struct simulation *simulation, unsigned name, const char *epoch) {
    struct truth *truth = &simulation->truth;
    for (unsigned i = 0; i < truth->count; i++)
        SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION, strcmp(truth->lives[i].epoch, epoch) != 0,
                           "epoch %s has come back", epoch);
    if (truth->count == truth->capacity) {
        truth->capacity = truth->capacity * 2 + 8;
        truth->lives = grow(truth->lives, truth->capacity * sizeof(*truth->lives));
    }
    truth->current[name] = (int)truth->count;
    truth->created++;
    struct life *life = &truth->lives[truth->count++];
    *life = (struct life){.name = name};
    snprintf(life->epoch, sizeof(life->epoch), "%s", epoch);
    return life;
}

struct life *truth_of_session(struct simulation *simulation, unsigned name, const weir_session_info *info) {
    char epoch[16];
    struct truth *truth = &simulation->truth;
    epoch[weir_epoch_format(info->epoch, epoch)] = '\0';
    if (truth->current[name] >= 0) {
        struct life *life = &truth->lives[truth->current[name]];
        SIMULATION_REQUIRE(simulation, ORACLE_METRICS, strcmp(life->epoch, epoch) == 0,
                           "session %s has epoch %s, and no notice told of the end of %s", names[name], epoch,
                           life->epoch);
        return life;
    }
    return begin_life(simulation, name, epoch);
}

void truth_accepted(struct simulation *simulation, struct life *life, unsigned kind, const char *payload,
                    size_t length) {
    struct truth *truth = &simulation->truth;
    struct publication item = {.kind = kind};
    size_t seen;
    SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION, payload_check(payload, length, life->name, &item.number),
                       "the server published to %s what nobody sent there", names[life->name]);
    bool again = truth->used[item.number / 8] >> item.number % 8 & 1;
    if (payload[2] == '*') again = life->newest > 0 && life->items[life->newest - 1].number == item.number;
    SIMULATION_REQUIRE(simulation, ORACLE_DUPLICATE, !again, "publication %u was accepted twice", item.number);
    truth->used[item.number / 8] |= (unsigned char)(1u << item.number % 8);
    item.hash = payload_hash(payload, length, &seen);
    item.length = (uint32_t)seen;
    if (life->newest == life->capacity) {
        life->capacity = life->capacity * 2 + 32;
        life->items = grow(life->items, life->capacity * sizeof(*life->items));
    }
    life->items[life->newest++] = item;
    life->bytes += length;
    truth->published++;
    truth->bytes += length;
    simulation->totals->published++;
    simulation_note(simulation, "accepted", (int64_t)life->name, (int64_t)life->newest);
}

void truth_ended(struct simulation *simulation, unsigned name, weir_end_reason reason) {
    struct truth *truth = &simulation->truth;
    truth->ended++;
    if (truth->current[name] >= 0) truth->lives[truth->current[name]].ended = reason;
    truth->current[name] = -1;
    simulation_note(simulation, "session ended", (int64_t)name, (int64_t)reason);
}

/* ---- Payloads ----------------------------------------------------------------------------------------------------- */

/* Pieces that encoders and decoders stumble over. */
static const char *const text_pieces[] = {"\n",
                                          "\r",
                                          "\r\n",
                                          "data: x\n\nevent: end\n",
                                          " ",
                                          ":",
                                          "id: 1.1\n",
                                          "\"",
                                          "\\",
                                          "\xC3\xA4",
                                          "\x01\t",
                                          "\xE2\x80\xA8",
                                          "\xF0\x9F\x8C\x8A",
                                          "0\r\n\r\n",
                                          "retry: 1\n"};
static const char *const line_pieces[] = {" ", ":", "\"", "\\", "\xC3\xA4", "\t", "data: ", "\xEF\xBB\xBF"};
static const char *const json_pieces[] = {" ", ":", "\\\"", "\\\\", "\xC3\xA4", "\\n", "\\u0007", "{}"};

static const char *draw_piece(enum payload_form form, struct random *random) {
    if (form == PAYLOAD_TEXT) return RANDOM_PICK(random, text_pieces);
    if (form == PAYLOAD_LINE) return RANDOM_PICK(random, line_pieces);
    return RANDOM_PICK(random, json_pieces);
}

static size_t write_filler(enum payload_form form, struct random *random, size_t length, char *out) {
    size_t done = 0;
    while (done < length) {
        if (random_below(random, 8) == 0) {
            const char *piece = draw_piece(form, random);
            memcpy(out + done, piece, strlen(piece));
            done += strlen(piece);
        }
        size_t run = 1 + random_below(random, 24);
        memset(out + done, 'a' + (int)random_below(random, 26), run);
        done += run;
    }
    return done;
}

static uint32_t crc32_step(uint32_t crc, unsigned char byte) {
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
    return crc;
}

static uint32_t crc32_byte(uint32_t crc, unsigned char byte) {
    static uint32_t table[256];
    if (table[1] == 0)
        for (unsigned i = 0; i < 256; i++)
            table[i] = crc32_step(0, (unsigned char)i);
    return crc >> 8 ^ table[(crc ^ byte) & 0xFF];
}

/* The next byte as clients see it. */
static bool next_seen(const char *text, size_t length, size_t *at, char *byte) {
    if (*at == length) return false;
    *byte = text[(*at)++];
    if (*byte != '\r') return true;
    *byte = '\n';
    if (*at < length && text[*at] == '\n') ++*at;
    return true;
}

static uint32_t checksum(unsigned name, uint32_t number, const char *filler, size_t length) {
    uint32_t crc = 0xFFFFFFFFu;
    char byte;
    crc = crc32_byte(crc32_byte(crc, (unsigned char)name), (unsigned char)number);
    crc = crc32_byte(crc, (unsigned char)(number >> 8));
    for (size_t at = 0; next_seen(filler, length, &at, &byte);)
        crc = crc32_byte(crc, (unsigned char)byte);
    return crc;
}

size_t payload_write(struct simulation *simulation, unsigned name, enum payload_form form, struct random *random,
                     char *out, uint32_t *number) {
    char filler[PAYLOAD_MOST];
    bool longer = random_happens(random, simulation->settings.long_payload);
    size_t wanted = random_below(random, longer ? 6000 : 60);
    size_t length = write_filler(form, random, wanted, filler);
    *number = simulation->truth.next_number++ % TRUTH_NUMBERS;
    const char *quote = form == PAYLOAD_JSON ? "\"" : "";
    int head = sprintf(out, "%sw/%s/%u/%08x/", quote, names[name], *number, checksum(name, *number, filler, length));
    memcpy(out + head, filler, length);
    memcpy(out + (size_t)head + length, quote, strlen(quote));
    return (size_t)head + length + strlen(quote);
}

static bool check_named(const char *text, size_t length, unsigned name, uint32_t *number) {
    char head[64];
    if (length > 1 && text[0] == '"') text++, length -= 2;
    int head_length = snprintf(head, sizeof(head), "w/%s/", names[name]);
    if (length < (size_t)head_length || memcmp(text, head, (size_t)head_length) != 0) return false;
    size_t at = (size_t)head_length;
    *number = 0;
    while (at < length && text[at] >= '0' && text[at] <= '9' && *number < TRUTH_NUMBERS)
        *number = *number * 10 + (uint32_t)(text[at++] - '0');
    if (*number >= TRUTH_NUMBERS || length - at < 10 || text[at] != '/' || text[at + 9] != '/') return false;
    snprintf(head, sizeof(head), "%08x", checksum(name, *number, text + at + 10, length - at - 10));
    return memcmp(text + at + 1, head, 8) == 0;
}

bool payload_check(const char *text, size_t length, unsigned name, uint32_t *number) {
    return check_named(text, length, name, number) || check_named(text, length, TRUTH_ALL, number);
}

uint64_t payload_hash(const char *text, size_t length, size_t *seen) {
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    char byte;
    *seen = 0;
    for (size_t at = 0; next_seen(text, length, &at, &byte); ++*seen)
        hash = (hash ^ (unsigned char)byte) * UINT64_C(0x100000001B3);
    return hash;
}
