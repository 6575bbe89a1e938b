// Parameter structures of data movement, matrix unit and Fixpipe, under their public names.
#pragma once

#include "ascendc/field.h"
#include "ascendc/types.h"

namespace AscendC {

using emulator::Field;
using emulator::Field16;
using emulator::Field8;
using Field32 = emulator::Field<uint32_t>;
#if __NPU_ARCH__ == 3510
using NdStrideField = emulator::Field<uint64_t>;
using NdSizeField = emulator::Field<uint32_t>;
#else
using NdStrideField = emulator::Field<uint16_t>;
using NdSizeField = emulator::Field<uint16_t>;
#endif

// Runs of blockLen units of 32 bytes; gaps from the end of one run to the start of the next.
struct DataCopyParams {
    DataCopyParams() {}
    DataCopyParams(Field16 count, Field16 length, Field16 src_gap, Field16 dst_gap)
        : blockCount(count), blockLen(length), srcGap(src_gap), dstGap(dst_gap) {}
    Field16 blockCount = 1;
    Field16 blockLen = 0;
    union {
        Field16 srcGap = 0;
        Field16 srcStride;
    };
    union {
        Field16 dstGap = 0;
        Field16 dstStride;
    };
};

// Row-major matrices to the NZ layout: see documentation of each field's unit.
struct Nd2NzParams {
    Nd2NzParams() = default;
    Nd2NzParams(Field16 nd_num, Field16 n_value, NdSizeField d_value, NdStrideField src_matrix,
                NdStrideField src_d, Field16 dst_c0, Field16 dst_n, NdSizeField dst_matrix)
        : ndNum(nd_num),
          nValue(n_value),
          dValue(d_value),
          srcNdMatrixStride(src_matrix),
          srcDValue(src_d),
          dstNzC0Stride(dst_c0),
          dstNzNStride(dst_n),
          dstNzMatrixStride(dst_matrix) {}
    Field16 ndNum = 0;                    // matrices
    Field16 nValue = 0;                   // rows
    NdSizeField dValue = 0;               // columns
    NdStrideField srcNdMatrixStride = 0;  // elements
    NdStrideField srcDValue = 0;          // elements per source row
    Field16 dstNzC0Stride = 0;            // 32 bytes, between column blocks
    Field16 dstNzNStride = 0;             // 32 bytes, between rows
    NdSizeField dstNzMatrixStride = 0;    // elements
};

template <typename T>
struct InitConstValueParams {
    InitConstValueParams() = default;
    InitConstValueParams(Field16 repeat, Field16 blocks, Field16 gap, T value)
        : repeatTimes(repeat), blockNum(blocks), dstGap(gap), initValue(value) {}
    InitConstValueParams(Field16 repeat, T value) : repeatTimes(repeat), initValue(value) {}
    Field16 repeatTimes = 0;
    Field16 blockNum = 0;
    Field16 dstGap = 0;
    T initValue = 0;
};

// Fractals of 512 bytes from L1 (or GM) to L0A or L0B.
struct LoadData2DParams {
    LoadData2DParams() = default;
    LoadData2DParams(Field16 start, Field8 repeat, Field16 src_stride, Field8 sid_, Field16 dst_gap,
                     bool transpose, Field8 address_mode)
        : startIndex(start),
          dstGap(dst_gap),
          srcStride(src_stride),
          ifTranspose(transpose),
          repeatTimes(repeat),
          sid(sid_),
          addrMode(address_mode) {}
    Field16 startIndex = 0;
    Field16 dstGap = 0;
    Field16 srcStride = 0;
    bool ifTranspose = false;
    Field8 repeatTimes = 0;
    Field8 sid = 0;
    Field8 addrMode = 0;
};
using LoadData2dParams = LoadData2DParams;

struct LoadData2DParamsV2 {
    LoadData2DParamsV2() = default;
    LoadData2DParamsV2(Field32 m_start, Field32 k_start, Field16 m_step, Field16 k_step,
                       Field<int32_t> src_stride, Field16 dst_stride, bool transpose, Field8 sid_)
        : mStartPosition(m_start),
          kStartPosition(k_start),
          mStep(m_step),
          kStep(k_step),
          srcStride(src_stride),
          dstStride(dst_stride),
          ifTranspose(transpose),
          sid(sid_) {}
    Field32 mStartPosition = 0;  // 16 rows
    Field32 kStartPosition = 0;  // 32 bytes
    Field16 mStep = 0;           // 16 rows
    Field16 kStep = 0;           // 32 bytes
    Field<int32_t> srcStride = 0;
    Field16 dstStride = 0;
    bool ifTranspose = false;
    Field8 sid = 0;
};

struct LoadData2dTransposeParams {
    LoadData2dTransposeParams() = default;
    LoadData2dTransposeParams(Field16 start, Field8 repeat, Field16 src_stride, Field16 dst_gap,
                              Field16 dst_frac_gap, Field8 address_mode = 0)
        : startIndex(start),
          repeatTimes(repeat),
          srcStride(src_stride),
          dstGap(dst_gap),
          dstFracGap(dst_frac_gap),
          addrMode(address_mode) {}
    Field16 startIndex = 0;
    Field8 repeatTimes = 0;
    Field16 srcStride = 0;
    Field16 dstGap = 0;
    Field16 dstFracGap = 0;
    Field8 addrMode = 0;
};

struct LoadData2dTransposeParamsV2 {
    LoadData2dTransposeParamsV2() = default;
    LoadData2dTransposeParamsV2(Field16 start, Field8 repeat, Field16 src_stride, Field16 dst_gap,
                                Field16 dst_frac_gap, Field16 src_frac_gap, Field8 address_mode = 0)
        : startIndex(start),
          repeatTimes(repeat),
          srcStride(src_stride),
          dstGap(dst_gap),
          dstFracGap(dst_frac_gap),
          srcFracGap(src_frac_gap),
          addrMode(address_mode) {}
    Field16 startIndex = 0;
    Field8 repeatTimes = 0;
    Field16 srcStride = 0;
    Field16 dstGap = 0;
    Field16 dstFracGap = 0;
    Field16 srcFracGap = 0;
    Field8 addrMode = 0;
};

template <typename T>
struct LoadData3DParamsV2 {
    LoadData3DParamsV2() = default;
    LoadData3DParamsV2(const uint8_t pads[4], Field16 height, Field16 width, Field16 channels,
                       Field16 k_extension, Field16 m_extension, Field16 k_start, Field16 m_start,
                       Field8 stride_w, Field8 stride_h, Field8 filter_w, Field8 filter_h,
                       Field8 dilation_w, Field8 dilation_h, bool transpose, bool small_k, T pad,
                       bool wide_w = false, bool wide_h = false, bool f_matrix = false)
        : padList{pads[0], pads[1], pads[2], pads[3]},
          l1H(height),
          l1W(width),
          channelSize(channels),
          kExtension(k_extension),
          mExtension(m_extension),
          kStartPt(k_start),
          mStartPt(m_start),
          strideW(stride_w),
          strideH(stride_h),
          filterW(filter_w),
          filterH(filter_h),
          dilationFilterW(dilation_w),
          dilationFilterH(dilation_h),
          enTranspose(transpose),
          enSmallK(small_k),
          padValue(pad),
          filterSizeW(wide_w),
          filterSizeH(wide_h),
          fMatrixCtrl(f_matrix) {}
    uint8_t padList[4] = {0, 0, 0, 0};
    Field16 l1H = 0;
    Field16 l1W = 0;
    Field16 channelSize = 0;
    Field16 kExtension = 0;
    Field16 mExtension = 0;
    Field16 kStartPt = 0;
    Field16 mStartPt = 0;
    Field8 strideW = 1;
    Field8 strideH = 1;
    Field8 filterW = 1;
    Field8 filterH = 1;
    Field8 dilationFilterW = 1;
    Field8 dilationFilterH = 1;
    bool enTranspose = false;
    bool enSmallK = false;
    T padValue = 0;
    bool filterSizeW = false;
    bool filterSizeH = false;
    bool fMatrixCtrl = false;
};

struct MmadParams {
    MmadParams() = default;
    MmadParams(Field16 m_, Field16 n_, Field16 k_, Field8 unit_flag, bool source, bool init)
        : m(m_), n(n_), k(k_), unitFlag(unit_flag), cmatrixSource(source), cmatrixInitVal(init) {}
    MmadParams(Field16 m_, Field16 n_, Field16 k_, bool is_bias, Field<int32_t> fm_offset,
               bool sparse, bool winograd_a, bool winograd_b)
        : m(m_),
          n(n_),
          k(k_),
          isBias(is_bias),
          fmOffset(fm_offset),
          enSsparse(sparse),
          enWinogradA(winograd_a),
          enWinogradB(winograd_b) {}
    Field16 m = 0;
    Field16 n = 0;
    Field16 k = 0;
    bool isBias = false;
    Field<int32_t> fmOffset = 0;
    bool enSsparse = false;
    bool enWinogradA = false;
    bool enWinogradB = false;
    Field8 unitFlag = 0;
    bool kDirectionAlign = false;
    bool cmatrixSource = false;
    bool cmatrixInitVal = true;
#if __NPU_ARCH__ == 3510
    EMULATOR_ONLY_ON_3510("MmadParams::disableGemv") bool disableGemv = false;
#endif
};

struct FixpipeConfig {
    CO2Layout format;
#if __NPU_ARCH__ == 3510
    EMULATOR_ONLY_ON_3510("FixpipeConfig::isToUB") bool isToUB = false;
    constexpr FixpipeConfig(CO2Layout layout, bool to_ub = false) : format(layout), isToUB(to_ub) {}
#else
    constexpr FixpipeConfig(CO2Layout layout, bool = false) : format(layout) {}
#endif
};
inline constexpr FixpipeConfig CFG_NZ = {CO2Layout::NZ};
inline constexpr FixpipeConfig CFG_ROW_MAJOR = {CO2Layout::ROW_MAJOR};
EMULATOR_ONLY_ON_3510("CFG_COLUMN_MAJOR")
inline constexpr FixpipeConfig CFG_COLUMN_MAJOR = {CO2Layout::COLUMN_MAJOR};

struct FixpipeParamsV220 {
    FixpipeParamsV220() = default;
    FixpipeParamsV220(Field16 n, Field16 m, Field16 src_stride, Field32 dst_stride, bool relu)
        : nSize(n), mSize(m), srcStride(src_stride), dstStride(dst_stride), reluEn(relu) {}
    FixpipeParamsV220(Field16 n, Field16 m, Field16 src_stride, Field32 dst_stride, bool relu,
                      QuantMode_t quant, int64_t scalar, Field16 nd_num, Field16 src_nd,
                      Field16 dst_nd, Field8 unit_flag, bool channel_split = false)
        : nSize(n),
          mSize(m),
          srcStride(src_stride),
          dstStride(dst_stride),
          quantPre(quant),
          deqScalar(static_cast<uint64_t>(scalar)),
          ndNum(nd_num),
          srcNdStride(src_nd),
          dstNdStride(dst_nd),
          reluEn(relu),
          unitFlag(unit_flag),
          isChannelSplit(channel_split) {}
    Field16 nSize = 0;
    Field16 mSize = 0;
    Field16 srcStride = 0;
    Field32 dstStride = 0;
    QuantMode_t quantPre = QuantMode_t::NoQuant;
    uint64_t deqScalar = 0xFFFFFFFFFFFFFFFFull;  // undefined on the device: here a NaN scale
    Field16 ndNum = 1;
    Field16 srcNdStride = 0;
    Field16 dstNdStride = 0;
    bool reluEn = false;
    Field8 unitFlag = 0;
    bool isChannelSplit = false;
};

struct DataCopyCO12DstParams {
    DataCopyCO12DstParams() = default;
    DataCopyCO12DstParams(Field16 n, Field16 m, Field32 dst_stride, Field16 src_stride,
                          QuantMode_t quant, Field8 relu, bool split, bool nd)
        : nSize(n),
          mSize(m),
          dstStride(dst_stride),
          srcStride(src_stride),
          quantPre(quant),
          reluPre(relu),
          channelSplit(split),
          nz2ndEn(nd) {}
    Field8 sid = 0;
    Field16 nSize = 0;
    Field16 mSize = 0;
    Field32 dstStride = 0;
    Field16 srcStride = 0;
    Field8 unitFlag = 0;
    Field8 clipReluPre = 0;
    Field8 eltWiseOp = 0;
    QuantMode_t quantPre = QuantMode_t::NoQuant;
    Field8 reluPre = 0;
    bool channelSplit = false;
    bool nz2ndEn = false;
};

// On dav-2201 another structure has the name.
struct Nz2NdParamsOf3510 {
    Nz2NdParamsOf3510() = default;
    Nz2NdParamsOf3510(Field16 count, Field16 src, Field32 dst)
        : ndNum(count), srcNdStride(src), dstNdStride(dst) {}
    Field16 ndNum = 1;
    Field16 srcNdStride = 0;
    Field32 dstNdStride = 0;
};

using Nz2NdParams EMULATOR_ONLY_ON_3510("Nz2NdParams") = Nz2NdParamsOf3510;

struct Nz2DnParams {
    Nz2DnParams() = default;
    Nz2DnParams(Field16 count, Field16 src, Field32 dst, Field16 src_c0)
        : dnNum(count), srcNzMatrixStride(src), dstDnMatrixStride(dst), srcNzC0Stride(src_c0) {}
    Field16 dnNum = 1;
    Field16 srcNzMatrixStride = 0;
    Field32 dstDnMatrixStride = 0;
    Field16 srcNzC0Stride = 0;
};

template <CO2Layout format>
struct TransformParams {
    using PARAMS = uint8_t;
};
template <>
struct TransformParams<CO2Layout::ROW_MAJOR> {
    using PARAMS = Nz2NdParamsOf3510;
};
template <>
struct TransformParams<CO2Layout::COLUMN_MAJOR> {
    using PARAMS = Nz2DnParams;
};

template <CO2Layout format = CO2Layout::ROW_MAJOR>
struct FixpipeParamsArch3510 {
    FixpipeParamsArch3510() = default;
    FixpipeParamsArch3510(Field16 n, Field16 m, Field16 src_stride, Field32 dst_stride)
        : nSize(n), mSize(m), srcStride(src_stride), dstStride(dst_stride) {}
    ReluMode preReluMode = ReluMode::NO_RELU;
    ClipReluMode preClipReluMode = ClipReluMode::NOCLIP_RELU;
    uint64_t reluScalar = 0;
    uint64_t vectorRelu = 0;
    Field16 nSize = 0;
    Field16 mSize = 0;
    Field16 srcStride = 0;
    Field32 dstStride = 0;
    QuantMode_t quantPre = QuantMode_t::NoQuant;
    uint64_t deqScalar = 0xFFFFFFFFFFFFFFFFull;  // undefined on the device: here a NaN scale
    bool reluEn = false;
    Field8 unitFlag = 0;
    Field8 dualDstCtl = 0;
    bool subBlockId = false;
    typename TransformParams<format>::PARAMS params{};
    bool isChannelSplit = false;
};
template <CO2Layout format = CO2Layout::ROW_MAJOR>
using FixpipeParamsC310 = FixpipeParamsArch3510<format>;

}  // namespace AscendC
