// Instructions of a cube core: the library's words taken apart and given to the emulator's API.
#include "words.h"

namespace {

using namespace AscendC;
using emulator::Site;
using vendor::field;
using vendor::global;
using vendor::local;

// --- between global memory and L1
template <typename T>
void nd_to_nz(uint64_t dst, uint64_t src, uint64_t shape, uint64_t strides, Site site) {
    const Nd2NzParams params(field(shape, 4, 12), field(shape, 16, 16), field(shape, 32, 16),
                             field(shape, 48, 16), field(strides, 0, 16), field(strides, 16, 16),
                             field(strides, 32, 16), field(strides, 48, 16));
    DataCopy(local<T>(TPosition::A1, dst, site), global<T>(src), params, site);
}

DataCopyParams runs(uint64_t word) {
    return {field(word, 4, 12), field(word, 16, 16), field(word, 32, 16), field(word, 48, 16)};
}

template <typename T>
void fill(uint64_t dst, uint64_t word, T value, Site site) {
    const InitConstValueParams<T> params(field(word, 0, 15), field(word, 16, 15),
                                         field(word, 32, 15), value);
    Fill(local<T>(TPosition::A1, dst, site), params, site);
}

// --- from L1 to L0A and L0B
template <typename T>
void load_2d(TPosition to, uint64_t dst, uint64_t src, uint64_t word, uint64_t transpose,
             uint64_t address_mode, Site site) {
    const LoadData2DParams params(field(word, 0, 16), field(word, 16, 8), field(word, 24, 16),
                                  field(word, 40, 4), field(word, 44, 16), transpose != 0,
                                  address_mode);
    LoadData(local<T>(to, dst, site), local<T>(TPosition::A1, src, site), params, site);
}

void load_transposed(TPosition to, uint64_t dst, uint64_t src, uint64_t word, uint64_t gaps,
                     Site site) {
    const LoadData2dTransposeParams params(field(word, 0, 16), field(word, 16, 8),
                                           field(word, 24, 16), field(word, 44, 16),
                                           field(gaps, 0, 16), field(word, 63, 1));
    LoadDataWithTranspose(local<int8_t>(to, dst, site), local<int8_t>(TPosition::A1, src, site),
                          params, site);
}

constexpr IsResetLoad3dConfig kFromRegisters = {false, false};

template <typename T>
void load_3d(TPosition to, uint64_t dst, uint64_t src, uint64_t extent, uint64_t window,
             Site site) {
    LoadData3DParamsV2<T> params;
    params.kExtension = field(extent, 0, 16);
    params.mExtension = field(extent, 16, 16);
    params.kStartPt = field(extent, 32, 16);
    params.mStartPt = field(extent, 48, 16);
    params.strideW = field(window, 0, 6);
    params.strideH = field(window, 6, 6);
    params.filterW = field(window, 12, 8);
    params.filterH = field(window, 20, 8);
    params.dilationFilterW = field(window, 28, 8);
    params.dilationFilterH = field(window, 36, 8);
    params.filterSizeW = field(window, 44, 1) != 0;
    params.filterSizeH = field(window, 45, 1) != 0;
    params.enTranspose = field(window, 46, 1) != 0;
    params.fMatrixCtrl = field(window, 47, 1) != 0;
    params.channelSize = field(window, 48, 16);
    LoadData<T, kFromRegisters>(local<T>(to, dst, site), local<T>(TPosition::A1, src, site), params,
                                site);
}

void set_image(uint64_t word, FmatrixMode mode, Site site) {
    const uint8_t pads[4] = {
        static_cast<uint8_t>(field(word, 32, 8)), static_cast<uint8_t>(field(word, 40, 8)),
        static_cast<uint8_t>(field(word, 48, 8)), static_cast<uint8_t>(field(word, 56, 8))};
    SetFmatrix(static_cast<uint16_t>(field(word, 16, 16)),
               static_cast<uint16_t>(field(word, 0, 16)), pads, mode, site);
}

// --- product. The upper half of the destination's address is that of the bias.
template <typename C, typename T>
void multiply(uint64_t c, uint64_t a, uint64_t b, uint64_t word, Site site) {
    MmadParams params(field(word, 0, 12), field(word, 24, 12), field(word, 12, 12),
                      field(word, 55, 2), field(word, 62, 1) != 0, field(word, 63, 1) != 0);
    params.kDirectionAlign = field(word, 58, 1) != 0;
    const auto product = local<C>(TPosition::CO1, field(c, 0, 32), site);
    const auto left = local<T>(TPosition::A2, a, site), right = local<T>(TPosition::B2, b, site);
    if (!params.cmatrixInitVal && params.cmatrixSource) {
        Mmad(product, left, right, local<C>(TPosition::C2, field(c, 32, 32), site), params, site);
    } else {
        Mmad(product, left, right, params, site);
    }
}

// --- out of L0C. The register says where the scales of the columns lie in the Fixpipe buffer: bits
// 15:8, in 128 bytes. Kernels of the library leave it at 0.
struct ScaleRegister {
    uint64_t word = 0;
};

template <typename T, typename C>
void fixpipe(uint64_t dst, uint64_t src, uint64_t shape, uint64_t word, Site site) {
    DataCopyCO12DstParams params(field(shape, 4, 12), field(shape, 16, 16), field(shape, 32, 32),
                                 field(word, 0, 16), static_cast<QuantMode_t>(field(word, 34, 5)),
                                 field(word, 39, 3), field(word, 42, 1) != 0,
                                 field(word, 43, 1) != 0);
    params.unitFlag = field(word, 32, 2);
    if (params.quantPre == VDEQF16 || params.quantPre == VREQ8 || params.quantPre == VQF322B8_PRE) {
        const uint64_t setting = emulator::current_core().state<ScaleRegister>().word;
        SetFixPipeConfig(local<uint64_t>(TPosition::C2PIPE2GM, field(setting, 8, 8) * 128, site));
    }
    DataCopy(global<T>(dst), local<C>(TPosition::CO1, src, site), params, site);
}

}  // namespace

extern "C" {

#define VENDOR_ND_TO_NZ(NAME, TYPE)                                                        \
    void hivm_MOV_OUT_TO_L1_MULTI_ND2NZ_##NAME(uint64_t dst, uint64_t src, uint64_t shape, \
                                               uint64_t strides) {                         \
        nd_to_nz<TYPE>(dst, src, shape, strides, Site::here());                            \
    }
VENDOR_ND_TO_NZ(f16, half)
VENDOR_ND_TO_NZ(bf16, bfloat16_t)
VENDOR_ND_TO_NZ(f32s, float)
VENDOR_ND_TO_NZ(s8, int8_t)
VENDOR_ND_TO_NZ(u8, uint8_t)
VENDOR_ND_TO_NZ(s16, int16_t)
VENDOR_ND_TO_NZ(u16, uint16_t)
VENDOR_ND_TO_NZ(s32s, int32_t)
VENDOR_ND_TO_NZ(u32s, uint32_t)
#undef VENDOR_ND_TO_NZ

void hivm_MOV_OUT_TO_L1_v220(uint64_t dst, uint64_t src, uint64_t word, uint64_t padding) {
    const Site site = Site::here();
    if (padding != 0) emulator::fail(site, "copies to L1 with padding are not modelled");
    DataCopy(local<uint8_t>(TPosition::A1, dst, site), global<uint8_t>(src), runs(word), site);
}
void hivm_MOV_L1_TO_OUT_V220_CUBE(uint64_t dst, uint64_t src, uint64_t word) {
    const Site site = Site::here();
    DataCopy(global<uint8_t>(dst), local<uint8_t>(TPosition::A1, src, site), runs(word), site);
}
// Bit 3 of the word: half to float on the way.
void hivm_MOV_L1_TO_BT(uint64_t dst, uint64_t src, uint64_t word) {
    const Site site = Site::here();
    const auto to = local<float>(TPosition::C2, dst, site);
    if (field(word, 3, 1) != 0) {
        DataCopy(to, local<half>(TPosition::C1, src, site), runs(word), site);
    } else {
        DataCopy(to, local<float>(TPosition::C1, src, site), runs(word), site);
    }
}
void hivm_MOV_L1_TO_FB_v220(uint64_t dst, uint64_t src, uint64_t word) {
    const Site site = Site::here();
    DataCopy(local<uint64_t>(TPosition::C2PIPE2GM, dst, site),
             local<uint64_t>(TPosition::A1, src, site), runs(word), site);
}

void hivm_CREATE_CBUF_MATRIX_f16_h(uint64_t dst, uint64_t word, uint16_t bits) {
    fill(dst, word, half::from_bits(bits), Site::here());
}
// The value of a float matrix is given in half.
void hivm_CREATE_CBUF_MATRIX_f32_h(uint64_t dst, uint64_t word, uint16_t bits) {
    fill(dst, word, static_cast<float>(half::from_bits(bits)), Site::here());
}
void hivm_CREATE_CBUF_MATRIX_bf16_ori(uint64_t dst, uint64_t word, uint16_t bits) {
    fill(dst, word, bfloat16_t::from_bits(bits), Site::here());
}
void hivm_CREATE_CBUF_MATRIX_v2_u16(uint64_t dst, uint64_t word, uint64_t value) {
    fill(dst, word, static_cast<uint16_t>(value), Site::here());
}

#define VENDOR_LOAD_2D(BUFFER, POSITION, NAME, TYPE)                                               \
    void hivm_LOAD_L1_TO_##BUFFER##_2D_V220_##NAME##_addr(                                         \
        uint64_t dst, uint64_t src, uint64_t word, uint64_t transpose, uint64_t address_mode) {    \
        load_2d<TYPE>(TPosition::POSITION, dst, src, word, transpose, address_mode, Site::here()); \
    }
VENDOR_LOAD_2D(L0A, A2, f16, half)
VENDOR_LOAD_2D(L0A, A2, s8, int8_t)
VENDOR_LOAD_2D(L0B, B2, f16, half)
VENDOR_LOAD_2D(L0B, B2, bf16, bfloat16_t)
VENDOR_LOAD_2D(L0B, B2, f32, float)
VENDOR_LOAD_2D(L0B, B2, s8, int8_t)
#undef VENDOR_LOAD_2D
void hivm_LOAD_L1_TO_L0A_2D_TRANSPOSE_s8(uint64_t dst, uint64_t src, uint64_t word, uint64_t gaps) {
    load_transposed(TPosition::A2, dst, src, word, gaps, Site::here());
}
void hivm_LOAD_L1_TO_L0B_2D_TRANSPOSE_s8(uint64_t dst, uint64_t src, uint64_t word, uint64_t gaps) {
    load_transposed(TPosition::B2, dst, src, word, gaps, Site::here());
}

#define VENDOR_LOAD_3D(BUFFER, POSITION, NAME, TYPE)                                         \
    void hivm_LOAD_L1_TO_##BUFFER##_3DV2_##NAME(uint64_t dst, uint64_t src, uint64_t extent, \
                                                uint64_t window) {                           \
        load_3d<TYPE>(TPosition::POSITION, dst, src, extent, window, Site::here());          \
    }
VENDOR_LOAD_3D(L0A, A2, f16, half)
VENDOR_LOAD_3D(L0A, A2, f32, float)
VENDOR_LOAD_3D(L0B, B2, f16, half)
VENDOR_LOAD_3D(L0B, B2, f32, float)
#undef VENDOR_LOAD_3D
void hivm_SET_FMATRIX(uint64_t word) { set_image(word, FmatrixMode::FMATRIX_LEFT, Site::here()); }
void hivm_SET_FMATRIX_B(uint64_t word) {
    set_image(word, FmatrixMode::FMATRIX_RIGHT, Site::here());
}
void hivm_SET_PADDING(uint64_t value) { SetLoadDataPaddingValue(static_cast<uint16_t>(value)); }

#define VENDOR_MULTIPLY(NAME, C, TYPE)                                        \
    void hivm_MAD_##NAME(uint64_t c, uint64_t a, uint64_t b, uint64_t word) { \
        multiply<C, TYPE>(c, a, b, word, Site::here());                       \
    }
VENDOR_MULTIPLY(f162f32, float, half)
VENDOR_MULTIPLY(bf162f32, float, bfloat16_t)
VENDOR_MULTIPLY(f322f32, float, float)
VENDOR_MULTIPLY(s8, int32_t, int8_t)
#undef VENDOR_MULTIPLY

#define VENDOR_FIXPIPE(NAME, TYPE, C)                                                            \
    void hivm_FIX_L0C_TO_OUT_##NAME(uint64_t dst, uint64_t src, uint64_t shape, uint64_t word) { \
        fixpipe<TYPE, C>(dst, src, shape, word, Site::here());                                   \
    }
VENDOR_FIXPIPE(f2h, half, float)
VENDOR_FIXPIPE(f322bf16, bfloat16_t, float)
VENDOR_FIXPIPE(f32, float, float)
VENDOR_FIXPIPE(s32, int32_t, int32_t)
VENDOR_FIXPIPE(s322s8, int8_t, int32_t)
VENDOR_FIXPIPE(s322f16, half, int32_t)
VENDOR_FIXPIPE(s322s16, int16_t, int32_t)
#undef VENDOR_FIXPIPE
void hivm_SET_ND_PARA(uint64_t word) {
    SetFixpipeNz2ndFlag(static_cast<uint16_t>(field(word, 0, 16)),
                        static_cast<uint16_t>(field(word, 16, 16)),
                        static_cast<uint32_t>(field(word, 32, 16)));
}
void hivm_SET_QUANT_PRE(uint64_t scale) { SetFixpipePreQuantFlag(scale); }
void hivm_SET_FPC(uint64_t word) { emulator::current_core().state<ScaleRegister>().word = word; }

}  // extern "C"
