// Buffers that take turns between two pipes of a core: use n waits until use n - Buffers is over.
#pragma once

#include "kernel_operator.h"

namespace neumann_tril {

template <AscendC::HardEvent Event, int32_t Id, int32_t Buffers>
class Reuse {
  public:
    // `uses` in all.
    __aicore__ inline explicit Reuse(int32_t uses) : uses_(uses) {}

    __aicore__ inline void Begin(int32_t n) const {
        if (n >= Buffers) {
            AscendC::WaitFlag<Event>(Id + n % Buffers);
        }
    }
    __aicore__ inline void End(int32_t n) const {
        if (n + Buffers < uses_) {
            AscendC::SetFlag<Event>(Id + n % Buffers);
        }
    }

  private:
    int32_t uses_;
};

}  // namespace neumann_tril
