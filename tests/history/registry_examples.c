#include "examples.h"

#define FOUND(thread_, from, to, epoch_)                OPERATION(OPEN, thread_, from, to, OK, .value = epoch_)
#define MADE(thread_, from, to, epoch_)                 OPERATION(OPEN, thread_, from, to, OK, .value = epoch_, .created = 1)
#define CREATED(thread_, from, to, epoch_)              OPERATION(CREATE, thread_, from, to, OK, .value = epoch_, .created = 1)
#define SAID(kind_, thread_, from, to, status_)         OPERATION(kind_, thread_, from, to, status_, .value = 0)
#define LIFE(kind_, thread_, from, to, epoch_, status_) OPERATION(kind_, thread_, from, to, status_, .value = epoch_)

static const struct example wrong[] = {
    {"made twice", {MADE(0, 1, 2, 7), MADE(1, 3, 4, 8)}},
    {"made by two at once", {MADE(0, 1, 4, 7), CREATED(1, 2, 3, 8)}},
    {"two sessions of one epoch", {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 4, OK), MADE(1, 5, 6, 7)}},
    {"found after it was removed", {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 4, OK), FOUND(1, 5, 6, 7)}},
    {"found after it was ended by its handle", {MADE(0, 1, 2, 7), LIFE(END_LIFE, 0, 3, 4, 7, OK), FOUND(1, 5, 6, 7)}},
    {"found in another life", {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 4, OK), MADE(0, 5, 6, 8), FOUND(1, 7, 8, 7)}},
    {"found, and never made", {MADE(0, 1, 2, 7), FOUND(1, 3, 4, 8)}},
    {"not found while it is there", {MADE(0, 1, 2, 7), SAID(OPEN, 1, 3, 4, NOT_FOUND)}},
    {"BUSY while nobody has the name", {SAID(CREATE, 0, 1, 2, BUSY)}},
    {"removed twice", {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 6, OK), SAID(REMOVE, 1, 4, 5, OK)}},
    {"not removed while it is there", {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 4, NOT_FOUND)}},
    {"ended by two", {MADE(0, 1, 2, 7), LIFE(END_LIFE, 0, 3, 6, 7, OK), LIFE(END_LIFE, 1, 4, 5, 7, OK)}},
    {"ended and removed", {MADE(0, 1, 2, 7), LIFE(END_LIFE, 0, 3, 6, 7, OK), SAID(REMOVE, 1, 4, 5, OK)}},
    {"written to after the end", {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 4, OK), LIFE(WRITE, 1, 5, 6, 7, OK)}},
    {"closed while it lives", {MADE(0, 1, 2, 7), LIFE(WRITE, 1, 3, 4, 7, CLOSED)}},
    {"an old life comes back",
     {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 4, OK), MADE(0, 5, 6, 8), LIFE(STATE, 1, 7, 8, 7, OK)}},
    {"sent to nobody", {SAID(SEND, 0, 1, 2, OK)}},
    {"sent, and nobody found", {MADE(0, 1, 2, 7), SAID(SEND, 0, 3, 4, NOT_FOUND)}},
};

static const struct example right[] = {
    {"removed in another's hands", {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 6, OK), SAID(REMOVE, 1, 4, 5, NOT_FOUND)}},
    {"found while it is removed", {MADE(0, 1, 2, 7), SAID(REMOVE, 0, 3, 8, OK), FOUND(1, 4, 5, 7)}},
    {"two are made while one is removed",
     {MADE(0, 1, 2, 7), MADE(1, 3, 8, 8), SAID(REMOVE, 0, 4, 9, OK), FOUND(2, 5, 6, 7)}},
    {"a look-up that saw the old one and answers after the new one",
     {MADE(0, 1, 2, 7), FOUND(1, 3, 10, 7), SAID(REMOVE, 0, 4, 5, OK), MADE(0, 6, 7, 8)}},
    {"CLOSED between two lives",
     {MADE(0, 1, 2, 7), SAID(SEND, 1, 3, 10, CLOSED), SAID(REMOVE, 0, 4, 5, OK), MADE(0, 6, 7, 8)}},
};

const struct examples registry_examples = {
    &registry_specification,
    {0},
    EXAMPLES(wrong),
    EXAMPLES(right),
};
