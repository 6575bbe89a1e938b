// Launching a kernel: by bisheng's <<<>>> on a stream, or on the emulator.
#pragma once

#include "kernel_operator.h"

#if defined(NEUMANN_TRIL_EMULATOR)
#define NT_LAUNCH_MIX(kernel, blocks, stream, ...)                           \
    ((void)(stream), emulator::launch(#kernel, __NPU_ARCH__, kernel, blocks, \
                                      emulator::Mix{1, 2, true}, __VA_ARGS__))
#define NT_LAUNCH_CUBE(kernel, blocks, stream, ...)                          \
    ((void)(stream), emulator::launch(#kernel, __NPU_ARCH__, kernel, blocks, \
                                      emulator::Mix{1, 0, false}, __VA_ARGS__))
#else
#define NT_LAUNCH_MIX(kernel, blocks, stream, ...) kernel<<<blocks, nullptr, stream>>>(__VA_ARGS__)
#define NT_LAUNCH_CUBE NT_LAUNCH_MIX
#endif
