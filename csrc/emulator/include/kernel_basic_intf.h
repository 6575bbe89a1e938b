// The whole basic API.
#pragma once

#include "ascendc/custom_operator.h"
#include "ascendc/load3d_packed.h"
#include "core/launch.h"
#if __has_include("vector/api.h")
#include "vector/api.h"
#endif
