// Copies, reductions and rearrangements of a vector core; see vector.cpp.
#include "vector.h"

namespace {

using namespace AscendC;
using emulator::Site;
using vendor::dst_repeat;
using vendor::field;
using vendor::global;
using vendor::repeats;
using vendor::src_repeat;
using vendor::ub;
using vendor::value_of;

// The registers with the addresses of 8 DataBlocks each, for transposes.
struct AddressRegisters {
    uint64_t blocks[8][8] = {};
};

AddressRegisters& address_registers() { return emulator::current_core().state<AddressRegisters>(); }

template <typename T>
void transpose_blocks(uint64_t dst, uint64_t src, uint64_t word, bool dst_high, bool src_high,
                      Site site) {
    uint64_t targets[NCHW_CONV_ADDR_LIST_SIZE], sources[NCHW_CONV_ADDR_LIST_SIZE];
    for (int i = 0; i < NCHW_CONV_ADDR_LIST_SIZE; ++i) {
        targets[i] = address_registers().blocks[dst + i / 8][i % 8];
        sources[i] = address_registers().blocks[src + i / 8][i % 8];
    }
    TransDataTo5HD<T>(targets, sources,
                      TransDataTo5HDParams(dst_high, src_high, repeats(word), field(word, 0, 16),
                                           field(word, 16, 16)),
                      site);
}

// The mask counts the elements of each iteration where elements are counted.
template <typename T>
void gather_mask(uint64_t dst, uint64_t src0, uint64_t src1, uint64_t word, Site site) {
    emulator::VectorState& state = emulator::vector_state();
    const bool counter = state.counter_mode;
    const GatherMaskParams params(field(word, 8, 8), field(word, 0, 8) | field(word, 56, 8) << 8,
                                  field(word, 24, 16), field(word, 40, 8));
    const auto pattern = static_cast<uint8_t>(field(word, 16, 8));
    const auto count = static_cast<uint32_t>(state.mask[0]);
    uint64_t kept = 0;
    if (pattern != 0) {
        GatherMask(ub<T>(dst, site), ub<T>(src0, site), pattern, counter, count, params, kept,
                   site);
    } else {
        GatherMask(ub<T>(dst, site), ub<T>(src0, site), ub<T>(src1, site), counter, count, params,
                   kept, site);
    }
    state.counter_mode =
        counter;  // the API's function ends in normal mode, the instruction does not
}

// The size of the element that the last maximum or minimum was taken of.
struct LastExtremum {
    uint32_t size = 0;
};

// What is stored to global memory has the type that atomic addition has been set to.
template <typename T>
void copy_out(uint64_t dst, uint64_t src, uint64_t shape, uint64_t gaps, Site site) {
    const auto& atomic = emulator::current_core().state<emulator::AtomicState>();
    emulator::LocalOperand from = ub<T>(src, site).operand();
    emulator::GlobalOperand to = global<T>(dst).operand();
    if (atomic.operation != emulator::Atomic::kNone) from.type = to.type = atomic.type;
    emulator::copy_pad_out(
        to, from,
        {static_cast<uint32_t>(field(shape, 4, 12)), static_cast<uint32_t>(field(shape, 16, 21)),
         static_cast<int64_t>(field(gaps, 0, 32)), static_cast<int64_t>(field(gaps, 32, 32))},
        site);
}

template <typename T>
void copy_in(uint64_t dst, uint64_t src, uint64_t shape, uint64_t gaps, Site site) {
    const DataCopyExtParams params(field(shape, 4, 12), field(shape, 16, 21), field(gaps, 0, 32),
                                   field(gaps, 32, 32), 0);
    const DataCopyPadExtParams<T> pad(false, field(shape, 48, 6), field(shape, 54, 6), T{});
    DataCopyPad(ub<T>(dst, site), global<T>(src), params, pad, site);
}

}  // namespace

extern "C" {

// --- between global memory and UB
#define VENDOR_COPY(SUFFIX, TYPE)                                                             \
    void hivm_MOV_OUT_TO_UB_ALIGN_##SUFFIX##_V220(uint64_t dst, uint64_t src, uint64_t shape, \
                                                  uint64_t gaps) {                            \
        copy_in<TYPE>(dst, src, shape, gaps, Site::here());                                   \
    }                                                                                         \
    void hivm_MOV_UB_TO_OUT_ALIGN_##SUFFIX##_V220(uint64_t dst, uint64_t src, uint64_t shape, \
                                                  uint64_t gaps) {                            \
        copy_out<TYPE>(dst, src, shape, gaps, Site::here());                                  \
    }
VENDOR_COPY(b8, uint8_t)
VENDOR_COPY(b16, uint16_t)
VENDOR_COPY(b32, uint32_t)
#undef VENDOR_COPY
void hivm_SET_MOV_PAD_VAL(uint64_t value) { SetPadValue(value); }

// --- within UB
void hivm_MOV_UB_TO_UB_v220(uint64_t dst, uint64_t src, uint64_t word) {
    const Site site = Site::here();
    const DataCopyParams params(field(word, 4, 12), field(word, 16, 16), field(word, 32, 16),
                                field(word, 48, 16));
    DataCopy(ub<uint8_t>(dst, site), ub<uint8_t>(src, site), params, site);
}
#define VENDOR_WORDS(SUFFIX, BITS, TYPE)                                                          \
    void hivm_VCOPY_##SUFFIX(uint64_t dst, uint64_t src, uint64_t word) {                         \
        const Site site = Site::here();                                                           \
        const CopyRepeatParams params(field(word, 0, 16), field(word, 16, 16), dst_repeat(word),  \
                                      src_repeat(word));                                          \
        Copy<TYPE, false>(ub<TYPE>(dst, site), ub<TYPE>(src, site), MASK_PLACEHOLDER,             \
                          repeats(word), params, site);                                           \
    }                                                                                             \
    void hivm_VBRCB_##BITS(uint64_t dst, uint64_t src, uint64_t word) {                           \
        const Site site = Site::here();                                                           \
        Brcb(ub<TYPE>(dst, site), ub<TYPE>(src, site), repeats(word),                             \
             BrcbRepeatParams(field(word, 0, 16), dst_repeat(word)), site);                       \
    }                                                                                             \
    void hivm_VREDUCEv2_##BITS(uint64_t dst, uint64_t src0, uint64_t src1, uint64_t word) {       \
        gather_mask<TYPE>(dst, src0, src1, word, Site::here());                                   \
    }                                                                                             \
    void hivm_VGATHER_##BITS(uint64_t dst, uint64_t offsets, uint64_t word) {                     \
        const Site site = Site::here();                                                           \
        emulator::run_gather(ub<TYPE>(dst, site), ub<TYPE>(0, site), ub<uint32_t>(offsets, site), \
                             static_cast<uint32_t>(field(word, 0, 32)),                           \
                             emulator::Form::masked(false, MASK_PLACEHOLDER, repeats(word)),      \
                             static_cast<uint32_t>(field(word, 32, 16)), site);                   \
    }
VENDOR_WORDS(u16, b16, uint16_t)
VENDOR_WORDS(u32, b32, uint32_t)
#undef VENDOR_WORDS
#define VENDOR_FILL(SUFFIX, TYPE, ARGUMENT)                                                  \
    void hivm_MOVEV_##SUFFIX(uint64_t dst, ARGUMENT value, uint64_t word) {                  \
        const Site site = Site::here();                                                      \
        Duplicate<TYPE, false>(ub<TYPE>(dst, site), value_of<TYPE>(value), MASK_PLACEHOLDER, \
                               repeats(word), field(word, 0, 16), dst_repeat(word), site);   \
    }
VENDOR_FILL(f16, half, uint16_t)
VENDOR_FILL(bf16, bfloat16_t, uint16_t)
VENDOR_FILL(f32, float, float)
VENDOR_FILL(s16, int16_t, uint64_t)
VENDOR_FILL(u16, uint16_t, uint64_t)
VENDOR_FILL(s32, int32_t, uint64_t)
VENDOR_FILL(u32, uint32_t, uint64_t)
#undef VENDOR_FILL

// --- transposes of 16 DataBlocks
void hivm_MOVEVA(uint64_t number, uint64_t first, uint64_t block0, uint64_t block1) {
    address_registers().blocks[number][first] = block0;
    address_registers().blocks[number][first + 1] = block1;
}
void hivm_S_VNCHWCONV_b8(uint64_t dst, uint64_t src, uint64_t word, uint64_t dst_high,
                         uint64_t src_high) {
    transpose_blocks<uint8_t>(dst, src, word, dst_high != 0, src_high != 0, Site::here());
}
void hivm_S_VNCHWCONV_b16(uint64_t dst, uint64_t src, uint64_t word) {
    transpose_blocks<uint16_t>(dst, src, word, false, false, Site::here());
}
void hivm_S_VNCHWCONV_b32(uint64_t dst, uint64_t src, uint64_t word) {
    transpose_blocks<uint32_t>(dst, src, word, false, false, Site::here());
}

// --- reductions. Strides of 16 bits: destination, blocks and iterations of the source.
#define VENDOR_REDUCE(SUFFIX, TYPE)                                                             \
    void hivm_VCADD_##SUFFIX##_order(uint64_t dst, uint64_t src, uint64_t word, uint64_t) {     \
        const Site site = Site::here();                                                         \
        WholeReduceSum<TYPE, false>(ub<TYPE>(dst, site), ub<TYPE>(src, site), MASK_PLACEHOLDER, \
                                    static_cast<int32_t>(repeats(word)),                        \
                                    static_cast<int32_t>(field(word, 0, 16)),                   \
                                    static_cast<int32_t>(field(word, 16, 16)),                  \
                                    static_cast<int32_t>(field(word, 32, 16)), site);           \
    }
#define VENDOR_EXTREMUM(NAME, FUNCTION, SUFFIX, TYPE)                                             \
    void hivm_##NAME##_##SUFFIX##_order_v220(uint64_t dst, uint64_t src, uint64_t word,           \
                                             uint64_t order) {                                    \
        const Site site = Site::here();                                                           \
        FUNCTION<TYPE, false>(                                                                    \
            ub<TYPE>(dst, site), ub<TYPE>(src, site), MASK_PLACEHOLDER,                           \
            static_cast<int32_t>(repeats(word)), static_cast<int32_t>(field(word, 0, 16)),        \
            static_cast<int32_t>(field(word, 16, 16)), static_cast<int32_t>(field(word, 32, 16)), \
            static_cast<ReduceOrder>(order), site);                                               \
        emulator::current_core().state<LastExtremum>().size = sizeof(TYPE);                       \
    }
#define VENDOR_GROUPS(NAME, FUNCTION, SUFFIX, TYPE)                                  \
    void hivm_##NAME##_##SUFFIX(uint64_t dst, uint64_t src, uint64_t word) {         \
        const Site site = Site::here();                                              \
        FUNCTION<TYPE, false>(ub<TYPE>(dst, site), ub<TYPE>(src, site),              \
                              static_cast<int32_t>(repeats(word)), MASK_PLACEHOLDER, \
                              static_cast<int32_t>(field(word, 0, 16)),              \
                              static_cast<int32_t>(field(word, 16, 16)),             \
                              static_cast<int32_t>(field(word, 32, 16)), site);      \
    }
#define VENDOR_REDUCTIONS(SUFFIX, TYPE)                  \
    VENDOR_REDUCE(SUFFIX, TYPE)                          \
    VENDOR_EXTREMUM(VCMAX, WholeReduceMax, SUFFIX, TYPE) \
    VENDOR_EXTREMUM(VCMIN, WholeReduceMin, SUFFIX, TYPE) \
    VENDOR_GROUPS(VCGADD, BlockReduceSum, SUFFIX, TYPE)  \
    VENDOR_GROUPS(VCPADD, PairReduceSum, SUFFIX, TYPE)
VENDOR_REDUCTIONS(f16, half)
VENDOR_REDUCTIONS(f32, float)
#undef VENDOR_REDUCTIONS
#undef VENDOR_GROUPS
#undef VENDOR_EXTREMUM
#undef VENDOR_REDUCE

// The last maximum or minimum: its bits below, its index above.
uint64_t hivm_GET_MAX_MIN_CNT() {
    const emulator::VectorState& state = emulator::vector_state();
    const bool is_half = emulator::current_core().state<LastExtremum>().size == sizeof(half);
    const uint64_t bits = is_half ? uint64_t{emulator::half_bits(state.reduced_value)}
                                  : uint64_t{emulator::bit_cast<uint32_t>(state.reduced_value)};
    return uint64_t{state.reduced_index} << 32 | bits;
}

}  // extern "C"
