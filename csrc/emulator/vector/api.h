// The vector side of the basic API.
#pragma once

#include "vector/arithmetic.h"
#include "vector/broadcast.h"
#include "vector/builtins.h"
#include "vector/cast.h"
#include "vector/compare_select.h"
#include "vector/copy_pad.h"
#include "vector/debug.h"
#include "vector/fill_gather.h"
#include "vector/mask.h"
#include "vector/pipe.h"
#include "vector/queue.h"
#include "vector/reduce.h"
#include "vector/transpose.h"
