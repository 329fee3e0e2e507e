/* weir.h alone is enough for a C11 program: nothing is included before it, and the whole public surface links. */
#include <weir.h>

#include "header_uses.h"
