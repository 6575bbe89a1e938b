// Enumerations of the Ascend C API.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "ascendc/qualifiers.h"
#include "scalar_types.h"

using float32_t = float;

namespace AscendC {

enum class TPosition : uint8_t {
    GM,
    A1,
    A2,
    B1,
    B2,
    C1,
    C2,
    CO1,
    CO2,
    VECIN,
    VECOUT,
    VECCALC,
    LCM = VECCALC,
    SPM,
    SHM = SPM,
    TSCM,
    C2PIPE2GM,
    C2PIPE2LOCAL,
    MAX,
};
using QuePosition = TPosition;

enum class Hardware : uint8_t { GM, UB, L1, L0A, L0B, L0C, BIAS, FIXBUF, MAX };

enum class HardEvent : uint8_t {
    MTE2_MTE1,
    MTE1_MTE2,
    MTE1_M,
    M_MTE1,
    MTE2_V,
    V_MTE2,
    MTE3_V,
    V_MTE3,
    M_V,
    V_M,
    V_V,
    MTE3_MTE1,
    MTE1_MTE3,
    MTE1_V,
    MTE2_M,
    M_MTE2,
    V_MTE1,
    M_FIX,
    FIX_M,
    MTE3_MTE2,
    MTE2_MTE3,
    S_V,
    V_S,
    S_MTE2,
    MTE2_S,
    S_MTE3,
    MTE3_S,
    MTE2_FIX,
    FIX_MTE2,
    FIX_S,
    M_S,
    FIX_MTE3,
    MTE1_FIX,
    FIX_MTE1,
    FIX_FIX,
    MAX,
};

struct EventPipes {
    pipe_t from, to;
};

constexpr EventPipes event_pipes(HardEvent event) {
    constexpr EventPipes table[] = {
        {PIPE_MTE2, PIPE_MTE1}, {PIPE_MTE1, PIPE_MTE2}, {PIPE_MTE1, PIPE_M},
        {PIPE_M, PIPE_MTE1},    {PIPE_MTE2, PIPE_V},    {PIPE_V, PIPE_MTE2},
        {PIPE_MTE3, PIPE_V},    {PIPE_V, PIPE_MTE3},    {PIPE_M, PIPE_V},
        {PIPE_V, PIPE_M},       {PIPE_V, PIPE_V},       {PIPE_MTE3, PIPE_MTE1},
        {PIPE_MTE1, PIPE_MTE3}, {PIPE_MTE1, PIPE_V},    {PIPE_MTE2, PIPE_M},
        {PIPE_M, PIPE_MTE2},    {PIPE_V, PIPE_MTE1},    {PIPE_M, PIPE_FIX},
        {PIPE_FIX, PIPE_M},     {PIPE_MTE3, PIPE_MTE2}, {PIPE_MTE2, PIPE_MTE3},
        {PIPE_S, PIPE_V},       {PIPE_V, PIPE_S},       {PIPE_S, PIPE_MTE2},
        {PIPE_MTE2, PIPE_S},    {PIPE_S, PIPE_MTE3},    {PIPE_MTE3, PIPE_S},
        {PIPE_MTE2, PIPE_FIX},  {PIPE_FIX, PIPE_MTE2},  {PIPE_FIX, PIPE_S},
        {PIPE_M, PIPE_S},       {PIPE_FIX, PIPE_MTE3},  {PIPE_MTE1, PIPE_FIX},
        {PIPE_FIX, PIPE_MTE1},  {PIPE_FIX, PIPE_FIX},
    };
    return table[static_cast<int>(event)];
}

enum class CO2Layout : uint8_t { NZ = 0, ROW_MAJOR, COLUMN_MAJOR };
enum class ReluMode { NO_RELU = 0, NORMAL_RELU = 1, SCALAR_RELU = 2, VECTOR_RELU = 3 };
enum class ClipReluMode { NOCLIP_RELU = 0, CLIP_RELU = 1 };
enum class HF32Mode { ENABLE, DISABLE };
enum class HF32TransMode { NEAREST_ZERO, NEAREST_EVEN };
enum class FmatrixMode : uint8_t { FMATRIX_LEFT = 0, FMATRIX_RIGHT = 1 };
enum class CacheMode {
    CACHE_MODE_DISABLE = 0,
    CACHE_MODE_NORMAL = 1,
    CACHE_MODE_LAST = 2,
    CACHE_MODE_PERSISTENT = 4,
};
enum class CacheRwMode { READ = 1, WRITE = 2, RW = 3 };
enum class DataFormat : uint8_t { ND = 0, NZ, NCHW, NC1HWC0, NHWC, NCDHW, NDC1HWC0, FRACTAL_Z_3D };
enum class MemDsbT : uint8_t { ALL = 0, DDR, UB, SEQ };

constexpr uint32_t ONE_BLK_SIZE = 32;

// A 4-bit integer, -8 to 7. Two share a byte of memory, the first in its low half.
struct int4b_t {
    uint8_t storage;  // in its low half
    int4b_t() = default;
    constexpr int4b_t(int value)  // NOLINT: implicit, as on the device
        : storage(static_cast<uint8_t>(value & 15)) {}
    constexpr operator int() const { return (storage ^ 8) - 8; }
};

template <typename T>
struct IsSameTypeHelper {};
template <typename T, typename U>
using IsSameType = std::is_same<T, U>;

template <typename T>
using PrimT = T;

// The namespace of library traits that device code may use.
namespace Std = ::std;

}  // namespace AscendC

namespace emulator {

// Element types as run-time codes.
enum class DType : uint8_t { I8, U8, I16, U16, F16, BF16, I32, U32, F32, I64, U64, I4 };

constexpr uint32_t size_of(DType type) {
    switch (type) {
        case DType::I8:
        case DType::U8:
        case DType::I4:
            return 1;
        case DType::I16:
        case DType::U16:
        case DType::F16:
        case DType::BF16:
            return 2;
        case DType::I32:
        case DType::U32:
        case DType::F32:
            return 4;
        default:
            return 8;
    }
}

// Bits of an element; size_of gives the byte of int4b_t as one.
constexpr uint32_t bits_of(DType type) { return type == DType::I4 ? 4 : 8 * size_of(type); }

constexpr const char* dtype_name(DType type) {
    constexpr const char* names[] = {"int8_t", "uint8_t",    "int16_t",  "uint16_t",
                                     "half",   "bfloat16_t", "int32_t",  "uint32_t",
                                     "float",  "int64_t",    "uint64_t", "int4b_t"};
    return names[static_cast<int>(type)];
}

template <typename T>
constexpr DType dtype_of() {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_same_v<U, AscendC::int4b_t>)
        return DType::I4;
    else if constexpr (std::is_same_v<U, half>)
        return DType::F16;
    else if constexpr (std::is_same_v<U, bfloat16_t>)
        return DType::BF16;
    else if constexpr (std::is_same_v<U, float>)
        return DType::F32;
    else if constexpr (sizeof(U) == 1)
        return std::is_signed_v<U> ? DType::I8 : DType::U8;
    else if constexpr (sizeof(U) == 2)
        return std::is_signed_v<U> ? DType::I16 : DType::U16;
    else if constexpr (sizeof(U) == 4)
        return std::is_signed_v<U> ? DType::I32 : DType::U32;
    else
        return std::is_signed_v<U> ? DType::I64 : DType::U64;
}

template <typename T>
inline constexpr uint32_t kBits = std::is_same_v<T, AscendC::int4b_t> ? 4 : 8 * sizeof(T);
// Bytes of `count` elements, and elements in `bytes` bytes.
template <typename T>
constexpr uint64_t bytes_of(uint64_t count) {
    return kBits<T> == 4 ? (count + 1) / 2 : count * sizeof(T);
}
template <typename T>
constexpr uint64_t elements_of(uint64_t bytes) {
    return kBits<T> == 4 ? bytes * 2 : bytes / sizeof(T);
}

// The byte that holds element `index`.
template <typename T>
constexpr uint64_t byte_of(uint64_t index) {
    return kBits<T> == 4 ? index / 2 : index * sizeof(T);
}

// Element `index` of those that start at a byte.
template <typename T>
T element_of(const uint8_t* first, uint64_t index) {
    if constexpr (kBits<T> == 4) return static_cast<int>(first[index / 2] >> index % 2 * 4);
    T value;
    __builtin_memcpy(&value, first + index * sizeof(T), sizeof(T));
    return value;
}
template <typename T>
void set_element(uint8_t* first, uint64_t index, T value) {
    if constexpr (kBits<T> == 4) {
        const uint64_t shift = index % 2 * 4;
        first += index / 2;
        *first =
            static_cast<uint8_t>((*first & ~(15u << shift)) | uint32_t{value.storage} << shift);
    } else {
        __builtin_memcpy(first + index * sizeof(T), &value, sizeof(T));
    }
}

// A list of element types, as the documents give them for each instruction and architecture.
template <typename... Types>
struct TypeList {
    template <typename T>
    static constexpr bool has = (std::is_same_v<T, Types> || ...);
};
// List::List of Extended is a list with more types.
template <typename List, typename... More>
struct Extended;
template <typename... Types, typename... More>
struct Extended<TypeList<Types...>, More...> {
    using List = TypeList<Types..., More...>;
};
#if __NPU_ARCH__ == 3510
template <typename, typename List>
using ByArch = List;
#else
template <typename List, typename>
using ByArch = List;
#endif

// Refuses an element type that is not in the list of this architecture; the compiler's message goes
// on with the type, the list, and the entry that required it.
template <typename T, typename List>
constexpr void require_type() {
    static_assert(List::template has<T>, "the entry does not take this type on this architecture");
}

}  // namespace emulator
