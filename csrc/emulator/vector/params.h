// Parameter structures of the vector functions, under their public names and defaults.
//
// A Field refuses a value that its hardware register would truncate; ranges narrower than the field
// are checked where the structure is used.
#pragma once

#include <cstdint>

#include "ascendc/field.h"
#include "scalar_types.h"

namespace AscendC {

using emulator::Field16;
using emulator::Field8;

constexpr uint64_t MASK_PLACEHOLDER = 0;
constexpr uint64_t MASK_PLACEHOLDER_LIST[2] = {0, 0};
constexpr int32_t DEFAULT_BLK_NUM = 8;
constexpr int32_t DEFAULT_BLK_STRIDE = 1;
constexpr uint8_t DEFAULT_REPEAT_STRIDE = 8;
constexpr int32_t NCHW_CONV_ADDR_LIST_SIZE = 16;

enum class MaskMode : uint8_t { NORMAL = 0, COUNTER };
enum class CMPMODE : uint8_t { LT = 0, GT, EQ, LE, GE, NE };
enum class SELMODE : uint8_t {
    VSEL_CMPMASK_SPR = 0,
    VSEL_TENSOR_SCALAR_MODE,
    VSEL_TENSOR_TENSOR_MODE,
};
enum class ReduceType : uint8_t { SUM = 0, MAX, MIN };
enum class ReduceOrder : uint8_t {
    ORDER_VALUE_INDEX = 0,
    ORDER_INDEX_VALUE,
    ORDER_ONLY_VALUE,
    ORDER_ONLY_INDEX,
};
enum class SaturationMode : uint8_t { FLOAT = 0, CAST };

// Strides in DataBlocks of 32 bytes: between the blocks of an iteration, and between iterations.
struct BinaryRepeatParams {
    constexpr BinaryRepeatParams() = default;
    constexpr BinaryRepeatParams(Field8 dstBlkStrideIn, Field8 src0BlkStrideIn,
                                 Field8 src1BlkStrideIn, Field8 dstRepStrideIn,
                                 Field8 src0RepStrideIn, Field8 src1RepStrideIn)
        : dstBlkStride(dstBlkStrideIn),
          src0BlkStride(src0BlkStrideIn),
          src1BlkStride(src1BlkStrideIn),
          dstRepStride(dstRepStrideIn),
          src0RepStride(src0RepStrideIn),
          src1RepStride(src1RepStrideIn) {}

    uint32_t blockNumber = DEFAULT_BLK_NUM;
    Field8 dstBlkStride = 1;
    Field8 src0BlkStride = 1;
    Field8 src1BlkStride = 1;
    Field8 dstRepStride = 8;
    Field8 src0RepStride = 8;
    Field8 src1RepStride = 8;
    bool repeatStrideMode = false;
    bool strideSizeMode = false;
};

struct UnaryRepeatParams {
    constexpr UnaryRepeatParams() = default;
    constexpr UnaryRepeatParams(Field16 dstBlkStrideIn, Field16 srcBlkStrideIn,
                                Field8 dstRepStrideIn, Field8 srcRepStrideIn,
                                bool halfBlockIn = false)
        : dstBlkStride(dstBlkStrideIn),
          srcBlkStride(srcBlkStrideIn),
          dstRepStride(dstRepStrideIn),
          srcRepStride(srcRepStrideIn),
          halfBlock(halfBlockIn) {}

    uint32_t blockNumber = DEFAULT_BLK_NUM;
    Field16 dstBlkStride = 1;
    Field16 srcBlkStride = 1;
    Field8 dstRepStride = 8;
    Field8 srcRepStride = 8;
    bool repeatStrideMode = false;
    bool strideSizeMode = false;
    bool halfBlock = false;
};

struct CopyRepeatParams {
    constexpr CopyRepeatParams() = default;
    constexpr CopyRepeatParams(Field16 dstStrideIn, Field16 srcStrideIn, Field16 dstRepeatSizeIn,
                               Field16 srcRepeatSizeIn)
        : dstStride(dstStrideIn),
          srcStride(srcStrideIn),
          dstRepeatSize(dstRepeatSizeIn),
          srcRepeatSize(srcRepeatSizeIn) {}

    Field16 dstStride = 1;
    Field16 srcStride = 1;
    Field16 dstRepeatSize = 8;
    Field16 srcRepeatSize = 8;
};

struct BrcbRepeatParams {
    constexpr BrcbRepeatParams() = default;
    constexpr BrcbRepeatParams(Field16 dstBlkStrideIn, Field16 dstRepStrideIn)
        : dstRepStride(dstRepStrideIn), dstBlkStride(dstBlkStrideIn) {}

    uint32_t blockNumber = DEFAULT_BLK_NUM;
    Field16 dstRepStride = 8;
    Field16 dstBlkStride = 1;
};

struct GatherRepeatParams {
    constexpr GatherRepeatParams() = default;
    constexpr GatherRepeatParams(Field8 dstBlkStrideIn, Field8 dstRepStrideIn)
        : dstRepStride(dstRepStrideIn), dstBlkStride(dstBlkStrideIn) {}

    uint32_t blockNumber = DEFAULT_BLK_NUM;
    Field16 dstRepStride = 8;
    Field8 dstBlkStride = 1;
};

struct GatherMaskParams {
    constexpr GatherMaskParams() = default;
    constexpr GatherMaskParams(Field8 src0BlockStrideIn, Field16 repeatTimesIn,
                               Field16 src0RepeatStrideIn, Field8 src1RepeatStrideIn)
        : src0BlockStride(src0BlockStrideIn),
          repeatTimes(repeatTimesIn),
          src0RepeatStride(src0RepeatStrideIn),
          src1RepeatStride(src1RepeatStrideIn) {}

    Field8 src0BlockStride = 1;
    Field16 repeatTimes = 0;
    Field16 src0RepeatStride = 8;
    Field8 src1RepeatStride = 8;
};

struct TransDataTo5HDParams {
    constexpr TransDataTo5HDParams() = default;
    constexpr TransDataTo5HDParams(bool dstHighHalfIn, bool srcHighHalfIn, Field8 repeatTimesIn,
                                   Field16 dstRepStrideIn, Field16 srcRepStrideIn)
        : dstHighHalf(dstHighHalfIn),
          srcHighHalf(srcHighHalfIn),
          repeatTimes(repeatTimesIn),
          dstRepStride(dstRepStrideIn),
          srcRepStride(srcRepStrideIn) {}

    bool dstHighHalf = false;
    bool srcHighHalf = false;
    Field8 repeatTimes = 1;
    Field16 dstRepStride = 0;
    Field16 srcRepStride = 0;
};

// Only those that the documents describe are carried out: NONE, ND2ND_B16, NCHW2NHWC, NHWC2NCHW.
enum class TransposeType : uint8_t {
    TRANSPOSE_TYPE_NONE,
    TRANSPOSE_NZ2ND_0213,
    TRANSPOSE_NZ2NZ_0213,
    TRANSPOSE_NZ2NZ_012_WITH_N,
    TRANSPOSE_NZ2ND_012_WITH_N,
    TRANSPOSE_NZ2ND_012_WITHOUT_N,
    TRANSPOSE_NZ2NZ_012_WITHOUT_N,
    TRANSPOSE_ND2ND_ONLY,
    TRANSPOSE_ND_UB_GM,
    TRANSPOSE_GRAD_ND_UB_GM,
    TRANSPOSE_ND2ND_B16,
    TRANSPOSE_NCHW2NHWC,
    TRANSPOSE_NHWC2NCHW,
};

struct TransposeParamsExt {
    constexpr TransposeParamsExt() = default;
    constexpr TransposeParamsExt(Field16 nSizeIn, Field16 cSizeIn, Field16 hSizeIn, Field16 wSizeIn,
                                 TransposeType transposeTypeIn)
        : nSize(nSizeIn),
          cSize(cSizeIn),
          hSize(hSizeIn),
          wSize(wSizeIn),
          transposeType(transposeTypeIn) {}

    Field16 nSize = 0;
    Field16 cSize = 0;
    Field16 hSize = 0;
    Field16 wSize = 0;
    TransposeType transposeType = TransposeType::TRANSPOSE_ND2ND_B16;
};

// Blocks of blockLen bytes; gaps from the end of one to the start of the next: bytes in global
// memory, DataBlocks in the Unified Buffer.
struct DataCopyExtParams {
#if __NPU_ARCH__ == 3510
    using Gap = int64_t;
#else
    using Gap = emulator::Field<uint32_t>;
#endif
    constexpr DataCopyExtParams() = default;
    constexpr DataCopyExtParams(Field16 count, emulator::Field<uint32_t> len, Gap srcStrideIn,
                                Gap dstStrideIn, uint32_t rsvIn)
        : blockCount(count),
          blockLen(len),
          srcStride(srcStrideIn),
          dstStride(dstStrideIn),
          rsv(rsvIn) {}

    Field16 blockCount = 1;
    emulator::Field<uint32_t> blockLen = 0;
    Gap srcStride = 0;
    Gap dstStride = 0;
    uint32_t rsv = 0;
};

template <typename T>
struct DataCopyPadExtParams {
    constexpr DataCopyPadExtParams() = default;
    constexpr DataCopyPadExtParams(bool isPadIn, Field8 leftPaddingIn, Field8 rightPaddingIn,
                                   T padValueIn)
        : isPad(isPadIn),
          leftPadding(leftPaddingIn),
          rightPadding(rightPaddingIn),
          paddingValue(padValueIn) {}

    bool isPad = false;
    Field8 leftPadding = 0;
    Field8 rightPadding = 0;
    T paddingValue{};
};

struct DataCopyPadParams {
    constexpr DataCopyPadParams() = default;
    constexpr DataCopyPadParams(bool isPadIn, Field8 leftPaddingIn, Field8 rightPaddingIn,
                                uint64_t paddingValueIn)
        : isPad(isPadIn),
          leftPadding(leftPaddingIn),
          rightPadding(rightPaddingIn),
          paddingValue(paddingValueIn) {}

    bool isPad = false;
    Field8 leftPadding = 0;
    Field8 rightPadding = 0;
    uint64_t paddingValue = 0;
};

enum class PaddingMode : uint8_t { Normal = 0, Compact };

}  // namespace AscendC
