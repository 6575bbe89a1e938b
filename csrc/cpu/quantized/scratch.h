// The matrices of one inversion.
#pragma once

#include "codes.h"

namespace neumann_tril::NT_ISA {

template <int Bits>
struct Scratch {
    float* strip;  // kBlock rows of A as they are loaded
    Numbers v;     // A, then the sums of a product
    Numbers wide;  // X
    Left<Bits> a;  // -A or -M
    Left<Bits> x;  // X, as either factor
    Right<Bits> x_right;
    Right<Bits> r_right;  // R, its powers, T, E
    Left<Bits> r;
    Right<Bits> next_right;  // takes the next power of R
    Left<Bits> m_ones;       // the identity, as codes of M's grid and of another
    Right<Bits> ones;
    Left<Bits> seed;  // X0 in sequential form
    Numbers seed_wide;

    static constexpr size_t bytes(int n) {
        const size_t int16_matrices = 5 * Left<Bits>::kParts + 4 * Right<Bits>::kParts;
        return n * n * (3 * sizeof(float) + int16_matrices * sizeof(int16_t)) +
               kBlock * kMaxChunk * sizeof(float);
    }

    Scratch(void* memory, int n) {
        Pieces pieces{static_cast<char*>(memory), n};
        strip = pieces.take<float>(kBlock * kMaxChunk);
        pieces.take(v);
        pieces.take(wide);
        pieces.take(a);
        pieces.take(x);
        pieces.take(x_right);
        pieces.take(r_right);
        pieces.take(r);
        pieces.take(next_right);
        pieces.take(m_ones);
        pieces.take(ones);
        pieces.take(seed);
        pieces.take(seed_wide);
    }

  private:
    struct Pieces {
        char* free;
        int n;

        template <class T>
        T* take(size_t count) {
            T* data = reinterpret_cast<T*>(free);
            free += count * sizeof(T);
            return data;
        }
        void take(Numbers& m) { m = {take<float>(n * n), n}; }
        template <class Factor>
        void take(Factor& m) {
            for (int16_t*& part : m.part) part = take<int16_t>(n * n);
            m.row = n;
        }
    };
};

}  // namespace neumann_tril::NT_ISA
