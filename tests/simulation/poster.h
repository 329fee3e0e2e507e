/* Everybody on HTTP who is no subscriber: publishes, creates, deletes and asks, keeps connections alive, asks for many
 * things at once, sends junk and half requests, and goes when it likes. What it published and got an answer for is
 * compared with the truth. */
#ifndef WEIR_TESTS_SIMULATION_POSTER_H
#define WEIR_TESTS_SIMULATION_POSTER_H

#include "decoder.h"
#include "support/random.h"
#include "support/simulated_backend.h"

struct simulation;

#define POSTER_REQUESTS 4u /* in one go */
#define POSTER_EVENTS   5u /* in one request */
#define POSTER_TEXT     60000u

struct posting {
    unsigned name;
    unsigned count; /* events; 0: it is no publishing request */
    bool one;       /* the body as a whole is the event */
    uint32_t numbers[POSTER_EVENTS];
};

struct poster {
    struct simulation *simulation;
    unsigned index;
    struct random random;
    struct simulated_peer *peer; /* NULL: away */
    char text[POSTER_TEXT];
    size_t length, fed;
    struct posting postings[POSTER_REQUESTS];
    bool served;              /* in the calm: has got as many answers as it has asked for */
    bool silent;              /* neither says nor reads anything any more */
    unsigned asked, answered; /* requests of this connection; answers to all but 1xx */
    bool junk;                /* has sent what is no request: any refusal is right */
    struct decoder decoder;
};

void poster_start(struct simulation *simulation, unsigned index);
/* Comes and asks, when it is away or has had its answers. */
void poster_ask(struct poster *poster);
/* Comes, if it is away, and asks for more than the server will answer in one go. */
void poster_ask_greedily(struct poster *poster);
/* Sends, reads, and misbehaves. */
void poster_poll(struct poster *poster);
void poster_leave(struct poster *poster);
/* As if its power was cut. */
void poster_fall_silent(struct poster *poster);

#endif
