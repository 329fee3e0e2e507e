/* A naive model of an engine's sessions, from the public header and the contract, for comparison: every event ever
 * published stands in a plain list, every limit is counted by walking over all there is, and what the engine must
 * answer is arithmetic on that. The model calls no function of the engine; the driver (replay_model_fuzz.c) calls both.
 *
 *   life        one session between its creation and its last release; its slot is used again after that
 *   seat        an attachment: what is kept of a consumer for those who publish, sweep and ask. A consumer has one, and
 *               a session keeps the newest of its own (weir_attach, WEIR_POLICY_REFUSE) when the consumer has gone
 *   consumer    the reading end: a cursor */
#ifndef FUZZ_REPLAY_MODEL_H
#define FUZZ_REPLAY_MODEL_H

#include <stdbool.h>
#include <weir.h>

#define MODEL_LIVES     4u
#define MODEL_CONSUMERS 6u
#define MODEL_SEATS     (MODEL_LIVES + MODEL_CONSUMERS)
#define MODEL_EVENTS    1024u /* of one life */
#define MODEL_KINDS     3u
#define MODEL_REASONS   12u
#define MODEL_PEOPLE    3u /* 0: nobody; tenants, principals and addresses are numbers here */
#define MODEL_NEVER     UINT64_MAX

struct model_event {
    uint32_t length;
    uint32_t kind;
    uint32_t keyed;
    uint64_t key;
    uint64_t time_ms;
    uint8_t seed;
    bool evicted; /* for max_session_bytes */
};

struct model_seat {
    struct model_life *life;
    uint64_t generation;
    bool exclusive; /* the session's one consumer */
    bool kept;      /* the observer is told of its end */
    weir_end_reason ended;
    uint64_t end;      /* the first sequence that is not delivered, once it has ended */
    uint64_t position; /* its queue begins here */
    weir_policy policy;
    uint32_t depth;
    uint32_t consecutive;
    uint32_t consecutive_max;
    uint32_t total;
    uint32_t total_max;
    uint64_t full_ms; /* the total has been forgiven up to here */
    bool acknowledged;
    bool late; /* came when the session had ended */
    bool token_told;
    uint64_t token_s;
    uint64_t connected_s;
    uint64_t active_s;
    uint64_t seen_ms;
};

struct model_consumer {
    struct model_life *life; /* NULL: not in use */
    struct model_seat *seat; /* NULL: weir_replay */
    uint64_t next;
    uint64_t end; /* MODEL_NEVER until it is known */
    weir_end_reason ended;
    weir_policy policy;
    uint32_t depth;
    bool live;
    uint64_t unread; /* bytes that the statistics do not have yet */
    uint32_t principal;
    uint32_t address;
    uint64_t until;  /* conflation has looked up to here */
    uint32_t passed; /* superseded events since the last one that was delivered */
    bool superseded[MODEL_EVENTS];
};

struct model_life {
    bool used;
    bool held; /* by the driver */
    char name[WEIR_NAME_MAX];
    size_t name_length;
    uint32_t tenant;
    uint32_t principal;
    uint64_t epoch;
    uint64_t next;
    weir_end_reason ended;
    bool tried; /* a publish came as far as the ring */
    uint64_t created_ms;
    uint64_t created_wall_ms;
    uint64_t touched_ms;
    struct model_seat *newest;
    uint64_t counted_bytes;
    struct model_event events[MODEL_EVENTS]; /* by sequence - first_sequence */
};

struct model {
    weir_config config; /* every default resolved */
    uint64_t first;
    uint64_t ring;
    uint64_t counted_from;  /* cells of this size and larger share counted_limit */
    uint64_t counted_limit; /* bytes */
    uint64_t largest_cell;
    uint64_t now_ms; /* of the last tick, like wall_ms */
    uint64_t wall_ms;
    uint64_t sweep_due_ms;
    bool shut_down;
    weir_stats stats;
    uint32_t closed[MODEL_REASONS]; /* notices, by reason */
    uint32_t ended[MODEL_REASONS];
    uint32_t tokens;
    struct model_life lives[MODEL_LIVES];
    struct model_consumer consumers[MODEL_CONSUMERS];
    struct model_seat seats[MODEL_SEATS];
};

/* Resolves the configuration as its comments say. */
void model_open(struct model *model, const weir_config *config, uint64_t now_ms, uint64_t wall_ms);
void model_tick(struct model *model, uint64_t now_ms, uint64_t wall_ms);

/* ---- Events (replay_model.c) ---------------------------------------------------------------------------------- */

struct model_event *model_event_of(struct model *model, struct model_life *life, uint64_t sequence);

/* Whether the ring has it still. An end takes no event's place. */
bool model_is_there(struct model *model, struct model_life *life, uint64_t sequence);

/* The first sequence from life->next - window on that is there; life->next when none is. */
uint64_t model_oldest(struct model *model, struct model_life *life, uint64_t window);

/* Cell bytes of all that is there. */
uint64_t model_bytes(struct model *model, struct model_life *life);

/* What weir_offer must return, and fill in; and what weir_offer_wait must with a deadline that has passed. `seed` is
 * what the payload was made of. */
int model_offer(struct model *model, struct model_life *life, const weir_message *message, uint8_t seed,
                weir_receipt *receipt);
int model_offer_wait(struct model *model, struct model_life *life, const weir_message *message, uint8_t seed,
                     weir_receipt *receipt);

/* ---- Seats (replay_model_seats.c) ----------------------------------------------------------------------------- */

/* One that nobody has any more. */
struct model_seat *model_seat_new(struct model *model);

/* Events in its queue. */
uint64_t model_backlog(const struct model_seat *seat);

/* Closes it, once. `end` MODEL_NEVER: it gets all that is published by now. */
void model_close(struct model *model, struct model_seat *seat, weir_end_reason reason, uint64_t end);

/* Applies token_policy when the token is past its time: true when the consumer and its producers must stop. */
bool model_judge_token(struct model *model, struct model_seat *seat);

/* One more full queue: true when that was once too often (PRP-06). */
bool model_count_full(struct model *model, struct model_seat *seat);

int model_attachment_get(const struct model_life *life, weir_attachment_info *info);
int model_detach(struct model *model, struct model_life *life, uint64_t generation);

/* ---- Consumers (replay_model_consumers.c) --------------------------------------------------------------------- */

enum model_way { MODEL_SUBSCRIBE, MODEL_ATTACH, MODEL_REPLAY };

/* What an id in a subscription means; the driver wrote it. */
enum model_id { MODEL_ID_NONE, MODEL_ID_MALFORMED, MODEL_ID_GIVEN };

struct model_wish {
    enum model_way way;
    bool plain; /* `how` is NULL */
    weir_subscription how;
    enum model_id id;
    uint64_t epoch;
    uint64_t sequence;
    uint32_t principal;
    uint32_t address;
};

struct model_placing {
    int status;
    uint64_t next;
    weir_gap gap;
    uint64_t limit; /* for how->refusal */
    uint64_t current;
};

/* Gives the consumer, which is not in use, a place; *placing is what the engine must answer. */
void model_begin(struct model *model, struct model_consumer *consumer, struct model_life *life,
                 const struct model_wish *wish, uint64_t generation, struct model_placing *placing);

struct model_read {
    int status;
    bool gap_told;
    weir_gap gap;
    uint64_t lost; /* in all, told or not */
    uint64_t sequence;
    uint32_t superseded;
};

void model_read(struct model *model, struct model_consumer *consumer, size_t capacity, struct model_read *read);
void model_advance(struct model_consumer *consumer, uint64_t next);
void model_acknowledge(struct model_consumer *consumer, uint64_t sequence);
void model_unsubscribe(struct model *model, struct model_consumer *consumer);

/* Of one session; of all when it is NULL. */
uint32_t model_subscribers(const struct model *model, const struct model_life *life);

/* ---- Lives (replay_model_lives.c) ----------------------------------------------------------------------------- */

/* The session of that name that lookups find; NULL when there is none. */
struct model_life *model_find(struct model *model, const char *name, size_t length);

/* Ends it, once: true when this was the end. */
bool model_end(struct model *model, struct model_life *life, weir_end_reason reason);

/* What weir_session_open, weir_session_create and weir_session_find must return. The driver holds *out from then on,
 * and fills in what a new life does not have yet: its epoch, and the name when `name` is NULL. */
int model_session_open(struct model *model, const char *name, size_t length, weir_open mode, struct model_life **out,
                       bool *created);
int model_session_create(struct model *model, const char *name, size_t length, uint32_t tenant, uint32_t principal,
                         struct model_life **out);
int model_session_find(struct model *model, const char *name, size_t length, uint32_t tenant, uint32_t principal,
                       struct model_life **out);

/* The driver's reference goes: a session that has ended is no more. */
void model_release(struct model_life *life);

/* Something that counts as life, if the rules say so. */
void model_touch(struct model *model, struct model_life *life, uint32_t activity);

/* Marks in *ended which lives a sweep must end, and ends them. */
uint32_t model_sweep(struct model *model, uint32_t what, uint64_t idle_ttl_ms, bool ended[MODEL_LIVES]);

/* The same for weir_engine_maintain, with a budget that is enough. */
uint32_t model_maintain(struct model *model, uint32_t *next_ms);

#endif
