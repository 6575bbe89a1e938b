// What CANN's operator build puts around a kernel entry, for a build with the emulator: the tiling
// key of the launch, the tiling data and the user's part of the workspace. The program that
// includes this has one such entry for each dtype of its operator.
#pragma once

#include "kernel_operator.h"

inline uint64_t launched_tiling_key = 0;
#undef TILING_KEY_IS
#undef GET_TILING_DATA
#define TILING_KEY_IS(key) (launched_tiling_key == (key))
#undef REGISTER_TILING_DEFAULT
#define REGISTER_TILING_DEFAULT(Task) using RegisteredTask = Task
#define GET_TILING_DATA(task, tiling) \
    const auto task = *reinterpret_cast<const RegisteredTask*>(tiling)

// What the library's own part of a workspace takes here; on an NPU it is 16 MiB, and the emulator
// has none.
constexpr uint32_t kLibraryWorkspace = 4096;
namespace AscendC {
inline GM_ADDR WorkspaceBehindTheLibrarys(GM_ADDR workspace) {
    return workspace + kLibraryWorkspace;
}
}  // namespace AscendC
#define GetUserWorkspace WorkspaceBehindTheLibrarys
