// A stand-in for CANN's header of that name; see register/op_def_registry.h.
#pragma once

#include "register/op_def_registry.h"

namespace platform_ascendc {

class PlatformAscendC {
  public:
    explicit PlatformAscendC(fe::PlatFormInfos* platform) : platform_(platform) {}
    uint32_t GetCoreNumAic() const { return platform_->cube_cores; }
    uint32_t GetLibApiWorkSpaceSize() const { return platform_->library_workspace; }

  private:
    fe::PlatFormInfos* platform_;
};

}  // namespace platform_ascendc
