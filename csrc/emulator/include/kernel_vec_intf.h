// The whole basic API.
#pragma once

#include "ascendc/cube.h"
#include "core/launch.h"
#if __has_include("vector/api.h")
#include "vector/api.h"
#endif
