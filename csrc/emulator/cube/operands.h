// Tensors as the non-template part of the API sees them.
#pragma once

#include "ascendc/types.h"
#include "core/instruction.h"

namespace emulator {

struct LocalOperand {
    AscendC::TPosition position;
    uint64_t address;  // bytes from the start of the buffer
    uint64_t bytes;
    DType type;
};

struct GlobalOperand {
    const void* address;
    DType type;
};

// The buffer behind a logical position; the same on dav-2201 and dav-3510.
Buffer buffer_of(AscendC::TPosition position, Site site);
View view_of(const LocalOperand& operand, uint64_t alignment, const char* what, Site site);
View view_of(const GlobalOperand& operand, const char* what, Site site);

// Refuses `value` outside [low, high].
void require_field(const char* instruction, const char* field, int64_t value, int64_t low,
                   int64_t high, Site site);

}  // namespace emulator
