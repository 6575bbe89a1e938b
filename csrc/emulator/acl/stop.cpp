#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "runtime.h"

namespace acl_stand_in {

void stop(const char* format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    // Not an exception: a thread of torch_npu's would swallow it, and go on with whatever bytes its
    // tensors hold.
    std::fprintf(stderr, "stand-in Ascend runtime: %s\n", text);
    std::abort();
}

}  // namespace acl_stand_in
