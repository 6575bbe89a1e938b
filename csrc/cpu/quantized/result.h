// X of one inversion, as numbers and as codes.
#pragma once

#include "coder.h"
#include "grids.h"
#include "scratch.h"
#include "seed.h"

namespace neumann_tril::NT_ISA {

// The sums of products that become part of X.
inline int sums_in_x(const nt_plan& plan) {
    int terms = plan.terms - 1;
    if (plan.form == NT_FORM_DOUBLING)
        for (terms = 0; 2 << terms <= plan.terms;) ++terms;
    return terms + plan.splits + plan.refinements;
}

template <int Bits, class Grids>
class Result {
  public:
    Result(const QuantizedJob& job, const Division& division, const Grids& grids,
           const Scratch<Bits>& scratch, Coder<Bits>& coder)
        : job_(job),
          division_(division),
          grids_(grids),
          scratch_(scratch),
          coder_(coder),
          sums_left_(sums_in_x(job.plan)) {}

    // The code of a one.
    float one() const { return one_; }

    void seed() {
        seed_leaves(division_, job_.plan.bandwidth, scratch_.v, scratch_.wide);
        known_ = division_.leaf;
        code();
    }

    // Sums become part of X, whose diagonal is one, whatever `multiplier` makes of it.
    template <class Add>
    void put_sums(Blocks blocks, Add add, float multiplier) {
        if (!blocks.on_diagonal) known_ = 2 * blocks.side;
        put_rounded_sums(blocks, add, multiplier);
        for (int i = 0; blocks.on_diagonal && i < division_.n; ++i) *scratch_.wide.at(i, i) = 1;
        if (Grids::kDynamic) code();
    }

    // Writes the valid rows of the chunk.
    void store(const Chunk& chunk) const {
        if (job_.codes_in_x) {
            put_codes();
        } else if (job_.largest < std::numeric_limits<float>::max()) {
            put_held();
        }
        job_.store({scratch_.wide.data, kBlock, division_.n}, 0, chunk.rows, division_.n, chunk.x,
                   job_.x_row_stride, job_.x_column_stride);
    }

  private:
    // The numbers go to codes on X's grid, chosen for all that is known of X.
    void code() {
        const Numbers wide = scratch_.wide;
        const Blocks known = division_.diagonal(known_);
        one_ = grids_.x([=] { return largest_lane(largest(known, wide, broadcast(0.0f))); });
        const F n = broadcast(one_);
        const Left<Bits> left = scratch_.x;
        const Right<Bits> right = scratch_.x_right;
        coder_.for_codes(known, [=](int r, int c, I& beyond) {
            const Two<I> x = codes<Bits>(multiply(wide.get(r, c), n), beyond);
            left.put(r, c, x);
            right.put(r, c, x);
        });
    }

    template <class Add>
    void put_rounded_sums(Blocks blocks, Add add, float multiplier) {
        const F to_wide = broadcast(multiplier);
        const Numbers wide = scratch_.wide;
        if constexpr (Grids::kDynamic) {
            coder_.for_sums(blocks, add, [=](int r, int c, Two<F> v, I&) {
                wide.put(r, c, multiply(v, to_wide));
            });
        } else {
            const F to_x = broadcast(grids_.to_x());
            const Left<Bits> left = scratch_.x;
            const Right<Bits> right = scratch_.x_right;
            const auto put_wide_and_code = [=](int r, int c, Two<F> v, I& beyond) {
                wide.put(r, c, multiply(v, to_wide));
                return codes<Bits>(multiply(v, to_x), beyond);
            };
            if (--sums_left_ == 0 && !job_.codes_in_x) {  // no operand any more
                coder_.for_sums(blocks, add, put_wide_and_code);
                return;
            }
            coder_.for_sums(blocks, add, [=](int r, int c, Two<F> v, I& beyond) {
                const Two<I> x = put_wide_and_code(r, c, v, beyond);
                left.put(r, c, x);
                right.put(r, c, x);
            });
        }
    }

    // The codes take the place of the numbers.
    void put_codes() const {
        const Left<Bits> x = scratch_.x;
        const Numbers wide = scratch_.wide;
        division_.whole().for_each([=](Block block) {
            block.for_pairs(
                [=](int r, int c) { wide.put(r, c, {x.get_row(r, c), x.get_row(r + 1, c)}); });
        });
    }
    // No number is larger than those of the dtype of X.
    void put_held() const {
        const F most = broadcast(job_.largest), least = broadcast(-job_.largest);
        const auto held = [=](F a) { return minimum(maximum(a, least), most); };
        const Numbers wide = scratch_.wide;
        division_.whole().for_each([=](Block block) {
            block.for_pairs([=](int r, int c) {
                const Two<F> x = wide.get(r, c);
                wide.put(r, c, {held(x.even), held(x.odd)});
            });
        });
    }

    const QuantizedJob& job_;
    const Division& division_;
    const Grids& grids_;
    const Scratch<Bits>& scratch_;
    Coder<Bits>& coder_;
    int sums_left_;
    int known_ = 0;  // X is known in blocks of so many rows on the diagonal
    float one_ = 0;
};

}  // namespace neumann_tril::NT_ISA
