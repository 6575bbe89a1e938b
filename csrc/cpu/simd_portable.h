// Vectors of 128 bits in plain C++, for the compiler to map on what the machine has.
#pragma once

#include <cmath>
#include <cstring>

#include "convert.h"
#include "job.h"

namespace neumann_tril::NT_ISA {

constexpr int kRows = 2;  // rows of a register block: 2 x 4 accumulators fit 16 registers

template <class T>
struct Vec {
    static constexpr int lanes = 16 / sizeof(T);
    T v[lanes];
};
using F = Vec<float>;
using D = Vec<double>;
using I = Vec<int32_t>;

template <class V, class Lane>
inline V each(Lane lane) {
    V result;
    for (int i = 0; i < V::lanes; ++i) result.v[i] = lane(i);
    return result;
}

inline F load(const float* p) {
    return each<F>([=](int i) { return p[i]; });
}
inline D load(const double* p) {
    return each<D>([=](int i) { return p[i]; });
}
inline F load(const Half* p) {
    return each<F>([=](int i) { return widen(p[i]); });
}
inline F load(const BFloat16* p) {
    return each<F>([=](int i) { return widen(p[i]); });
}
template <class E, class V>
inline void store(E* p, V a) {
    for (int i = 0; i < V::lanes; ++i) p[i] = convert<E>(a.v[i]);
}
template <class E, class V>
inline void stream(E* p, V a) {
    store(p, a);
}
inline void fence() {}

template <class T>
inline Vec<T> broadcast(T a) {
    return each<Vec<T>>([=](int) { return a; });
}
template <class T>
inline Vec<T> add(Vec<T> a, Vec<T> b) {
    return each<Vec<T>>([&](int i) { return a.v[i] + b.v[i]; });
}
// c + a * b and c - a * b, rounded twice.
template <class T>
inline Vec<T> multiply_add(Vec<T> a, Vec<T> b, Vec<T> c) {
    return each<Vec<T>>([&](int i) { return c.v[i] + a.v[i] * b.v[i]; });
}
template <class T>
inline Vec<T> multiply_subtract(Vec<T> a, Vec<T> b, Vec<T> c) {
    return each<Vec<T>>([&](int i) { return c.v[i] - a.v[i] * b.v[i]; });
}
// (a & keep) | fill, where keep is all ones or all zeros and fill is zero unless keep is.
template <class T>
inline Vec<T> mask(Vec<T> a, Vec<T> keep, Vec<T> fill) {
    // All ones are a NaN, the only number that differs from itself.
    return each<Vec<T>>([&](int i) { return keep.v[i] != keep.v[i] ? a.v[i] : fill.v[i]; });
}

template <class T>
inline Vec<T> subtract(Vec<T> a, Vec<T> b) {
    return each<Vec<T>>([&](int i) { return a.v[i] - b.v[i]; });
}
inline F multiply(F a, F b) {
    return each<F>([&](int i) { return a.v[i] * b.v[i]; });
}
// Of a NaN and a number b, b.
inline F minimum(F a, F b) {
    return each<F>([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F maximum(F a, F b) {
    return each<F>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F magnitude(F a) {
    return each<F>([&](int i) { return std::fabs(a.v[i]); });
}
inline F zero_if_nan(F a) {
    return each<F>([&](int i) { return a.v[i] == a.v[i] ? a.v[i] : 0.0f; });
}

// Of numbers that int32 holds; half to even.
inline I nearest(F a) {
    return each<I>([&](int i) { return static_cast<int32_t>(std::nearbyint(a.v[i])); });
}
inline F to_float(I a) {
    return each<F>([&](int i) { return static_cast<float>(a.v[i]); });
}
template <int Bits>
inline I shift_left(I a) {
    return each<I>([&](int i) { return a.v[i] * (1 << Bits); });
}
template <int Bits>
inline I shift_right(I a) {
    return each<I>([&](int i) { return a.v[i] >> Bits; });
}
// count, and one more in the lanes where a differs from b.
inline I count_unequal(I count, F a, F b) {
    return each<I>([&](int i) { return count.v[i] + (a.v[i] != b.v[i]); });
}

inline F load(const int8_t* p) {
    return each<F>([=](int i) { return static_cast<float>(p[i]); });
}
inline F load(const int16_t* p) {
    return each<F>([=](int i) { return static_cast<float>(p[i]); });
}

// Two rows of int16 numbers, one after the other; and a pair of numbers for all lanes.
struct Pairs {
    int16_t even[F::lanes], odd[F::lanes];
};
struct Pair {
    int16_t even, odd;
};
inline void store_pairs(int16_t* p, I even, I odd) {
    store(p, even);
    store(p + F::lanes, odd);
}
inline Pairs load_pairs(const int16_t* p) {
    Pairs pairs;
    std::memcpy(pairs.even, p, sizeof pairs.even);
    std::memcpy(pairs.odd, p + F::lanes, sizeof pairs.odd);
    return pairs;
}
inline Pair broadcast_pair(const int16_t* p) { return {p[0], p[1]}; }
// sum + f.even * g.even + f.odd * g.odd
inline I add_dot(I sum, Pair f, Pairs g) {
    return each<I>([&](int i) { return sum.v[i] + f.even * g.even[i] + f.odd * g.odd[i]; });
}

}  // namespace neumann_tril::NT_ISA
