// What the native tests share: numbers of every dtype, pages that must not be touched, calls,
// references.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "neumann_tril.h"

#define CHECK(condition, ...)                                                  \
    do {                                                                       \
        if (!(condition)) {                                                    \
            std::printf("%s:%d: %s failed: ", __FILE__, __LINE__, #condition); \
            std::printf(__VA_ARGS__);                                          \
            std::printf("\n");                                                 \
            throw std::runtime_error("check failed");                          \
        }                                                                      \
    } while (0)

inline std::mt19937_64 generator(7);

inline double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(generator);
}

constexpr int kDtypes[] = {NT_FLOAT16, NT_BFLOAT16, NT_FLOAT32, NT_FLOAT64};
constexpr size_t kItem[] = {2, 2, 4, 8, 1, 2};

// The number that 16 bits of a dtype stand for, by definition.
inline double decode16(int dtype, uint16_t bits) {
    const int digits = dtype == NT_FLOAT16 ? 10 : 7;
    const int bias = dtype == NT_FLOAT16 ? 15 : 127;
    const int top = 2 * bias + 1;
    const int exponent = (bits >> digits) & top, fraction = bits & ((1 << digits) - 1);
    double v;
    if (exponent == top) {
        v = fraction ? NAN : INFINITY;
    } else if (exponent == 0) {
        v = std::ldexp(fraction, 1 - bias - digits);
    } else {
        v = std::ldexp(fraction + (1 << digits), exponent - bias - digits);
    }
    return bits >> 15 ? -v : v;
}

template <class T>
T read_as(const void* p) {
    T v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

inline double decode(int dtype, const void* p) {
    if (dtype == NT_INT8) return read_as<int8_t>(p);
    if (dtype == NT_INT16) return read_as<int16_t>(p);
    if (dtype == NT_FLOAT64) return read_as<double>(p);
    if (dtype == NT_FLOAT32) return read_as<float>(p);
    return decode16(dtype, read_as<uint16_t>(p));
}

// The number of a dtype that is nearest to v, ties to even, by definition.
inline double rounded(int dtype, double v) {
    if (dtype == NT_INT8 || dtype == NT_INT16) return std::nearbyint(v);
    if (dtype == NT_FLOAT64 || v == 0 || !std::isfinite(v)) return v;
    const int digits[] = {11, 8, 24}, least[] = {-14, -126, -126}, greatest[] = {16, 128, 128};
    int exponent;
    std::frexp(v, &exponent);
    const int unit = std::max(exponent - 1, least[dtype]) - digits[dtype] + 1;
    const double result = std::ldexp(std::nearbyint(std::ldexp(v, -unit)), unit);
    if (std::fabs(result) >= std::ldexp(1.0, greatest[dtype])) return std::copysign(INFINITY, v);
    return result;
}

// Writes a number that the dtype has.
inline void encode(int dtype, double v, void* p) {
    if (dtype == NT_FLOAT64) {
        std::memcpy(p, &v, sizeof v);
        return;
    }
    if (dtype == NT_INT8 || dtype == NT_INT16) {
        const int16_t code = static_cast<int16_t>(v);
        const int8_t byte = static_cast<int8_t>(v);
        std::memcpy(p, dtype == NT_INT8 ? static_cast<const void*>(&byte) : &code, kItem[dtype]);
        return;
    }
    if (dtype == NT_FLOAT32) {
        const float f = static_cast<float>(v);
        std::memcpy(p, &f, sizeof f);
        return;
    }
    const int digits = dtype == NT_FLOAT16 ? 10 : 7;
    const int bias = dtype == NT_FLOAT16 ? 15 : 127;
    uint16_t bits;
    if (std::isnan(v)) {
        bits = static_cast<uint16_t>(((2 * bias + 1) << digits) | 1 << (digits - 1));
    } else if (std::isinf(v)) {
        bits = static_cast<uint16_t>((2 * bias + 1) << digits);
    } else {
        int exponent = 0;
        std::frexp(v, &exponent);
        const int e = v == 0 ? 1 - bias : std::max(exponent - 1, 1 - bias);
        const int scaled = static_cast<int>(std::ldexp(std::fabs(v), digits - e));
        bits =
            static_cast<uint16_t>(((e + bias - 1) << digits) + scaled);  // carries the hidden one
    }
    if (std::signbit(v)) bits |= 0x8000;
    std::memcpy(p, &bits, sizeof bits);
}

// Elements of a dtype between two pages that must not be touched; the first lies at the start of
// the memory or the last at its end.
class Guarded {
  public:
    Guarded(int dtype, size_t count, bool at_end) : dtype_(dtype), count_(count) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t bytes = count * kItem[dtype];
        const size_t inner = (bytes + page - 1) / page * page;
        total_ = inner + 2 * page;
        void* memory = mmap(nullptr, total_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        base_ = static_cast<char*>(memory);
        if (inner) mprotect(base_ + page, inner, PROT_READ | PROT_WRITE);
        first_ = base_ + page + (at_end ? inner - bytes : 0);
    }
    ~Guarded() { munmap(base_, total_); }
    Guarded(const Guarded&) = delete;

    // May lie outside: addresses are computed as the library does, from integers.
    void* address(int64_t i) const {
        return reinterpret_cast<void*>(reinterpret_cast<intptr_t>(first_) +
                                       i * static_cast<int64_t>(kItem[dtype_]));
    }
    double get(int64_t i) const { return decode(dtype_, address(i)); }
    void set(int64_t i, double v) { encode(dtype_, v, address(i)); }
    size_t count() const { return count_; }

  private:
    int dtype_;
    size_t count_, total_;
    char *base_, *first_;
};

inline nt_plan exact_plan(int n) { return {n, n - 1, 1, NT_FORM_SEQUENTIAL, 0, 0}; }

// Contiguous matrices.
inline nt_chunks contiguous(int64_t count, int n) {
    nt_chunks c = {};
    c.dims = 1;
    c.chunk_dim = -1;
    c.size[0] = count;
    c.a_stride[0] = c.x_stride[0] = n * n;
    c.a_row_stride = c.x_row_stride = n;
    c.a_column_stride = c.x_column_stride = 1;
    return c;
}

inline void invert(const nt_plan& plan, const nt_chunks& chunks, const void* a, int a_dtype,
                   void* x, int x_dtype, int threads = 1) {
    const char* error = nt_cpu_inverse(&plan, &chunks, a, a_dtype, x, x_dtype, threads);
    CHECK(error == nullptr, "%s", error);
}

// Dense square matrices, for references.
template <class T>
struct Matrix {
    int n;
    std::vector<T> v;
    explicit Matrix(int size, T diagonal = 0) : n(size), v(static_cast<size_t>(size * size)) {
        for (int i = 0; i < n; ++i) (*this)(i, i) = diagonal;
    }
    T& operator()(int i, int j) { return v[static_cast<size_t>(i * n + j)]; }
    T operator()(int i, int j) const { return v[static_cast<size_t>(i * n + j)]; }
    Matrix block(int row, int column, int size) const {
        Matrix b(size);
        for (int i = 0; i < size; ++i)
            for (int j = 0; j < size; ++j) b(i, j) = (*this)(row + i, column + j);
        return b;
    }
    void put(int row, int column, const Matrix& b) {
        for (int i = 0; i < b.n; ++i)
            for (int j = 0; j < b.n; ++j) (*this)(row + i, column + j) = b(i, j);
    }
};
template <class T>
Matrix<T> operator*(const Matrix<T>& a, const Matrix<T>& b) {
    Matrix<T> c(a.n);
    for (int i = 0; i < a.n; ++i)
        for (int k = 0; k < a.n; ++k)
            for (int j = 0; j < a.n && a(i, k) != 0; ++j) c(i, j) += a(i, k) * b(k, j);
    return c;
}
template <class T>
Matrix<T> combine(const Matrix<T>& a, T factor, const Matrix<T>& b) {
    Matrix<T> c(a.n);
    for (size_t i = 0; i < c.v.size(); ++i) c.v[i] = a.v[i] + factor * b.v[i];
    return c;
}

// The inverse of I + A by row substitution, as each step of the kernels rounds it: the terms of an
// entry in blocks that are summed on their own, the column's own block with the next one.
template <class T>
Matrix<T> substitute(const Matrix<T>& a, bool fused) {
    const int block = (a.n + 31) / 32 * 8;
    Matrix<T> x(a.n);
    for (int i = 0; i < a.n; ++i) {
        for (int j = 0; j < i; ++j) {
            T total = 0, sum = 0;
            for (int k = j; k < i; ++k) {
                if (k % block == 0 && k / block > j / block + 1) {
                    total += sum;
                    sum = 0;
                }
                sum = fused ? std::fma(-a(i, k), x(k, j), sum) : sum - a(i, k) * x(k, j);
            }
            x(i, j) = total + sum;
        }
        x(i, i) = 1;
    }
    return x;
}
