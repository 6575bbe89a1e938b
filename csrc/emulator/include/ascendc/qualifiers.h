// Keywords that the device compiler knows: qualifiers, architecture, core-type branches.
#pragma once

#include <cassert>
#include <cstdint>

#include "core/clock.h"
#include "only_on.h"

#ifndef __NPU_ARCH__
#error "define __NPU_ARCH__ as 2201 or 3510"
#endif
#if __NPU_ARCH__ != 2201 && __NPU_ARCH__ != 3510
#error "the emulator knows __NPU_ARCH__ 2201 and 3510"
#endif

#define __global__
#define __aicore__
#define __host_aicore__
#define __gm__
#define __ubuf__
#define __cbuf__
#define __ca__
#define __cb__
#define __cc__
#define __fbuf__
#define __cube__
#define __vector__
#define __mix__(cube, vector)
#define __schedmode__(mode)
#define __inout_pipe__(pipe)
#define __in_pipe__(pipe)
#define __out_pipe__(pipe)

#define GM_ADDR __gm__ uint8_t*

#define __forceinline__ inline
#ifndef likely
#define likely(condition) __builtin_expect(!!(condition), 1)
#endif
#ifndef unlikely
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#endif

// Markers of the custom-operator build; a launch states its kernel type itself.
#define KERNEL_TASK_TYPE(key, value)
#define KERNEL_TASK_TYPE_DEFAULT(value)
#define REGISTER_TILING_DEFAULT(tiling)
#define ENABLE_DETERMINISTIC()

namespace AscendC {
inline constexpr int32_t MIX = 0, AIC = 1, AIV = 2;
}

namespace emulator {
bool runs_on_cube();
struct CoreType {
    operator int32_t() const { return runs_on_cube() ? AscendC::AIC : AscendC::AIV; }
};
}  // namespace emulator

// The core type: a constant where the source is compiled for one of them, as the device compiler
// does; else that of the running core. The branches are used as `if ASCEND_IS_AIC { ... }`.
#if defined(__DAV_CUBE__) || defined(__DAV_VEC__)
#ifdef __DAV_CUBE__
inline constexpr int32_t g_coreType = AscendC::AIC;
#else
inline constexpr int32_t g_coreType = AscendC::AIV;
#endif
#define EMULATOR_IF_CORE constexpr
#else
inline constexpr emulator::CoreType g_coreType;
#define EMULATOR_IF_CORE
#endif
#define ASCEND_IS_AIC EMULATOR_IF_CORE(g_coreType == AscendC::AIC)
#define ASCEND_IS_AIV EMULATOR_IF_CORE(g_coreType == AscendC::AIV)
#define ASCEND_IS_NOT_AIC EMULATOR_IF_CORE(g_coreType != AscendC::AIC)
#define ASCEND_IS_NOT_AIV EMULATOR_IF_CORE(g_coreType != AscendC::AIV)

enum event_t : uint8_t {
    EVENT_ID0 = 0,
    EVENT_ID1,
    EVENT_ID2,
    EVENT_ID3,
    EVENT_ID4,
    EVENT_ID5,
    EVENT_ID6,
    EVENT_ID7,
};

// The conversions Fixpipe can apply. Only names carry meaning.
enum QuantMode_t : uint8_t {
    NoQuant = 0,
    F322F16 = 1,
    VREQ8 = 8,
    REQ8 = 9,
    VDEQF16 = 10,
    DEQF16 = 11,
    F322BF16 = 16,
    VQF322B8_PRE = 23,
    QF322B8_PRE = 24,
    VQS322BF16_PRE EMULATOR_ONLY_ON_3510("VQS322BF16_PRE"),
    QS322BF16_PRE EMULATOR_ONLY_ON_3510("QS322BF16_PRE"),
    VQF322F16_PRE EMULATOR_ONLY_ON_3510("VQF322F16_PRE"),
    QF322F16_PRE EMULATOR_ONLY_ON_3510("QF322F16_PRE"),
    VQF322BF16_PRE EMULATOR_ONLY_ON_3510("VQF322BF16_PRE"),
    QF322BF16_PRE EMULATOR_ONLY_ON_3510("QF322BF16_PRE"),
    VQF322F32_PRE EMULATOR_ONLY_ON_3510("VQF322F32_PRE"),
    QF322F32_PRE EMULATOR_ONLY_ON_3510("QF322F32_PRE"),
};
