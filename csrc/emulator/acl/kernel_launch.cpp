// The kernels on the stand-in runtime: a launch runs in the emulator, on its stream's thread. What
// the emulator's checks find becomes the stream's error.
#include <cstdio>
#include <memory>
#include <mutex>
#include <set>

#include "acl/acl.h"
#include "core/launch.h"
#include "stand_in.h"

namespace emulator {

namespace {

// Makes the device memory of this moment the global memory of the launches that follow. Blocks that
// stay are not touched: kernels on other streams may be using them.
void register_device_memory() {
    using Blocks = std::set<std::pair<void*, size_t>>;
    static std::mutex mutex;
    static auto* const registered = new Blocks;
    std::lock_guard<std::mutex> lock(mutex);
    Blocks present;
    nt_acl_device_memory([](void* user, void* base,
                            size_t bytes) { static_cast<Blocks*>(user)->insert({base, bytes}); },
                         &present);
    for (const auto& block : *registered) {
        if (present.count(block) == 0) unregister_global(block.first);
    }
    for (const auto& block : present) {
        if (registered->count(block) == 0) register_global(block.first, block.second, true, false);
    }
    registered->swap(present);
}

int run(void* argument, char* text, size_t size) {
    const std::unique_ptr<std::function<Report()>> launch(
        static_cast<std::function<Report()>*>(argument));
    register_device_memory();
    const Report report = (*launch)();
    std::snprintf(text, size, "%s", report.error.c_str());
    return report.error.empty() ? 0 : 1;
}

const bool installed = [] {
    Options options = get_options();
    options.strict = true;
    options.timing = false;
    options.soc = find_soc(aclrtGetSocName(), __NPU_ARCH__) == nullptr ? "" : aclrtGetSocName();
    set_options(options);
    set_stream_launcher([](void* stream, std::function<Report()> launch) {
        nt_acl_enqueue(stream, run, new std::function<Report()>(std::move(launch)));
    });
    return true;
}();

}  // namespace

}  // namespace emulator
