// The matrix side of the basic API.
#pragma once

#include "ascendc/custom_operator.h"
#include "ascendc/load3d_packed.h"
#include "core/launch.h"
