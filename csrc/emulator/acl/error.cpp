#include <cstdio>

#include "runtime.h"

namespace acl_stand_in {

namespace {

thread_local aclError last_code = 0;
thread_local std::string last_text;
thread_local std::string shown_text;  // what the caller of aclGetRecentErrMsg() may still read

std::string format_text(const char* format, va_list arguments) {
    char text[4096];
    std::vsnprintf(text, sizeof text, format, arguments);
    return text;
}

}  // namespace

aclError fail(aclError code, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    last_text = format_text(format, arguments);
    va_end(arguments);
    last_code = code;
    return code;
}

}  // namespace acl_stand_in

using acl_stand_in::last_code;
using acl_stand_in::last_text;
using acl_stand_in::shown_text;

NT_EXPORT const char* aclGetRecentErrMsg(void) {
    shown_text = last_text;
    return shown_text.c_str();
}

NT_EXPORT aclError aclrtPeekAtLastError(int level) {
    (void)level;
    return last_code;
}

NT_EXPORT aclError aclrtGetLastError(int level) {
    (void)level;
    const aclError code = last_code;
    last_code = 0;
    return code;
}

NT_EXPORT void aclAppLog(int level, const char* function, const char* file, uint32_t line,
                         const char* format, ...) {
    // The runtime's log goes to files of its own.
    (void)level, (void)function, (void)file, (void)line, (void)format;
}
