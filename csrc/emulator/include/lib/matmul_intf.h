// Custom operators include this name for the matmul library, which the emulator does not have:
// sources that need no more than the basic API compile, others stop at the first name of it.
#pragma once

#include "kernel_operator.h"
