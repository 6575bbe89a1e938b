// The matrix side of the basic API.
#pragma once

#include "ascendc/cube.h"
#include "core/launch.h"
