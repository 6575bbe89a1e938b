// Launching a kernel: by bisheng's <<<>>> on a stream, or on the emulator.
//
//     NT_LAUNCH_MIX((Kernel<T, 16>), blocks, stream, arguments...)
//         on cube cores, each with its two vector cores
//     NT_LAUNCH_CUBE((Kernel<T, 16>), blocks, stream, arguments...)
//         on cube cores only
#pragma once

#include "kernel_operator.h"

#define NT_WITHOUT_PARENTHESES(...) __VA_ARGS__

#if defined(NEUMANN_TRIL_EMULATOR)
#define NT_LAUNCH_EMULATED(kernel, blocks, stream, mix, ...)                                       \
    emulator::launch_on(stream, #kernel, __NPU_ARCH__, NT_WITHOUT_PARENTHESES kernel, blocks, mix, \
                        __VA_ARGS__)
#define NT_LAUNCH_MIX(kernel, blocks, stream, ...) \
    NT_LAUNCH_EMULATED(kernel, blocks, stream, (emulator::Mix{1, 2, true}), __VA_ARGS__)
#define NT_LAUNCH_CUBE(kernel, blocks, stream, ...) \
    NT_LAUNCH_EMULATED(kernel, blocks, stream, (emulator::Mix{1, 0, false}), __VA_ARGS__)
#else
#define NT_LAUNCH_MIX(kernel, blocks, stream, ...) \
    NT_WITHOUT_PARENTHESES kernel<<<blocks, nullptr, stream>>>(__VA_ARGS__)
#define NT_LAUNCH_CUBE NT_LAUNCH_MIX
#endif
