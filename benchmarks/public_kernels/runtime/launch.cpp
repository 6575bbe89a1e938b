#include "launch.h"

#include <cstdio>
#include <cstdlib>

#include "acl/acl.h"
#include "ascendc/qualifiers.h"
#include "stand_in.h"

namespace public_kernels {

namespace {
void each_block(void (*visit)(void*, void*, size_t)) { nt_acl_device_memory(visit, nullptr); }
}  // namespace

void run(const std::string& name, emulator::Mix mix, int blocks,
         const std::function<void()>& kernel) {
    aclrtSynchronizeDevice();
    each_block([](void*, void* base, size_t bytes) {
        emulator::register_global(base, bytes, /*initialised*/ true, /*read_only*/ false);
    });
    const emulator::Report report = emulator::launch_body(name, __NPU_ARCH__, blocks, mix, kernel);
    each_block([](void*, void* base, size_t) { emulator::unregister_global(base); });
    if (report.error.empty()) return;
    std::fprintf(stderr, "emulator: %s\n", report.error.c_str());
    std::exit(3);
}

}  // namespace public_kernels

// A kernel with one entry for each type of core, for ctypes: entry(arguments). What went wrong is
// emulator_report_error().
extern "C" void public_kernels_launch(const char* name, int blocks, void (*cube)(void* const*),
                                      void (*vector)(void* const*), void* const* arguments) {
    emulator::launch_body(name, __NPU_ARCH__, blocks, {1, 2, true},
                          [&] { (emulator::runs_on_cube() ? cube : vector)(arguments); });
}
