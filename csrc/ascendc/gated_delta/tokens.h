// The tokens of a chunk: from their rows in memory to an image in L1.
#pragma once

#include "../core/tiles.h"
#include "walk.h"

namespace neumann_tril {

// (64, columns); rows behind the last token are left alone.
template <typename In>
__aicore__ inline void FetchTokens(const AscendC::LocalTensor<In>& image,
                                   const AscendC::GlobalTensor<In>& tokens,
                                   const TokenStrides& strides, const RuleChunk& chunk,
                                   int32_t head, int32_t columns) {
    const int64_t first = TokenAt(strides, chunk, head);
    constexpr int64_t kFurthest = 65535;  // that one instruction steps from row to row
    if (strides.time > 0 && strides.time <= kFurthest) {
        FetchTiles(image, tokens[first], 1, chunk.valid, columns,
                   static_cast<uint16_t>(strides.time), 0, kRuleChunk, 0);
        return;
    }
    for (int32_t row = 0; row < chunk.valid; ++row) {
        FetchTiles(image[row * 16], tokens[first + row * strides.time], 1, 1, columns,
                   static_cast<uint16_t>(columns), 0, kRuleChunk, 0);
    }
}

}  // namespace neumann_tril
