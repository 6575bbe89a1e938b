// Scalar unit, control register and synchronisation, for both types of core; and the way in.
#include <array>
#include <cstring>

#include "words.h"

namespace {

using vendor::Site;

pipe_t pipe_of(uint64_t number, Site site) {
    switch (number) {
        case 0:
            return PIPE_S;
        case 1:
            return PIPE_V;
        case 2:
            return PIPE_M;
        case 3:
            return PIPE_MTE1;
        case 4:
            return PIPE_MTE2;
        case 5:
            return PIPE_MTE3;
        case 6:
            return PIPE_ALL;
        case 10:
            return PIPE_FIX;
        default:
            emulator::fail(site, "pipe %llu is unknown", static_cast<unsigned long long>(number));
    }
}

struct Control {
    uint64_t word = 0;
};

constexpr unsigned kAtomicType = 6, kAtomicKind = 9, kHf32 = 46, kCounter = 56, kCut = 59;

// The control register, as far as the library sets it: CTRL[56] counts elements instead of masking
// them, CTRL[59] cuts integers that overflow in a conversion, CTRL[46] rounds float operands of
// products to HF32, CTRL[8:6] makes stores add.
void set_control(uint64_t word, Site site) {
    emulator::Core& core = emulator::current_core();
    core.state<Control>().word = word;
    core.state<emulator::MmadState>().hf32 = vendor::field(word, kHf32, 1) != 0;
    if (core.is_cube) return;
    emulator::vector_state().counter_mode = vendor::field(word, kCounter, 1) != 0;
    emulator::vector_state().cut_integers = vendor::field(word, kCut, 1) != 0;
    emulator::disable_dma_atomic();
    using emulator::DType;
    constexpr DType types[] = {DType::F32, DType::F32, DType::F16, DType::I16,
                               DType::I32, DType::I8,  DType::BF16};
    const uint64_t type = vendor::field(word, kAtomicType, 3);
    if (type == 0) return;
    if (type > 6 || vendor::field(word, kAtomicKind, 2) != 0) {
        emulator::fail(site, "CTRL[10:6] asks for another atomic operation than an addition");
    }
    emulator::set_atomic(emulator::Atomic::kAdd, types[type], "CTRL[8:6]", site);
}

template <typename T>
T scalar_load(uint32_t space, uint64_t address, Site site) {
    if (space == 1) return vendor::global<T>(address).GetValue(0, site);
    return vendor::local<T>(vendor::position_of(space, site), address, site).GetValue(0, site);
}

template <typename T>
void scalar_store(uint32_t space, uint64_t address, T value, Site site) {
    if (space == 1) return vendor::global<T>(address).SetValue(0, value, site);
    vendor::local<T>(vendor::position_of(space, site), address, site).SetValue(0, value, site);
}

}  // namespace

// The functions that rewritten bitcode calls.
extern "C" {

#define VENDOR_SCALAR(NAME, TYPE)                                            \
    TYPE scalar_load_##NAME(uint32_t space, uint64_t address) {              \
        return scalar_load<TYPE>(space, address, Site::here());              \
    }                                                                        \
    void scalar_store_##NAME(uint32_t space, uint64_t address, TYPE value) { \
        scalar_store<TYPE>(space, address, value, Site::here());             \
    }
VENDOR_SCALAR(i1, bool)
VENDOR_SCALAR(i8, uint8_t)
VENDOR_SCALAR(i16, uint16_t)
VENDOR_SCALAR(i32, uint32_t)
VENDOR_SCALAR(i64, uint64_t)
VENDOR_SCALAR(float, float)
#undef VENDOR_SCALAR

uint16_t scalar_to_bfloat(float value) { return emulator::bfloat16_bits(value); }

// The library's own check of its arguments.
void _Z16npuir_cce_assertIcEvbPKT_l(bool holds, const char* text, int64_t) {
    if (!holds) emulator::fail(Site::here(), "assertion of the library: %s", text);
}

// Called in place of a template that the library names and does not instantiate.
void vendor_no_body() { emulator::fail(Site::here(), "the library lacks a function it calls"); }

uint64_t hivm_GET_CTRL() { return emulator::current_core().state<Control>().word; }
void hivm_SET_CTRL(uint64_t word) { set_control(word, Site::here()); }
uint64_t hivm_SBITSET0(uint64_t word, uint64_t bit) { return word & ~(uint64_t{1} << bit); }
uint64_t hivm_SBITSET1(uint64_t word, uint64_t bit) { return word | uint64_t{1} << bit; }
uint64_t hivm_GET_BLOCK_IDX() { return static_cast<uint64_t>(AscendC::GetBlockIdx()); }
uint64_t hivm_GET_BLOCK_NUM() { return static_cast<uint64_t>(AscendC::GetBlockNum()); }

void hivm_BARRIER(uint64_t pipe) {
    emulator::current_core().barrier(pipe_of(pipe, Site::here()), Site::here());
}
void hivm_SET_FLAG_REG(uint64_t from, uint64_t to, uint64_t id) {
    const Site site = Site::here();
    emulator::current_core().set_flag(pipe_of(from, site), pipe_of(to, site), static_cast<int>(id),
                                      site);
}
void hivm_WAIT_FLAG_REG(uint64_t from, uint64_t to, uint64_t id) {
    const Site site = Site::here();
    emulator::current_core().wait_flag(pipe_of(from, site), pipe_of(to, site), static_cast<int>(id),
                                       site);
}
void hivm_SET_FLAG_IMM(uint64_t from, uint64_t to, uint64_t id) { hivm_SET_FLAG_REG(from, to, id); }
void hivm_WAIT_FLAG_IMM(uint64_t from, uint64_t to, uint64_t id) {
    hivm_WAIT_FLAG_REG(from, to, id);
}

// Steps of our own between functions of the library, with its arguments in an array as in theirs.
void run_barrier(const uint64_t* words) { hivm_BARRIER(words[0]); }
void run_set_flag(const uint64_t* words) { hivm_SET_FLAG_REG(words[0], words[1], words[2]); }
void run_wait_flag(const uint64_t* words) { hivm_WAIT_FLAG_REG(words[0], words[1], words[2]); }

// One function of the library, or of those above, with its arguments.
struct Step {
    void (*function)(const uint64_t* words);
    const uint64_t* words;
};

// Runs the steps on one core. Global memory is what the caller has registered. Returns the
// violation, or an empty text.
const char* vendor_run(bool cube, bool checks, bool strict, const Step* steps, int count) {
    static std::string error;
    emulator::Options options;
    options.checks = checks;
    options.strict = strict;
    emulator::set_options(options);
    const emulator::Mix mix = cube ? emulator::Mix{1, 0} : emulator::Mix{0, 1};
    error = emulator::launch_body("vendor", __NPU_ARCH__, 1, mix, [=] {
                AscendC::InitSocState();
                for (int i = 0; i < count; ++i) steps[i].function(steps[i].words);
                AscendC::PipeBarrier<PIPE_ALL>();
            }).error;
    return error.c_str();
}

}  // extern "C"
