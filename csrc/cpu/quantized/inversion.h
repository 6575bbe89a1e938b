// The quantised inverse: grids/reference.py, to the bit.
//
//     A    codes of -A (of -M = -(I + A) where a residual is formed), a = rint(A a_inverse)
//     X    band_w((I + A)^-1) of every leaf, in float32;  codes x = rint(X n)
//     sum  R = I - M X of every leaf; X <- X (I + R) (I + R^2).. or, terms - 1 times, X <- X0 + X R
//     join T = -A21 X11; X21 = X22 T, for all pairs of blocks, from the leaves up
//     refinements times:  E = I - M X; X <- X (I + E)
//
// Every product is a sum of integers, turned to float32, V, and scaled to the codes of the next
// operand.
#pragma once

#include <utility>

#include "operand.h"
#include "result.h"

namespace neumann_tril::NT_ISA {

template <int Bits, class Grids>
class Quantized {
  public:
    Quantized(const QuantizedJob& job, const Chunk& chunk, const float* constants, void* scratch)
        : plan_(job.plan),
          division_(job.plan),
          grids_(constants, kHighest<Bits>),
          scratch_(scratch, division_.n),
          a_(job, chunk, division_, grids_, scratch_, coder_),
          x_(job, division_, grids_, scratch_, coder_) {}

    void run() {
        a_grid_ = a_.read();
        x_.seed();
        if (plan_.terms > 1) sum_leaves();
        for (int side = division_.leaf; side < division_.n; side *= 2) join(side);
        for (int step = 0; step < plan_.refinements; ++step) refine();
    }
    QuantizedResult store(const Chunk& chunk) const {
        x_.store(chunk);
        return {1 / x_.one(), coder_.saturated()};
    }

  private:
    void sum_leaves() {
        const Blocks leaves = division_.leaves();
        float one = residual(leaves);
        if (plan_.form == NT_FORM_SEQUENTIAL) return horner(leaves, one);
        for (int power = 2; power <= plan_.terms; power *= 2) {
            if (power > 2)
                one = code_residual(leaves, product(scratch_.r, scratch_.r_right), one * one);
            add_x_times_r(leaves, scratch_.x, one);
        }
    }

    // Y = X0 + Y R, terms - 1 times; every Y lives on X's grid, and so does X0.
    void horner(Blocks leaves, float one) {
        const Numbers wide = scratch_.wide, kept = scratch_.seed_wide;
        const Left<Bits> seed = scratch_.seed;
        leaves.for_each([=](Block block) {
            block.for_pairs([=](int r, int c) { kept.put(r, c, wide.get(r, c)); });
        });
        for (int term = 1; term < plan_.terms; ++term) {
            const F n = broadcast(x_.one());
            Coder<Bits> uncounted;  // these saturate with the seed
            uncounted.for_codes(leaves, [=](int r, int c, I& beyond) {
                seed.put(r, c, codes<Bits>(multiply(kept.get(r, c), n), beyond));
            });
            add_x_times_r(leaves, seed, one);
        }
    }

    // X21 = X22 T, T = -A21 X11
    void join(int side) {
        const Blocks blocks = division_.lower_left(side);
        const FreeGrid grid = code_sums(
            blocks, product_from_left(scratch_.a, scratch_.x_right),
            [&](auto largest) { return grids_.free(largest, a_grid_.scale / x_.one()); },
            [right = scratch_.r_right](int r, int c, Two<I> codes) { right.put(r, c, codes); });
        x_.put_sums(blocks, product(scratch_.x, scratch_.r_right),
                    grids_.join(x_.one(), grid.scale));
    }

    // X <- X (I + E), E = I - M X
    void refine() {
        const Blocks whole = division_.whole();
        add_x_times_r(whole, scratch_.x, residual(whole));
    }

    // X <- H + X R, where `one` is the code of a one in R.
    void add_x_times_r(Blocks blocks, Left<Bits> h, float one) {
        x_.put_sums(blocks, product_and(scratch_.x, scratch_.r_right, h, scratch_.ones),
                    grids_.wide(x_.one(), one));
    }

    // R = I - M X; returns the code of a one in it.
    float residual(Blocks blocks) {
        set_ones(division_.diagonal(kBlock), scratch_.m_ones, a_grid_.one);
        set_ones(division_.diagonal(kBlock), scratch_.ones, x_.one());
        return code_residual(
            blocks, product_and_ones(scratch_.a, scratch_.x_right, scratch_.m_ones, scratch_.ones),
            a_grid_.one * x_.one());
    }

    // Sums become R, E or a power of R, as either factor; returns the code of a one.
    template <class Add>
    float code_residual(Blocks blocks, Add add, float one_of_sums) {
        const UnitGrid grid = code_sums(
            blocks, add, [&](auto largest) { return grids_.unit(largest, one_of_sums); },
            [left = scratch_.r, right = scratch_.next_right](int r, int c, Two<I> codes) {
                left.put(r, c, codes);
                right.put(r, c, codes);
            });
        std::swap(scratch_.r_right, scratch_.next_right);
        set_ones(division_.diagonal(kBlock), scratch_.ones, grid.one);
        return grid.one;
    }

    // The sums of a product become the codes of an intermediate, on the grid that `choose` makes of
    // the largest sum.
    template <class Add, class Choose, class Put>
    auto code_sums(Blocks blocks, Add add, Choose choose, Put put) {
        const Numbers v = scratch_.v;
        if constexpr (Grids::kDynamic) {
            coder_.for_sums(blocks, add, [=](int r, int c, Two<F> sums, I&) { v.put(r, c, sums); });
            const auto grid =
                choose([=] { return largest_lane(largest(blocks, v, broadcast(0.0f))); });
            const F scale = broadcast(grid.to_grid);
            coder_.for_codes(blocks, [=](int r, int c, I& beyond) {
                put(r, c, codes<Bits>(multiply(v.get(r, c), scale), beyond));
            });
            return grid;
        } else {
            const auto grid = choose(nullptr);
            const F scale = broadcast(grid.to_grid);
            coder_.for_sums(blocks, add, [=](int r, int c, Two<F> sums, I& beyond) {
                put(r, c, codes<Bits>(multiply(sums, scale), beyond));
            });
            return grid;
        }
    }

    const nt_plan& plan_;
    const Division division_;
    Grids grids_;
    Scratch<Bits> scratch_;
    Coder<Bits> coder_;
    Operand<Bits, Grids> a_;
    Result<Bits, Grids> x_;
    OperandGrid a_grid_ = {};
};

// An InvertQuantized.
template <int Bits, class Grids>
QuantizedResult invert_quantized(const QuantizedJob& job, const Chunk& chunk,
                                 const float* constants, void* scratch) {
    Quantized<Bits, Grids> inversion(job, chunk, constants, scratch);
    inversion.run();
    return inversion.store(chunk);
}

template <int Bits>
constexpr QuantizedBits make_quantized_bits() {
    return {invert_quantized<Bits, StaticGrids>, invert_quantized<Bits, DynamicGrids>,
            Scratch<Bits>::bytes};
}

constexpr QuantizedKernels make_quantized() {
    return {make_quantized_bits<8>(),
            make_quantized_bits<16>(),
            {{load_rows<float, Half>, load_rows<float, BFloat16>, load_rows<float, float>,
              load_rows<float, double>, load_rows<float, int8_t>, load_rows<float, int16_t>},
             {store_rows<float, Half, false>, store_rows<float, BFloat16, false>,
              store_rows<float, float, false>, nullptr, store_rows<float, int8_t, false>,
              store_rows<float, int16_t, false>},
             {store_rows<float, Half, true>, store_rows<float, BFloat16, true>,
              store_rows<float, float, true>, nullptr, store_rows<float, int8_t, false>,
              store_rows<float, int16_t, false>},
             fence}};
}

}  // namespace neumann_tril::NT_ISA
