// The quantised inverse: quant/reference.py, to the bit.
//
//     A    codes of -A (of -M = -(I + A) where a residual is formed), a = rint(A a_inverse)
//     X    band_w((I + A)^-1) of every leaf, in float32;  codes x = rint(X n)
//     sum  R = I - M X of every leaf; X <- X (I + R) (I + R^2).. or, terms - 1 times, X <- X0 + X R
//     join T = -A21 X11; X21 = X22 T, for all pairs of blocks, from the leaves up
//     refinements times:  E = I - M X; X <- X (I + E)
//
// Every product is a sum of integers, turned to float32, V, and scaled to the codes of the next
// operand. All matrices are lower triangular: blocks of kBlock rows and columns above the diagonal
// are neither written nor read, and those on it are written whole.
#pragma once

#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "codes.h"

namespace neumann_tril::NT_ISA {

constexpr float kLimitOfA = 128;

// Square blocks of a chunk: those on the diagonal, or in every second of those the lower left.
struct Blocks {
    int n, side;
    bool on_diagonal;

    template <class Visit>
    void for_each(Visit visit) const {
        const int step = on_diagonal ? side : 2 * side;
        for (int i = 0; i < n; i += step) visit(Block{on_diagonal ? i : i + side, i, side});
    }
};

// A grid: the code of a one or the number that a code 1 stands for, and the multiplier to codes.
struct UnitGrid {
    float one, to_grid;
};
struct FreeGrid {
    float scale, to_grid;
};
struct OperandGrid {
    float inverse, scale, one;
};

// Grids from a row of constants, see neumann_tril_quant.h.
class StaticGrids {
  public:
    static constexpr bool kDynamic = false;
    StaticGrids(const float* constants, float) : head_(constants), step_(constants) {}

    OperandGrid a() const { return {head_[0], head_[1], head_[2]}; }
    float a_scale() const { return head_[1]; }
    template <class Largest>
    float x(Largest) const {
        return head_[3];
    }
    // The grid of the next intermediate; sums of it are asked for until the one after.
    template <class Largest>
    UnitGrid unit(Largest, float) {
        step_ += 4;
        return {step_[0], step_[1]};
    }
    template <class Largest>
    FreeGrid free(Largest, float) {
        step_ += 4;
        return {step_[2], step_[1]};
    }
    float to_x() const { return step_[2]; }
    float wide(float, float) const { return step_[3]; }
    float join(float, float) const { return step_[3]; }

  private:
    const float *head_, *step_;
};

// Grids that hold the largest magnitudes, which are asked for where they count.
class DynamicGrids {
  public:
    static constexpr bool kDynamic = true;
    DynamicGrids(const float*, float highest) : highest_(highest) {}

    template <class Largest>
    OperandGrid a(Largest largest, bool forms_m) const {
        const float bounded = std::min(std::max(largest(), kTiny), kLimitOfA);
        if (forms_m) {
            const float one = fitting(bounded);
            return {one, 1 / one, one};
        }
        const float scale = bounded / highest_;
        return {1 / scale, scale, 0};
    }
    float a_scale() const { return 1; }  // codes in A need static grids
    template <class Largest>
    float x(Largest largest) const {
        return fitting(largest());
    }
    template <class Largest>
    UnitGrid unit(Largest largest, float one) const {
        const float n = fitting(largest() / one);
        return {n, n / one};
    }
    template <class Largest>
    FreeGrid free(Largest largest, float scale) const {
        const float ratio = highest_ / std::max(largest(), 1.0f);
        return {scale / ratio, ratio};
    }
    float wide(float n, float p) const { return 1 / (n * p); }
    float join(float n, float scale) const { return scale / n; }

  private:
    static constexpr float kTiny = 0x1p-60f;  // smallest scale found on the fly
    float fitting(float largest) const {
        const float n = std::floor(highest_ / std::max(largest, kTiny));
        return std::min(std::max(n, 1.0f), highest_);
    }
    float highest_;
};

// Zeros, and a one in lane d if there is such a lane; d >= lanes - kBlock.
inline F unit_vector(int d) { return load(kDiagonal<float>.one + kBlock - std::min(d, kBlock)); }

// Bit patterns to load at kBlock - d: clear the first d lanes.
struct Suffix {
    uint32_t keep[2 * kBlock];
};
constexpr Suffix make_suffix() {
    Suffix s{};
    for (int i = kBlock; i < 2 * kBlock; ++i) s.keep[i] = ~s.keep[i];
    return s;
}
alignas(kCacheLine) constexpr Suffix kSuffix = make_suffix();

inline F from_lane(F a, int d) {
    const float* keep = reinterpret_cast<const float*>(kSuffix.keep) + kBlock;
    return mask(a, load(keep - std::clamp(d, 0, F::lanes)), broadcast(0.0f));
}

// The seeds of L leaves, rows [i, i + R), k ascending, every product and every difference rounded.
// The first leaf lies at a and x, rows `row` apart, the next `step` after it: side by side they
// hide each other's latencies. Above the diagonal every term is zero.
template <int R, int L>
inline void seed_rows(const float* a, float* x, ptrdiff_t row, ptrdiff_t step, int i, int leaf,
                      int bandwidth) {
    const int end = i / kBlock * kBlock + kBlock;
    for (int j = 0; j < end; j += F::lanes) {
        F s[L][R];
        NT_UNROLL
        for (int l = 0; l < L; ++l) NT_UNROLL
        for (int r = 0; r < R; ++r) s[l][r] = unit_vector(i + r - j);
        // Terms of k < i + r - bandwidth reach no entry of row i + r within the band.
        for (int k = std::max(j, i - bandwidth); k < i; ++k) {
            NT_UNROLL
            for (int l = 0; l < L; ++l) {
                const float* factors = a + l * step + i * row + k;
                const F known = load(x + l * step + k * row + j);
                NT_UNROLL
                for (int r = 0; r < R; ++r)
                    s[l][r] = subtract(s[l][r], multiply(broadcast(factors[r * row]), known));
            }
        }
        NT_UNROLL
        for (int r = 0; r < R; ++r) {
            NT_UNROLL
            for (int l = 0; l < L; ++l) {
                const float* factors = a + l * step + (i + r) * row + i;
                NT_UNROLL
                for (int k = 0; k < r; ++k)
                    s[l][r] = subtract(s[l][r], multiply(broadcast(factors[k]), s[l][k]));
                if (bandwidth < leaf - 1) s[l][r] = from_lane(s[l][r], i + r - bandwidth - j);
                store(x + l * step + (i + r) * row + j, s[l][r]);
            }
        }
    }
}

inline F finite(F a) {
    const F huge = broadcast(std::numeric_limits<float>::max());
    const F least = broadcast(std::numeric_limits<float>::lowest());
    return minimum(maximum(zero_if_nan(a), least), huge);
}

// Keeps the first d numbers of a row of kBlock.
inline void keep_lower(float* row, int d) {
    const float* keep = reinterpret_cast<const float*>(kDiagonal<float>.keep) + kBlock - d;
    for (int c = 0; c < kBlock; c += F::lanes)
        store(row + c, mask(load(row + c), load(keep + c), broadcast(0.0f)));
}

// One inversion.
template <int Bits, class Grids>
class Quantized {
  public:
    // Three matrices of float32, the rest of int16, and rows of A as they are loaded.
    static constexpr size_t scratch_bytes(int n) {
        const size_t int16_matrices = 5 * Left<Bits>::kParts + 4 * Right<Bits>::kParts;
        return n * n * (3 * sizeof(float) + int16_matrices * sizeof(int16_t)) +
               kBlock * kMaxChunk * sizeof(float);
    }

    Quantized(const QuantizedJob& job, const Chunk& chunk, const float* constants, void* scratch)
        : job_(job),
          chunk_(chunk),
          plan_(job.plan),
          n_(plan_.chunk_size),
          leaf_(plan_.chunk_size >> plan_.splits),
          forms_m_(plan_.terms > 1 || plan_.refinements > 0),
          grids_(constants, kHighest<Bits>),
          free_(static_cast<char*>(scratch)) {
        strip_ = take<float>(kBlock * kMaxChunk);
        take(v_);
        take(wide_);
        take(a_);
        take(x_);
        take(x_right_);
        take(r_right_);
        take(r_);
        take(next_right_);
        take(m_ones_);
        take(ones_);
        take(seed_);
        take(seed_wide_);
        int terms = plan_.terms - 1;
        if (plan_.form == NT_FORM_DOUBLING)
            for (terms = 0; 2 << terms <= plan_.terms;) ++terms;
        sums_left_ = terms + plan_.splits + plan_.refinements;
    }

    QuantizedResult run() {
        load_a();
        seed();
        if (plan_.terms > 1) sum_leaves();
        for (int side = leaf_; side < n_; side *= 2) join(side);
        for (int step = 0; step < plan_.refinements; ++step) refine();
        store_x();
        return {1 / n_of_x_, total(beyond_)};
    }

  private:
    // --- scratch

    template <class T>
    T* take(size_t count) {
        T* data = reinterpret_cast<T*>(free_);
        free_ += count * sizeof(T);
        return data;
    }
    void take(Numbers& m) { m = {take<float>(n_ * n_), n_}; }
    template <class Factor>
    void take(Factor& m) {
        for (int16_t*& part : m.part) part = take<int16_t>(n_ * n_);
        m.row = n_;
    }

    Blocks diagonal(int side) const { return {n_, side, true}; }
    Blocks lower_left(int side) const { return {n_, side, false}; }

    // --- codes

    static int64_t total(I counts) {
        alignas(kCacheLine) int32_t lanes[I::lanes];
        store(lanes, counts);
        return std::accumulate(lanes, lanes + I::lanes, int64_t(0));
    }
    static Two<I> codes(Two<F> scaled, I& beyond) {
        const F low = broadcast(kLeast<Bits>), high = broadcast(kMost<Bits>);
        return {codes_of(scaled.even, low, high, beyond), codes_of(scaled.odd, low, high, beyond)};
    }
    // visit(r, c, beyond) codes two rows and counts what saturates.
    template <class Visit>
    void for_codes(Blocks blocks, Visit visit) {
        blocks.for_each([&](Block block) {
            I beyond = beyond_;  // in a register
            block.for_pairs([&](int r, int c) { visit(r, c, beyond); });
            beyond_ = beyond;
        });
    }
    // visit(r, c, v, beyond) takes the sums of two rows, which `add` adds up for a block.
    template <class Add, class Visit>
    void for_sums(Blocks blocks, Add add, Visit visit) {
        blocks.for_each([&](Block block) {
            I beyond = beyond_;
            sum_products<Bits>(
                block, [=](Sums<Bits>& sums, int i, int j) { add(block, sums, i, j); },
                [&](int r, int c, Two<F> v) { visit(r, c, v, beyond); });
            beyond_ = beyond;
        });
    }

    static F largest(Block block, Numbers m, F so_far) {
        block.for_pairs([&](int r, int c) {
            const Two<F> a = m.get(r, c);
            so_far = maximum(so_far, maximum(magnitude(a.even), magnitude(a.odd)));
        });
        return so_far;
    }
    static float largest_lane(F a) {
        alignas(kCacheLine) float lanes[F::lanes];
        store(lanes, a);
        return *std::max_element(lanes, lanes + F::lanes);
    }
    // The largest magnitude in some blocks, found when it is asked for.
    static auto largest_in(Blocks blocks, Numbers m) {
        return [=] {
            F found = broadcast(0.0f);
            blocks.for_each([&](Block block) { found = largest(block, m, found); });
            return largest_lane(found);
        };
    }

    // --- A

    // No NaN, and within the limit of A.
    static F sanitised(F a) {
        return minimum(maximum(zero_if_nan(a), broadcast(-kLimitOfA)), broadcast(kLimitOfA));
    }
    // Reads A. Its leaves go to v, sanitised; `below(r, c, number)` takes what lies below them.
    // Rows after the valid ones are zero.
    template <class Below>
    void read_a(Below below) {
        const Numbers v = v_;
        for (int first = 0; first < n_; first += kBlock) {
            if (chunk_.next_a && job_.a_column_stride == 1)
                prefetch_rows(job_.a_row_stride, job_.a_item, chunk_.next_a, first, kBlock);
            const int count = std::min(std::max(chunk_.rows - first, 0), kBlock);
            const int leaf = first / leaf_ * leaf_;
            load_strip(first, count);
            for (int r = 0; r < kBlock; ++r) {
                const float* from = strip_ + r * kMaxChunk;
                for (int c = leaf; c < first + kBlock; c += F::lanes)
                    store(v.at(first + r, c), sanitised(load(from + c)));
                // The seed does not look above the diagonal.
                if (forms_m_ || Grids::kDynamic) keep_lower(v.at(first + r, first), r);
                if (job_.a_in_place && r < count)
                    from = static_cast<const float*>(chunk_.a) + (first + r) * job_.a_row_stride;
                for (int c = 0; c < leaf; c += F::lanes) below(first + r, c, load(from + c));
            }
        }
    }

    // Rows [first, first + kBlock) of A to the strip, without what can be read where it is.
    void load_strip(int first, int count) {
        const ptrdiff_t rows = job_.a_row_stride, columns = job_.a_column_stride;
        const int skipped = job_.a_in_place ? first / leaf_ * leaf_ : 0;
        const char* from =
            static_cast<const char*>(chunk_.a) + skipped * (rows + columns) * job_.a_item;
        job_.load(from, rows, columns, first - skipped, count, strip_ + skipped);
        if (job_.codes_in_a) {
            const F scale = broadcast(grids_.a_scale());
            for (int at = 0; at < count * kMaxChunk; at += F::lanes)
                store(strip_ + at, multiply(load(strip_ + at), scale));
        }
        std::fill(strip_ + count * kMaxChunk, strip_ + kBlock * kMaxChunk, 0.0f);
    }

    // Codes of -A; they saturate at -kHighest, too.
    static I codes_of_a(F number, F scale, I& beyond) {
        const F most = broadcast(kMost<Bits>), least = broadcast(-kMost<Bits>);
        return codes_of(multiply(number, scale), least, most, beyond);
    }

    void load_a() {
        const Left<Bits> to = a_;
        const Numbers v = v_;
        F scale;
        const auto code_a = [&](int r, int c, I& beyond) {
            const Two<F> a = v.get(r, c);
            to.put(r, c, {codes_of_a(a.even, scale, beyond), codes_of_a(a.odd, scale, beyond)});
        };
        if constexpr (Grids::kDynamic) {
            read_a([=](int r, int c, F a) { store(v.at(r, c), sanitised(a)); });
            a_grid_ = grids_.a(
                [&] {
                    F found = broadcast(0.0f);
                    for_operands([&](Blocks blocks) {
                        blocks.for_each([&](Block b) { found = largest(b, v, found); });
                    });
                    return largest_lane(found);
                },
                forms_m_);
            scale = broadcast(-a_grid_.inverse);
            for_operands([&](Blocks blocks) { for_codes(blocks, code_a); });
        } else {
            a_grid_ = grids_.a();
            scale = broadcast(-a_grid_.inverse);
            // Numbers whose codes are within the grid and the limit of A need not be sanitised.
            const float limit = std::min(kMost<Bits>, kLimitOfA * a_grid_.inverse);
            const F most = broadcast(limit), least = broadcast(-limit);
            I beyond = broadcast(int32_t(0));
            read_a([&](int r, int c, F a) {
                to.put_row(r, c, codes_of(multiply(a, scale), least, most, beyond));
            });
            if (total(beyond) > 0) {
                read_a([&](int r, int c, F a) {
                    to.put_row(r, c, codes_of_a(sanitised(a), scale, beyond_));
                });
            }
            if (forms_m_) for_codes(diagonal(leaf_), code_a);
        }
        if (forms_m_)
            for (int i = 0; i < n_; ++i) a_.put_number(i, i, -static_cast<int>(a_grid_.one));
    }
    // Visits the blocks of A that are operands: all, or those below the leaves.
    template <class Visit>
    void for_operands(Visit visit) const {
        if (forms_m_) return visit(diagonal(n_));
        for (int side = leaf_; side < n_; side *= 2) visit(lower_left(side));
    }

    // --- X

    // The numbers of X go to codes on its grid, chosen for all that is known of X.
    void code_x() {
        n_of_x_ = grids_.x(largest_in(diagonal(known_), wide_));
        const F n = broadcast(n_of_x_);
        const Numbers wide = wide_;
        const Left<Bits> left = x_;
        const Right<Bits> right = x_right_;
        for_codes(diagonal(known_), [=](int r, int c, I& beyond) {
            const Two<I> x = codes(multiply(wide.get(r, c), n), beyond);
            left.put(r, c, x);
            right.put(r, c, x);
        });
    }

    // Sums become part of X, whose diagonal is one, whatever `multiplier` makes of it.
    template <class Add>
    void put_sums(Blocks blocks, Add add, float multiplier) {
        put_rounded_sums(blocks, add, multiplier);
        for (int i = 0; blocks.on_diagonal && i < n_; ++i) *wide_.at(i, i) = 1;
        if (Grids::kDynamic) code_x();
    }
    template <class Add>
    void put_rounded_sums(Blocks blocks, Add add, float multiplier) {
        const F to_wide = broadcast(multiplier);
        const Numbers wide = wide_;
        if constexpr (Grids::kDynamic) {
            for_sums(blocks, add,
                     [=](int r, int c, Two<F> v, I&) { wide.put(r, c, multiply(v, to_wide)); });
        } else {
            const F to_x = broadcast(grids_.to_x());
            const Left<Bits> left = x_;
            const Right<Bits> right = x_right_;
            const auto put_wide_and_code = [=](int r, int c, Two<F> v, I& beyond) {
                wide.put(r, c, multiply(v, to_wide));
                return codes(multiply(v, to_x), beyond);
            };
            if (--sums_left_ == 0 && !job_.codes_in_x) {  // no operand any more
                for_sums(blocks, add, put_wide_and_code);
                return;
            }
            for_sums(blocks, add, [=](int r, int c, Two<F> v, I& beyond) {
                const Two<I> x = put_wide_and_code(r, c, v, beyond);
                left.put(r, c, x);
                right.put(r, c, x);
            });
        }
    }

    template <int L>
    void seed_rows_of(ptrdiff_t first, ptrdiff_t step, int i) const {
        seed_rows<kRows, L>(v_.data + first, wide_.data + first, n_, step, i, leaf_,
                            plan_.bandwidth);
    }
    void seed() {
        const int leaves = n_ / leaf_;
        const ptrdiff_t step = leaf_ * (n_ + 1);
        for (int i = 0; i < leaf_; i += kRows) {
            int l = 0;
            for (; l + 2 <= leaves; l += 2) seed_rows_of<2>(l * step, step, i);
            if (l < leaves) seed_rows_of<1>(l * step, step, i);
        }
        if (leaf_ > kBlock) {  // 16 rows within the limit of A stay finite
            diagonal(leaf_).for_each([&](Block leaf) {
                leaf.for_pairs([&](int r, int c) {
                    const Two<F> x = wide_.get(r, c);
                    wide_.put(r, c, {finite(x.even), finite(x.odd)});
                });
            });
        }
        known_ = leaf_;
        code_x();
    }

    // --- products: what `for_sums` adds up for a block
    //
    // A left factor may be the matrix that the sums go to: columns come in order, and none reads
    // what lies before it.

    // f g, the inner index running over the block's rows.
    static auto product(Left<Bits> f, Right<Bits> g) {
        return [=](Block block, Sums<Bits>& sums, int i, int j) {
            triangular(sums, f, g, i, j, block.row, block.row + block.size);
        };
    }
    // f g + h ones, for blocks on the diagonal.
    auto product_and(Left<Bits> f, Right<Bits> g, Left<Bits> h) const {
        return [=, ones = ones_](Block block, Sums<Bits>& sums, int i, int j) {
            triangular(sums, f, g, i, j, block.row, block.row + block.size);
            sums.template products<true>(h, ones, i, j, j, j + Sums<Bits>::kVectors * F::lanes);
        };
    }
    // I - M X, for blocks on the diagonal.
    auto residual_of_x() const {
        return [=, m = a_, x = x_right_, i_m = m_ones_, i_n = ones_](Block block, Sums<Bits>& sums,
                                                                     int i, int j) {
            triangular(sums, m, x, i, j, block.row, block.row + block.size);
            if (i / kBlock == j / kBlock)
                sums.template products<true>(i_m, i_n, i, j, j,
                                             j + Sums<Bits>::kVectors * F::lanes);
        };
    }

    // Diagonal blocks of the identity with the code `one`.
    template <class Factor>
    void set_ones(Factor to, float one) {
        alignas(kCacheLine) float rows[3 * kBlock] = {};
        rows[kBlock] = one;
        diagonal(kBlock).for_each([&](Block block) {
            block.for_pairs([&](int r, int c) {
                const float* even = rows + kBlock + c - r;
                to.put(r, c, {nearest(load(even)), nearest(load(even - 1))});
            });
        });
    }

    // The sums of a product become the codes of an intermediate, on the grid that `choose` makes of
    // the largest sum.
    template <class Add, class Choose, class Put>
    auto code_sums(Blocks blocks, Add add, Choose choose, Put put) {
        const Numbers v = v_;
        if constexpr (Grids::kDynamic) {
            for_sums(blocks, add, [=](int r, int c, Two<F> sums, I&) { v.put(r, c, sums); });
            const auto grid = choose(largest_in(blocks, v));
            const F scale = broadcast(grid.to_grid);
            for_codes(blocks, [=](int r, int c, I& beyond) {
                put(r, c, codes(multiply(v.get(r, c), scale), beyond));
            });
            return grid;
        } else {
            const auto grid = choose(nullptr);
            const F scale = broadcast(grid.to_grid);
            for_sums(blocks, add, [=](int r, int c, Two<F> sums, I& beyond) {
                put(r, c, codes(multiply(sums, scale), beyond));
            });
            return grid;
        }
    }
    // The same for R, E and powers of R, as either factor; returns the code of a one.
    template <class Add>
    float code_residual(Blocks blocks, Add add, float one_of_sums) {
        const UnitGrid grid = code_sums(
            blocks, add, [&](auto largest) { return grids_.unit(largest, one_of_sums); },
            [left = r_, right = next_right_](int r, int c, Two<I> codes) {
                left.put(r, c, codes);
                right.put(r, c, codes);
            });
        std::swap(r_right_, next_right_);
        set_ones(ones_, grid.one);
        return grid.one;
    }
    float residual(Blocks blocks) {
        set_ones(m_ones_, a_grid_.one);
        set_ones(ones_, n_of_x_);
        return code_residual(blocks, residual_of_x(), a_grid_.one * n_of_x_);
    }

    void sum_leaves() {
        const Blocks leaves = diagonal(leaf_);
        float one = residual(leaves);
        if (plan_.form == NT_FORM_SEQUENTIAL) return horner(leaves, one);
        for (int power = 2; power <= plan_.terms; power *= 2) {
            if (power > 2) {
                one = code_residual(leaves, product(r_, r_right_), one * one);
            }
            put_sums(leaves, product_and(x_, r_right_, x_), grids_.wide(n_of_x_, one));
        }
    }

    // Y = X0 + Y R, terms - 1 times; every Y lives on X's grid, and so does X0.
    void horner(Blocks leaves, float one) {
        const Numbers wide = wide_, kept = seed_wide_;
        const Left<Bits> seed = seed_;
        leaves.for_each([=](Block block) {
            block.for_pairs([=](int r, int c) { kept.put(r, c, wide.get(r, c)); });
        });
        for (int term = 1; term < plan_.terms; ++term) {
            const F n = broadcast(n_of_x_);
            const I counted = beyond_;
            for_codes(leaves, [=](int r, int c, I& beyond) {
                seed.put(r, c, codes(multiply(kept.get(r, c), n), beyond));
            });
            beyond_ = counted;  // these saturate with the seed
            put_sums(leaves, product_and(x_, r_right_, seed_), grids_.wide(n_of_x_, one));
        }
    }

    // X21 = X22 T, T = -A21 X11
    void join(int side) {
        const Blocks blocks = lower_left(side);
        const auto a21_x11 = [a = a_, x = x_right_](Block block, Sums<Bits>& sums, int i, int j) {
            triangular(sums, a, x, i, j, block.column, block.row);
        };
        const FreeGrid grid = code_sums(
            blocks, a21_x11,
            [&](auto largest) { return grids_.free(largest, a_grid_.scale / n_of_x_); },
            [right = r_right_](int r, int c, Two<I> codes) { right.put(r, c, codes); });
        known_ = 2 * side;
        put_sums(blocks, product(x_, r_right_), grids_.join(n_of_x_, grid.scale));
    }

    // X <- X (I + E), E = I - M X
    void refine() {
        const Blocks whole = diagonal(n_);
        const float one = residual(whole);
        put_sums(whole, product_and(x_, r_right_, x_), grids_.wide(n_of_x_, one));
    }

    // --- result

    void store_x() const {
        if (job_.codes_in_x) {
            diagonal(n_).for_each([&](Block block) {
                block.for_pairs([&](int r, int c) {
                    wide_.put(r, c, {x_.get_row(r, c), x_.get_row(r + 1, c)});
                });
            });
        } else if (job_.largest < std::numeric_limits<float>::max()) {
            const F most = broadcast(job_.largest), least = broadcast(-job_.largest);
            const auto held = [&](F a) { return minimum(maximum(a, least), most); };
            diagonal(n_).for_each([&](Block block) {
                block.for_pairs([&](int r, int c) {
                    const Two<F> x = wide_.get(r, c);
                    wide_.put(r, c, {held(x.even), held(x.odd)});
                });
            });
        }
        job_.store({wide_.data, kBlock, n_}, 0, chunk_.rows, n_, chunk_.x, job_.x_row_stride,
                   job_.x_column_stride);
    }

    const QuantizedJob& job_;
    const Chunk& chunk_;
    const nt_plan& plan_;
    const int n_, leaf_;
    const bool forms_m_;
    Grids grids_;
    char* free_;

    float* strip_;  // rows of A as they are loaded
    Numbers v_;     // A, then the sums of a product
    Numbers wide_;  // X
    Left<Bits> a_;  // -A or -M
    Left<Bits> x_;  // X, as either factor
    Right<Bits> x_right_;
    Right<Bits> r_right_;  // R, its powers, T, E
    Left<Bits> r_;
    Right<Bits> next_right_;  // takes the next power of R
    Left<Bits> m_ones_;       // the identity, as codes of M's grid and of another
    Right<Bits> ones_;
    Left<Bits> seed_;  // X0 in sequential form
    Numbers seed_wide_;

    OperandGrid a_grid_;
    float n_of_x_;   // the code of a one in X
    int sums_left_;  // that become part of X
    int known_;      // X is known in blocks of so many rows on the diagonal
    I beyond_ = broadcast(int32_t(0));
};

// An InvertQuantized.
template <int Bits, class Grids>
QuantizedResult invert_quantized(const QuantizedJob& job, const Chunk& chunk,
                                 const float* constants, void* scratch) {
    return Quantized<Bits, Grids>(job, chunk, constants, scratch).run();
}

template <int Bits>
constexpr QuantizedBits make_quantized_bits() {
    return {invert_quantized<Bits, StaticGrids>, invert_quantized<Bits, DynamicGrids>,
            Quantized<Bits, StaticGrids>::scratch_bytes};
}

constexpr QuantizedKernels make_quantized() {
    return {make_quantized_bits<8>(),
            make_quantized_bits<16>(),
            {load_rows<float, Half>, load_rows<float, BFloat16>, load_rows<float, float>,
             load_rows<float, double>, load_rows<float, int8_t>, load_rows<float, int16_t>},
            {store_rows<float, Half, false>, store_rows<float, BFloat16, false>,
             store_rows<float, float, false>, nullptr, store_rows<float, int8_t, false>,
             store_rows<float, int16_t, false>},
            {store_rows<float, Half, true>, store_rows<float, BFloat16, true>,
             store_rows<float, float, true>, nullptr, store_rows<float, int8_t, false>,
             store_rows<float, int16_t, false>},
            fence};
}

}  // namespace neumann_tril::NT_ISA
