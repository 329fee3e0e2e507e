/* Operations: every way to publish. */
#include <string.h>

#include "replay_world.h"

enum way { PUBLISH, OFFER, OFFER_BLINDLY, OFFER_WAIT, WAYS };

static bool is_told(int status) {
    return status == WEIR_OK || status == WEIR_FULL || status == WEIR_EVICTED || status == WEIR_TOKEN_EXPIRED ||
           status == WEIR_CLOSED;
}

static void check_receipt(int status, const weir_receipt *receipt, const weir_receipt *expected) {
    if (!is_told(status)) return;
    REQUIRE(receipt->live == expected->live && receipt->generation == expected->generation);
    REQUIRE(receipt->stored == expected->stored);
    REQUIRE(status != WEIR_OK || receipt->sequence == expected->sequence);
}

static void publish(struct world *world, struct input *input, struct model_life *life, weir_message *message,
                    uint8_t seed) {
    struct model *model = &world->model;
    weir_session *session = handle_of(world, life);
    weir_producer *producer = world->producers[draw(input, PRODUCERS)];
    weir_receipt receipt;
    weir_receipt expected;
    enum way way = (enum way)draw(input, WAYS);
    memset(&receipt, 0xA5, sizeof(receipt));
    if (way == PUBLISH) message->keyed = 0;
    int status = way == OFFER_WAIT ? model_offer_wait(model, life, message, seed, &expected)
                                   : model_offer(model, life, message, seed, &expected);
    switch (way) {
    case PUBLISH: {
        uint64_t sequence = 0;
        REQUIRE(weir_publish(producer, session, message->kind, message->data, message->length, &sequence) == status);
        REQUIRE(status != WEIR_OK || sequence == expected.sequence);
        return;
    }
    case OFFER_BLINDLY:
        REQUIRE(weir_offer(producer, session, message, NULL) == status);
        return;
    case OFFER_WAIT:
        REQUIRE(weir_offer_wait(producer, session, message, world->clock_ms * 1000000u, &receipt) == status);
        break;
    default:
        REQUIRE(weir_offer(producer, session, message, &receipt) == status);
        break;
    }
    check_receipt(status, &receipt, &expected);
}

/* By name: of a session that is not held as well, and of none. */
static void send(struct world *world, struct input *input, const weir_message *message, uint8_t seed) {
    struct model *model = &world->model;
    weir_producer *producer = world->producers[draw(input, PRODUCERS)];
    size_t length;
    const char *name = choose_name(world, input, &length);
    struct model_life *life = model_find(model, name, length);
    weir_receipt receipt;
    weir_receipt expected;
    memset(&expected, 0, sizeof(expected));
    int status = model->config.rules.missing == WEIR_MISSING_IGNORE ? WEIR_OK : WEIR_NOT_FOUND;
    if (life != NULL && life->next - model->first >= MODEL_EVENTS) return;
    if (life != NULL) status = model_offer(model, life, message, seed, &expected);
    REQUIRE(weir_send(producer, name, length, message, &receipt) == status);
    check_receipt(status, &receipt, &expected);
    if (life != NULL) return;
    REQUIRE(weir_send(producer, NULL, 0, message, NULL) == WEIR_INVALID); /* LIV-07 */
    model->stats.publish_refused++;
}

void publish_one(struct world *world, struct input *input) {
    static const uint32_t lengths[] = {0,   1,   7,    16,   96,   104,  105,  112,  113,  240,  500,
                                       984, 992, 1000, 1008, 1009, 1500, 2032, 2033, 4080, 4500, 5000};
    static uint8_t data[8192];
    uint32_t what = draw(input, 64);
    uint32_t length = lengths[draw(input, sizeof(lengths) / sizeof(lengths[0]))];
    uint8_t seed = (uint8_t)draw(input, 256);
    struct model_life *life = choose_life(world, input);
    weir_message message = {data, length, what / 8 <= MODEL_KINDS + 1 ? what / 8 : 0, what % 2, what / 2 % 4};
    if (message.kind > MODEL_KINDS) message.length = 0; /* one thing wrong at a time */
    fill_payload(data, length, seed);
    if (draw(input, 8) == 0) {
        send(world, input, &message, seed);
        return;
    }
    if (life == NULL || life->next - world->model.first >= MODEL_EVENTS) return;
    publish(world, input, life, &message, seed);
}

/* The same again and again, from the same bytes of the input. */
void publish_many(struct world *world, struct input *input) {
    uint32_t count = draw(input, 40);
    const uint8_t *at = input->at;
    for (uint32_t i = 0; i < count; i++) {
        input->at = at;
        publish_one(world, input);
    }
}
