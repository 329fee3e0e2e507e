#include "embed_loop.c"
