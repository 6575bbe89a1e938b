// Where in a kernel source an API call stands, and the error that stops a kernel.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace emulator {

// Captured as a default argument of every API function, so it names the caller's line.
struct Site {
    const char* file = "";
    uint32_t line = 0;

    static constexpr Site here(const char* file = __builtin_FILE(),
                               uint32_t line = __builtin_LINE()) {
        return {file, line};
    }
    std::string text() const;
};

// The first violation stops the launch; its text is what the report delivers.
struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Formats with printf rules, adds the site and the running core, and throws Violation.
[[noreturn]] void fail(Site site, const char* format, ...) __attribute__((format(printf, 2, 3)));

std::string format_text(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace emulator
