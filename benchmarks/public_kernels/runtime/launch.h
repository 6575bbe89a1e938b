// Included before every source of others: what its `kernel<<<blocks, size, stream>>>` becomes.
#pragma once

#include <string>
#include <type_traits>

#include "core/launch.h"

namespace public_kernels {

// Runs a kernel now, on this thread. A report of the emulator ends the process, status 3.
void run(const std::string& name, emulator::Mix mix, int blocks,
         const std::function<void()>& kernel);

template <class... Parameters>
class Launch {
  public:
    Launch(const char* name, emulator::Mix mix, void (*kernel)(Parameters...), int blocks)
        : name_(name), mix_(mix), kernel_(kernel), blocks_(blocks) {}

    template <class... Arguments>
    void operator()(const Arguments&... arguments) const {
        run(name_, mix_, blocks_, [&] { kernel_(convert<Parameters>(arguments)...); });
    }

  private:
    template <class Parameter, class Argument>
    static Parameter convert(const Argument& argument) {
        if constexpr (std::is_pointer_v<Parameter> && std::is_pointer_v<Argument>) {
            return (Parameter)argument;
        } else {
            return static_cast<Parameter>(argument);
        }
    }

    const char* name_;
    emulator::Mix mix_;
    void (*kernel_)(Parameters...);
    int blocks_;
};

// The size of dynamic shared memory and the stream say nothing to the emulator.
template <class... Parameters, class Size, class Stream>
Launch<Parameters...> launch(const char* name, emulator::Mix mix, void (*kernel)(Parameters...),
                             int blocks, const Size&, const Stream&) {
    return Launch<Parameters...>(name, mix, kernel, blocks);
}

}  // namespace public_kernels
