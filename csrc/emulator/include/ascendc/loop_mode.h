// Loop mode of copies between global memory and the Unified Buffer.
#pragma once

#include "ascendc/field.h"
#include "cube/loop_mode.h"
#include "only_on.h"

namespace AscendC {

enum class DataCopyMVType : uint8_t { UB_TO_OUT = 0, OUT_TO_UB = 1 };

// loop1 is the inner loop; strides in bytes, from the start of an iteration to that of the next.
struct LoopModeParams {
    LoopModeParams() = default;
    LoopModeParams(emulator::Field<uint32_t> size1, emulator::Field<uint32_t> size2, uint64_t src1,
                   uint64_t dst1, uint64_t src2, uint64_t dst2)
        : loop1Size(size1),
          loop2Size(size2),
          loop1SrcStride(src1),
          loop1DstStride(dst1),
          loop2SrcStride(src2),
          loop2DstStride(dst2) {}
    emulator::Field<uint32_t> loop1Size = 0;
    emulator::Field<uint32_t> loop2Size = 0;
    uint64_t loop1SrcStride = 0;
    uint64_t loop1DstStride = 0;
    uint64_t loop2SrcStride = 0;
    uint64_t loop2DstStride = 0;
};

EMULATOR_ONLY_ON_3510("SetLoopModePara")
inline void SetLoopModePara(const LoopModeParams& p, DataCopyMVType type,
                            emulator::Site site = emulator::Site::here()) {
    emulator::set_loop_mode(type == DataCopyMVType::OUT_TO_UB,
                            {p.loop1Size, p.loop1SrcStride, p.loop1DstStride},
                            {p.loop2Size, p.loop2SrcStride, p.loop2DstStride}, site);
}
EMULATOR_ONLY_ON_3510("ResetLoopModePara")
inline void ResetLoopModePara(DataCopyMVType type) {
    emulator::reset_loop_mode(type == DataCopyMVType::OUT_TO_UB);
}

}  // namespace AscendC
