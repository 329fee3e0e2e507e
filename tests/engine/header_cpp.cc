/* weir.h alone is enough for a C++17 program. */
#include <weir.h>

#include "header_uses.h"
