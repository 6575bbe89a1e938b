// The matrix side of the API without its templates. Each function is one instruction.
#pragma once

#include "ascendc/params.h"
#include "cube/operands.h"

namespace emulator {

// --- movement.cpp
void copy_gm_to_local(const LocalOperand& dst, const GlobalOperand& src,
                      const AscendC::DataCopyParams& params, Site site);
void copy_local_to_gm(const GlobalOperand& dst, const LocalOperand& src,
                      const AscendC::DataCopyParams& params, Site site);
void copy_local_to_local(const LocalOperand& dst, const LocalOperand& src,
                         const AscendC::DataCopyParams& params, Site site);
// DataCopy(dst, src, count): whole 32-byte units.
AscendC::DataCopyParams contiguous(uint32_t count, uint64_t bytes, Site site);
void copy_nd_to_nz(const LocalOperand& dst, const GlobalOperand& src,
                   const AscendC::Nd2NzParams& params, Site site);
void fill(const LocalOperand& dst, uint32_t repeat, uint32_t blocks, uint32_t gap,
          const void* value, Site site);

// --- load.cpp
void load_2d(const LocalOperand& dst, const LocalOperand& src,
             const AscendC::LoadData2DParams& params, Site site);
void load_2d_gm(const LocalOperand& dst, const GlobalOperand& src,
                const AscendC::LoadData2DParams& params, Site site);
void load_2d_v2(const LocalOperand& dst, const LocalOperand& src,
                const AscendC::LoadData2DParamsV2& params, Site site);
void load_transposed(const LocalOperand& dst, const LocalOperand& src,
                     const AscendC::LoadData2dTransposeParams& params, Site site);
void load_transposed_v2(const LocalOperand& dst, const LocalOperand& src,
                        const AscendC::LoadData2dTransposeParamsV2& params, Site site);

// --- load3d.cpp: image-to-column
struct Load3D {
    uint8_t pads[4];
    uint32_t height, width, channels;
    uint32_t k_extension, m_extension, k_start, m_start;
    uint32_t stride_w, stride_h, filter_w, filter_h, dilation_w, dilation_h;
    bool transpose;
    uint64_t pad_value;
    uint32_t dst_stride = 0;  // fractals between K blocks of the destination; 0: dense
};
void load_3d(const LocalOperand& dst, const LocalOperand& src, const Load3D& params, Site site);
// The registers that describe the image, and what lies around it. A call sets them first, unless
// its template arguments say that they are set.
struct Load3DState {
    struct Image {
        bool set = false;
        uint32_t height = 0, width = 0;
        uint8_t pads[4] = {};
    };
    Image images[2];  // left, right
    uint64_t pad_value = 0;
};
// What SetLoadDataRepeatWithStride sets.
struct Load3DRepeat {
    Load3DRepeat() = default;
    Load3DRepeat(Field16 stride, Field8 time, Field8 mode, Field16 dst_stride)
        : repeatStride(stride), repeatTime(time), repeatMode(mode), dstStride(dst_stride) {}
    Field16 repeatStride = 0;
    Field8 repeatTime = 1;
    Field8 repeatMode = 0;
    Field16 dstStride = 0;
};
void set_fmatrix(uint32_t height, uint32_t width, const uint8_t pads[4], bool right, Site site);
void take_load_3d_state(Load3D& call, bool right, Site site);

// --- mmad.cpp. bias: nullptr, or an operand in BT (or L0C).
void mmad(const LocalOperand& c, const LocalOperand& a, const LocalOperand& b,
          const LocalOperand* bias, const AscendC::MmadParams& params, bool disable_gemv,
          Site site);
struct MmadState {
    bool row_major = false;  // SetMMRowMajor / SetMMColumnMajor
    bool hf32 = false;
    bool hf32_nearest_zero = false;
};

// --- fixpipe.cpp: every way out of L0C, in common units.
struct FixpipeCall {
    uint32_t n, m;
    uint64_t src_stride;  // elements between column blocks of 16
    uint64_t dst_stride;  // bytes between column blocks (NZ); elements per row or column
    AscendC::CO2Layout layout;
    QuantMode_t quant;
    uint64_t scalar;
    bool relu;
    uint32_t unit_flag;
    bool channel_split;
    bool bare;           // DataCopy: the instruction without the barriers of the function Fixpipe
    uint32_t count = 1;  // matrices (row and column major)
    uint64_t src_matrix = 0;  // elements
    uint64_t dst_matrix = 0;  // elements
    uint64_t src_row = 16;    // elements between rows of a fractal; else than 16 only in NZ2DN
    int sub_block = 0;        // whose UB the result goes to (dav-3510)
    const LocalOperand* quant_vector = nullptr;  // in FB, or in L1 (copied through FB)
};
void fixpipe(const LocalOperand& dst, const LocalOperand& src, const FixpipeCall& call, Site site);
void fixpipe(const GlobalOperand& dst, const LocalOperand& src, const FixpipeCall& call, Site site);

// Settings that DataCopy from L0C takes from registers.
struct FixpipeState {
    uint64_t scalar = 0xFFFFFFFFFFFFFFFFull;
    uint32_t nd_num = 1, src_nd_stride = 0, dst_nd_stride = 0;
    bool has_quant_vector = false;
    LocalOperand quant_vector{};
};

}  // namespace emulator
