// A field of an instruction: an integer of the width that the hardware has for it.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/site.h"

namespace emulator {

// Assigning a value that the field would truncate is a violation, reported with its line.
template <typename T, int64_t kHigh = static_cast<int64_t>(std::numeric_limits<T>::max() > INT64_MAX
                                                               ? INT64_MAX
                                                               : std::numeric_limits<T>::max())>
class Field {
  public:
    constexpr Field() = default;
    template <typename U, typename = std::enable_if_t<std::is_integral_v<U> || std::is_enum_v<U>>>
    constexpr Field(U value, Site site = Site::here()) : value_(static_cast<T>(value)) {
        if (static_cast<U>(value_) != value || (value_ < T{}) != (value < U{}) ||
            static_cast<int64_t>(value_) > kHigh) {
            fail(site, "a parameter field gets %lld, it holds %lld to %lld",
                 static_cast<long long>(value),
                 static_cast<long long>(std::numeric_limits<T>::min()),
                 static_cast<long long>(kHigh));
        }
    }
    template <typename U, int64_t kOther>
    constexpr Field(Field<U, kOther> other, Site site = Site::here())
        : Field(static_cast<U>(other), site) {}
    constexpr operator T() const { return value_; }
    template <typename U>
    Field& operator+=(U amount) {
        return *this = Field(int64_t{value_} + amount);
    }
    template <typename U>
    Field& operator-=(U amount) {
        return *this = Field(int64_t{value_} - amount);
    }
    template <typename U>
    Field& operator*=(U factor) {
        return *this = Field(int64_t{value_} * factor);
    }

  private:
    T value_ = 0;
};

using Field8 = Field<uint8_t>;
using Field16 = Field<uint16_t>;

}  // namespace emulator
