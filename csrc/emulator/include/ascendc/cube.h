// Matrix API: DataCopy to and from L1, Fill, LoadData, Mmad, Fixpipe.
#pragma once

#include "ascendc/atomic.h"
#include "ascendc/cube_types.h"
#include "ascendc/sync.h"
#include "cube/cube.h"

namespace AscendC {

using emulator::Site;

// --- DataCopy
template <typename T>
inline void DataCopy(const LocalTensor<T>& dst, const GlobalTensor<T>& src,
                     const DataCopyParams& params, Site site = Site::here()) {
    emulator::copy_gm_to_local(dst.operand(), src.operand(), params, site);
}
template <typename T>
inline void DataCopy(const LocalTensor<T>& dst, const GlobalTensor<T>& src, uint32_t count,
                     Site site = Site::here()) {
    emulator::copy_gm_to_local(dst.operand(), src.operand(),
                               emulator::contiguous(count, emulator::bytes_of<T>(count), site),
                               site);
}
template <typename T>
inline void DataCopy(const GlobalTensor<T>& dst, const LocalTensor<T>& src,
                     const DataCopyParams& params, Site site = Site::here()) {
    emulator::copy_local_to_gm(dst.operand(), src.operand(), params, site);
}
template <typename T>
inline void DataCopy(const GlobalTensor<T>& dst, const LocalTensor<T>& src, uint32_t count,
                     Site site = Site::here()) {
    emulator::copy_local_to_gm(dst.operand(), src.operand(),
                               emulator::contiguous(count, emulator::bytes_of<T>(count), site),
                               site);
}
template <typename T, typename U>
inline void DataCopy(const LocalTensor<T>& dst, const LocalTensor<U>& src,
                     const DataCopyParams& params, Site site = Site::here()) {
    emulator::copy_local_to_local(dst.operand(), src.operand(), params, site);
}
template <typename T>
inline void DataCopy(const LocalTensor<T>& dst, const LocalTensor<T>& src, uint32_t count,
                     Site site = Site::here()) {
    DataCopyParams params = emulator::contiguous(count, emulator::bytes_of<T>(count), site);
    // The unit of a copy to BT or FB is larger: 64 or 128 bytes on dav-2201.
    const emulator::Buffer to =
        emulator::buffer_of(static_cast<TPosition>(dst.GetPosition()), site);
    const uint32_t unit = to == emulator::Buffer::BT   ? (__NPU_ARCH__ == 2201 ? 2 : 1)
                          : to == emulator::Buffer::FB ? (__NPU_ARCH__ == 2201 ? 4 : 2)
                                                       : 1;
    params.blockLen = (params.blockLen + unit - 1) / unit;
    emulator::copy_local_to_local(dst.operand(), src.operand(), params, site);
}
// dav-2201: int4b_t as 8-bit elements that hold two.
template <typename T>
inline void DataCopy(const LocalTensor<T>& dst, const GlobalTensor<T>& src,
                     const Nd2NzParams& params, Site site = Site::here()) {
    emulator::require_type<T, emulator::Nd2NzTypes>();
    emulator::copy_nd_to_nz(dst.operand(), src.operand(), params, site);
}
template <typename T, bool enableSmallC0>
EMULATOR_ONLY_ON_3510("DataCopy with enableSmallC0")
inline void DataCopy(const LocalTensor<T>& dst, const GlobalTensor<T>& src,
                     const Nd2NzParams& params, Site site = Site::here()) {
    static_assert(!enableSmallC0, "DataCopy: enableSmallC0 is not modelled");
    DataCopy(dst, src, params, site);
}

// --- Fill
template <typename T, typename U = T>
inline void Fill(const LocalTensor<T>& dst, const InitConstValueParams<U>& params,
                 Site site = Site::here()) {
    static_assert(std::is_same_v<T, U>, "Fill: the value has the type of the tensor");
    const T value = params.initValue;
    emulator::fill(dst.operand(), params.repeatTimes, params.blockNum, params.dstGap, &value, site);
}
template <typename T, typename U = T>
inline void InitConstValue(const LocalTensor<T>& dst, const InitConstValueParams<U>& params,
                           Site site = Site::here()) {
    Fill(dst, params, site);
}

// --- LoadData
template <typename T>
inline void LoadData(const LocalTensor<T>& dst, const LocalTensor<T>& src,
                     const LoadData2DParams& params, Site site = Site::here()) {
    emulator::require_type<T, emulator::LoadTypes>();
    emulator::load_2d(dst.operand(), src.operand(), params, site);
}
template <typename T>
inline void LoadData(const LocalTensor<T>& dst, const GlobalTensor<T>& src,
                     const LoadData2DParams& params, Site site = Site::here()) {
    emulator::require_type<T, emulator::Elements>();
    emulator::load_2d_gm(dst.operand(), src.operand(), params, site);
}
template <typename T>
EMULATOR_ONLY_ON_3510("LoadData with LoadData2DParamsV2")
inline void LoadData(const LocalTensor<T>& dst, const LocalTensor<T>& src,
                     const LoadData2DParamsV2& params, Site site = Site::here()) {
    emulator::load_2d_v2(dst.operand(), src.operand(), params, site);
}
template <typename T>
inline void LoadDataWithTranspose(const LocalTensor<T>& dst, const LocalTensor<T>& src,
                                  const LoadData2dTransposeParams& params,
                                  Site site = Site::here()) {
    emulator::require_type<T, emulator::RearrangedTypes>();
    emulator::load_transposed(dst.operand(), src.operand(), params, site);
}
template <typename T>
EMULATOR_ONLY_ON_3510("LoadDataWithTranspose with LoadData2dTransposeParamsV2")
inline void LoadDataWithTranspose(const LocalTensor<T>& dst, const LocalTensor<T>& src,
                                  const LoadData2dTransposeParamsV2& params,
                                  Site site = Site::here()) {
    emulator::load_transposed_v2(dst.operand(), src.operand(), params, site);
}

struct IsResetLoad3dConfig {
    bool isSetFMatrix = true;
    bool isSetPadding = true;
};
inline constexpr IsResetLoad3dConfig IS_RESER_LOAD3D_DEFAULT_CONFIG = {true, true};
inline void SetFmatrix(uint16_t l1H, uint16_t l1W, const uint8_t padList[4],
                       const FmatrixMode& mode, Site site = Site::here()) {
    emulator::set_fmatrix(l1H, l1W, padList, mode == FmatrixMode::FMATRIX_RIGHT, site);
}
template <typename T>
inline void SetLoadDataPaddingValue(const T padValue) {
    auto& state = emulator::current_core().state<emulator::Load3DState>();
    state.pad_value = 0;
    __builtin_memcpy(&state.pad_value, &padValue, sizeof(T));
}

template <const IsResetLoad3dConfig& config, typename T>
inline emulator::Load3D emulator_load_3d(const LoadData3DParamsV2<T>& p, Site site) {
    if (p.enSmallK || (config.isSetFMatrix && p.fMatrixCtrl)) {
        emulator::fail(site,
                       "LoadData 3D: enSmallK, and fMatrixCtrl without SetFmatrix, are not "
                       "supported");
    }
    emulator::Load3D call{};
    for (int i = 0; i < 4; ++i) call.pads[i] = p.padList[i];
    call.height = p.l1H;
    call.width = p.l1W;
    call.channels = p.channelSize;
    call.k_extension = p.kExtension;
    call.m_extension = p.mExtension;
    call.k_start = p.kStartPt;
    call.m_start = p.mStartPt;
    call.stride_w = p.strideW;
    call.stride_h = p.strideH;
    call.filter_w = p.filterW + (p.filterSizeW ? 256u : 0u);
    call.filter_h = p.filterH + (p.filterSizeH ? 256u : 0u);
    call.dilation_w = p.dilationFilterW;
    call.dilation_h = p.dilationFilterH;
    call.transpose = p.enTranspose;
    if constexpr (config.isSetPadding) SetLoadDataPaddingValue<T>(p.padValue);
    if constexpr (config.isSetFMatrix) {
        emulator::set_fmatrix(call.height, call.width, call.pads, false, site);
    }
    emulator::take_load_3d_state(call, p.fMatrixCtrl, site);
    return call;
}
template <typename T, const IsResetLoad3dConfig& config = IS_RESER_LOAD3D_DEFAULT_CONFIG>
inline void LoadData(const LocalTensor<T>& dst, const LocalTensor<T>& src,
                     const LoadData3DParamsV2<T>& params, Site site = Site::here()) {
    emulator::require_type<T, emulator::RearrangedTypes>();
    emulator::load_3d(dst.operand(), src.operand(), emulator_load_3d<config>(params, site), site);
}
using LoadDataRepeatParamWithStride EMULATOR_ONLY_ON_3510("LoadDataRepeatParamWithStride") =
    emulator::Load3DRepeat;
EMULATOR_ONLY_ON_3510("SetLoadDataRepeatWithStride")
inline void SetLoadDataRepeatWithStride(const emulator::Load3DRepeat& params) {
    emulator::current_core().state<emulator::Load3DRepeat>() = params;
}
template <typename T, const IsResetLoad3dConfig& config = IS_RESER_LOAD3D_DEFAULT_CONFIG>
EMULATOR_ONLY_ON_3510("LoadDataWithStride")
inline void LoadDataWithStride(const LocalTensor<T>& dst, const LocalTensor<T>& src,
                               const LoadData3DParamsV2<T>& params, Site site = Site::here()) {
    const auto& repeat = emulator::current_core().state<emulator::Load3DRepeat>();
    emulator::Load3D call = emulator_load_3d<config>(params, site);
    if (repeat.repeatTime != 1) {
        emulator::fail(site, "LoadDataWithStride: repeatTime %u is not modelled",
                       unsigned{repeat.repeatTime});
    }
    call.dst_stride = repeat.dstStride;
    emulator::load_3d(dst.operand(), src.operand(), call, site);
}

// --- Mmad
inline bool emulator_disables_gemv(const MmadParams& params) {
#if __NPU_ARCH__ == 3510
    return params.disableGemv;
#else
    (void)params;
    return false;
#endif
}
template <typename T, typename U, typename S>
inline void Mmad(const LocalTensor<T>& c, const LocalTensor<U>& a, const LocalTensor<S>& b,
                 const MmadParams& params, Site site = Site::here()) {
    emulator::require_mmad_types<T, U, S, emulator::Multiplied>();
    emulator::mmad(c.operand(), a.operand(), b.operand(), nullptr, params,
                   emulator_disables_gemv(params), site);
}
template <typename T, typename U, typename S, typename V>
inline void Mmad(const LocalTensor<T>& c, const LocalTensor<U>& a, const LocalTensor<S>& b,
                 const LocalTensor<V>& bias, const MmadParams& params, Site site = Site::here()) {
    emulator::require_mmad_types<T, U, S, emulator::MultipliedWithBias>();
    const emulator::LocalOperand operand = bias.operand();
    emulator::mmad(c.operand(), a.operand(), b.operand(), &operand, params,
                   emulator_disables_gemv(params), site);
}
inline void SetMMRowMajor() {
    emulator::current_core().state<emulator::MmadState>().row_major = true;
}
inline void SetMMColumnMajor() {
    emulator::current_core().state<emulator::MmadState>().row_major = false;
}
inline void SetMMLayoutTransform(bool row_major) {
    emulator::current_core().state<emulator::MmadState>().row_major = row_major;
}
inline void SetHF32Mode(bool on) {
    emulator::current_core().state<emulator::MmadState>().hf32 = on;
}
inline void SetHF32Mode(HF32Mode mode) { SetHF32Mode(mode == HF32Mode::ENABLE); }
inline void SetHF32TransMode(bool nearest_zero) {
    emulator::current_core().state<emulator::MmadState>().hf32_nearest_zero = nearest_zero;
}

// --- Fixpipe
inline emulator::FixpipeCall emulator_fixpipe_call(const FixpipeParamsV220& p, CO2Layout layout,
                                                   Site site) {
    using emulator::require_field;
    emulator::FixpipeCall call{};
    call.n = p.nSize;
    call.m = p.mSize;
    call.src_stride = uint64_t{p.srcStride} * 16;
    call.dst_stride = layout == CO2Layout::NZ ? uint64_t{p.dstStride} * 32 : uint64_t{p.dstStride};
    call.layout = layout;
    call.quant = p.quantPre;
    call.scalar = p.deqScalar;
    call.relu = p.reluEn;
    call.unit_flag = p.unitFlag;
    call.channel_split = p.isChannelSplit;
    if (layout != CO2Layout::NZ) {
        // Units of 16 x 16 elements on dav-2201, of 16 elements on dav-3510.
        const uint64_t unit = __NPU_ARCH__ == 2201 ? 256 : 16;
        if (__NPU_ARCH__ == 2201)
            require_field("Fixpipe", "srcNdStride", p.srcNdStride, 0, 512, site);
        call.count = p.ndNum;
        call.src_matrix = p.srcNdStride * unit;
        call.dst_matrix = p.dstNdStride;
    } else if (p.ndNum == 0) {
        call.count = 0;
    }
    return call;
}

template <CO2Layout layout>
inline emulator::FixpipeCall emulator_fixpipe_call(const FixpipeParamsArch3510<layout>& p,
                                                   uint32_t element_size, Site site) {
    emulator::FixpipeCall call{};
    call.n = p.nSize;
    call.m = p.mSize;
    call.src_stride = uint64_t{p.srcStride} * 16;
    call.dst_stride =
        layout == CO2Layout::NZ ? uint64_t{p.dstStride} * element_size : uint64_t{p.dstStride};
    call.layout = layout;
    call.quant = p.quantPre;
    call.scalar = p.deqScalar;
    call.relu = p.reluEn || p.preReluMode == ReluMode::NORMAL_RELU;
    call.unit_flag = p.unitFlag;
    call.channel_split = p.isChannelSplit;
    call.sub_block = p.subBlockId;
    if (p.preReluMode == ReluMode::SCALAR_RELU || p.preReluMode == ReluMode::VECTOR_RELU ||
        p.preClipReluMode != ClipReluMode::NOCLIP_RELU || p.dualDstCtl != 0) {
        emulator::fail(site,
                       "Fixpipe: scaled or clipped relu and dual destinations are not "
                       "modelled");
    }
    if constexpr (layout == CO2Layout::ROW_MAJOR) {
        call.count = p.params.ndNum;
        call.src_matrix = uint64_t{p.params.srcNdStride} * 16;
        call.dst_matrix = p.params.dstNdStride;
    } else if constexpr (layout == CO2Layout::COLUMN_MAJOR) {
        call.count = p.params.dnNum;
        call.src_matrix = uint64_t{p.params.srcNzMatrixStride} * 16;
        call.dst_matrix = p.params.dstDnMatrixStride;
        emulator::require_field("Fixpipe", "srcNzC0Stride", p.params.srcNzC0Stride, 1, 65535, site);
        call.src_row = uint64_t{p.params.srcNzC0Stride} * 16;
    }
    return call;
}

template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
inline void Fixpipe(const LocalTensor<T>& dst, const LocalTensor<U>& src,
                    const FixpipeParamsV220& params, Site site = Site::here()) {
    emulator::fixpipe(dst.operand(), src.operand(),
                      emulator_fixpipe_call(params, config.format, site), site);
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
inline void Fixpipe(const GlobalTensor<T>& dst, const LocalTensor<U>& src,
                    const FixpipeParamsV220& params, Site site = Site::here()) {
    emulator::fixpipe(dst.operand(), src.operand(),
                      emulator_fixpipe_call(params, config.format, site), site);
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR,
          typename S = uint64_t, std::enable_if_t<std::is_same_v<S, uint64_t>, bool> = true>
inline void Fixpipe(const LocalTensor<T>& dst, const LocalTensor<U>& src,
                    const LocalTensor<S>& scales, const FixpipeParamsV220& params,
                    Site site = Site::here()) {
    emulator::FixpipeCall call = emulator_fixpipe_call(params, config.format, site);
    const emulator::LocalOperand vector = scales.operand();
    call.quant_vector = &vector;
    emulator::fixpipe(dst.operand(), src.operand(), call, site);
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR,
          typename S = uint64_t, std::enable_if_t<std::is_same_v<S, uint64_t>, bool> = true>
inline void Fixpipe(const GlobalTensor<T>& dst, const LocalTensor<U>& src,
                    const LocalTensor<S>& scales, const FixpipeParamsV220& params,
                    Site site = Site::here()) {
    emulator::FixpipeCall call = emulator_fixpipe_call(params, config.format, site);
    const emulator::LocalOperand vector = scales.operand();
    call.quant_vector = &vector;
    emulator::fixpipe(dst.operand(), src.operand(), call, site);
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
EMULATOR_ONLY_ON_3510("Fixpipe with FixpipeParamsArch3510 to a LocalTensor")
inline void Fixpipe(const LocalTensor<T>& dst, const LocalTensor<U>& src,
                    const FixpipeParamsArch3510<config.format>& params, Site site = Site::here()) {
    emulator::fixpipe(dst.operand(), src.operand(), emulator_fixpipe_call(params, sizeof(T), site),
                      site);
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
EMULATOR_ONLY_ON_3510("Fixpipe with FixpipeParamsArch3510 to a GlobalTensor")
inline void Fixpipe(const GlobalTensor<T>& dst, const LocalTensor<U>& src,
                    const FixpipeParamsArch3510<config.format>& params, Site site = Site::here()) {
    emulator::fixpipe(dst.operand(), src.operand(), emulator_fixpipe_call(params, sizeof(T), site),
                      site);
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
EMULATOR_ONLY_ON_3510("Fixpipe with FixpipeParamsArch3510 to a LocalTensor with scales")
inline void Fixpipe(const LocalTensor<T>& dst, const LocalTensor<U>& src,
                    const LocalTensor<uint64_t>& scales,
                    const FixpipeParamsArch3510<config.format>& params, Site site = Site::here()) {
    emulator::FixpipeCall call = emulator_fixpipe_call(params, sizeof(T), site);
    const emulator::LocalOperand vector = scales.operand();
    call.quant_vector = &vector;
    emulator::fixpipe(dst.operand(), src.operand(), call, site);
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
EMULATOR_ONLY_ON_3510("Fixpipe with FixpipeParamsArch3510 to a GlobalTensor with scales")
inline void Fixpipe(const GlobalTensor<T>& dst, const LocalTensor<U>& src,
                    const LocalTensor<uint64_t>& scales,
                    const FixpipeParamsArch3510<config.format>& params, Site site = Site::here()) {
    emulator::FixpipeCall call = emulator_fixpipe_call(params, sizeof(T), site);
    const emulator::LocalOperand vector = scales.operand();
    call.quant_vector = &vector;
    emulator::fixpipe(dst.operand(), src.operand(), call, site);
}

// --- DataCopy out of L0C, with settings from registers
inline void SetFixpipeNz2ndFlag(Field16 count, Field16 src_stride, NdSizeField dst_stride) {
    auto& state = emulator::current_core().state<emulator::FixpipeState>();
    state.nd_num = count;
    state.src_nd_stride = src_stride;
    state.dst_nd_stride = dst_stride;
}
inline void SetFixpipePreQuantFlag(uint64_t scale) {
    emulator::current_core().state<emulator::FixpipeState>().scalar = scale;
}
template <typename T, bool setRelu = false>
inline void SetFixPipeConfig(const LocalTensor<T>& scales, bool = false) {
    static_assert(!setRelu, "SetFixPipeConfig for relu tensors is not modelled");
    auto& state = emulator::current_core().state<emulator::FixpipeState>();
    state.has_quant_vector = true;
    state.quant_vector = scales.operand();
}

inline emulator::FixpipeCall emulator_copy_out_call(const DataCopyCO12DstParams& p, Site site) {
    auto& state = emulator::current_core().state<emulator::FixpipeState>();
    if (p.clipReluPre != 0 || p.eltWiseOp != 0) {
        emulator::fail(site,
                       "DataCopy from L0C: clipped relu and element-wise operations are not "
                       "modelled");
    }
    FixpipeParamsV220 params;
    params.nSize = p.nSize;
    params.mSize = p.mSize;
    params.srcStride = p.srcStride;
    params.dstStride = p.dstStride;
    params.quantPre = p.quantPre;
    params.deqScalar = state.scalar;
    params.reluEn = p.reluPre != 0;
    params.unitFlag = p.unitFlag;
    params.isChannelSplit = p.channelSplit;
    params.ndNum = state.nd_num;
    params.srcNdStride = state.src_nd_stride;
    params.dstNdStride = state.dst_nd_stride;
    emulator::FixpipeCall call =
        emulator_fixpipe_call(params, p.nz2ndEn ? CO2Layout::ROW_MAJOR : CO2Layout::NZ, site);
    if (state.has_quant_vector) call.quant_vector = &state.quant_vector;
    call.bare = true;
    return call;
}
template <typename T, typename U>
inline void DataCopy(const GlobalTensor<T>& dst, const LocalTensor<U>& src,
                     const DataCopyCO12DstParams& params, Site site = Site::here()) {
    emulator::fixpipe(dst.operand(), src.operand(), emulator_copy_out_call(params, site), site);
}
template <typename T, typename U>
inline void DataCopy(const LocalTensor<T>& dst, const LocalTensor<U>& src,
                     const DataCopyCO12DstParams& params, Site site = Site::here()) {
    emulator::fixpipe(dst.operand(), src.operand(), emulator_copy_out_call(params, site), site);
}

}  // namespace AscendC
