// LoadData 3D with its fields packed into two words, and the registers that it takes.
#pragma once

#include "ascendc/cube.h"

namespace AscendC {

// From the lowest bits: extConfig is kExtension, mExtension, kStartPt, mStartPt (16 bits each),
// filterConfig strideW, strideH, filterW, filterH, dilationFilterW, dilationFilterH (8 bits each).
struct LoadData3DParamsV2Pro {
    LoadData3DParamsV2Pro() = default;
    LoadData3DParamsV2Pro(Field16 channels, bool transpose, bool small_k, bool wide_w, bool wide_h,
                          bool f_matrix, uint64_t extension, uint64_t filter)
        : channelSize(channels),
          enTranspose(transpose),
          enSmallK(small_k),
          filterSizeW(wide_w),
          filterSizeH(wide_h),
          fMatrixCtrl(f_matrix),
          extConfig(extension),
          filterConfig(filter) {}
    Field16 channelSize = 0;
    bool enTranspose = false;
    bool enSmallK = false;
    bool filterSizeW = false;
    bool filterSizeH = false;
    bool fMatrixCtrl = false;
    uint64_t extConfig = 0;
    uint64_t filterConfig = 0x10101010101;
};

// Sets the registers of the left matrix, under the name that tile libraries use.
inline void Load3DSetFMatrixCal(uint16_t l1H, uint16_t l1W, const uint8_t padList[4],
                                Site site = Site::here()) {
    emulator::set_fmatrix(l1H, l1W, padList, /*right*/ false, site);
}

template <typename T>
inline void LoadData(const LocalTensor<T>& dst, const LocalTensor<T>& src,
                     const LoadData3DParamsV2Pro& params, Site site = Site::here()) {
    static constexpr IsResetLoad3dConfig from_registers = {false, false};
    const auto extension = [&](int at) { return params.extConfig >> at & 0xFFFF; };
    const auto filter = [&](int at) { return params.filterConfig >> at & 0xFF; };
    LoadData3DParamsV2<T> fields;
    fields.channelSize = params.channelSize;
    fields.kExtension = extension(0);
    fields.mExtension = extension(16);
    fields.kStartPt = extension(32);
    fields.mStartPt = extension(48);
    fields.strideW = filter(0);
    fields.strideH = filter(8);
    fields.filterW = filter(16);
    fields.filterH = filter(24);
    fields.dilationFilterW = filter(32);
    fields.dilationFilterH = filter(40);
    fields.enTranspose = params.enTranspose;
    fields.enSmallK = params.enSmallK;
    fields.filterSizeW = params.filterSizeW;
    fields.filterSizeH = params.filterSizeH;
    fields.fMatrixCtrl = params.fMatrixCtrl;
    emulator::load_3d(dst.operand(), src.operand(), emulator_load_3d<from_registers>(fields, site),
                      site);
}

#if __NPU_ARCH__ == 2201
// Declared for sources that name it: the matrix unit of the emulator knows no sparse operand.
template <typename T, typename U>
inline void LoadDataWithSparse(const LocalTensor<T>&, const LocalTensor<T>&, const LocalTensor<U>&,
                               const LoadData2dParams&, Site site = Site::here()) {
    emulator::fail(site,
                   "LoadDataWithSparse is not modelled: nothing here multiplies what it loads");
}
#endif

}  // namespace AscendC
