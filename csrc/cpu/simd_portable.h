// Vectors of 128 bits in plain C++, for the compiler to map on what the machine has.
#pragma once

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

}  // namespace neumann_tril::NT_ISA
