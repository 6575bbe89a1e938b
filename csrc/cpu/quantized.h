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

    template <class Largest>
    OperandGrid a(Largest, bool) const {
        return {head_[0], head_[1], head_[2]};
    }
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

// Bit patterns to load at kBlock - d: clear the first d lanes of kBlock.
struct Suffix {
    uint32_t keep[2 * kBlock];
};
constexpr Suffix make_suffix() {
    Suffix s{};
    for (int i = kBlock; i < 2 * kBlock; ++i) s.keep[i] = ~s.keep[i];
    return s;
}
alignas(kCacheLine) constexpr Suffix kSuffix = make_suffix();

inline void clear_prefix(F (&row)[kVectors<float>], int d) {
    const float* keep =
        reinterpret_cast<const float*>(kSuffix.keep) + kBlock - std::clamp(d, 0, kBlock);
    NT_UNROLL
    for (int v = 0; v < kVectors<float>; ++v)
        row[v] = mask(row[v], load(keep + v * F::lanes), broadcast(0.0f));
}

// The seed of a leaf, rows [i, i + R), k ascending, every product and every difference rounded. A
// leaf lies at a and x, rows `row` apart.
template <int R>
inline void seed_rows(const float* a, float* x, ptrdiff_t row, int i, int leaf, int bandwidth) {
    using S = Strip<float, R>;
    constexpr int vectors = kVectors<float>;
    for (int j = 0; j <= i; j += kBlock) {
        S s = zero_strip<float, R>();
        // Terms of k < i + r - bandwidth reach no entry of row i + r within the band.
        for (int k = std::max(j, i - bandwidth); k < i; ++k) {
            F known[vectors];
            NT_UNROLL
            for (int v = 0; v < vectors; ++v) known[v] = load(x + k * row + j + v * F::lanes);
            NT_UNROLL
            for (int r = 0; r < R; ++r) {
                const F scale = broadcast(a[(i + r) * row + k]);
                NT_UNROLL
                for (int v = 0; v < vectors; ++v)
                    s.v[r][v] = subtract(s.v[r][v], multiply(scale, known[v]));
            }
        }
        const bool on_diagonal = i - j < kBlock;
        NT_UNROLL
        for (int r = 0; r < R; ++r) {
            NT_UNROLL
            for (int k = 0; k < r; ++k) {
                const F scale = broadcast(a[(i + r) * row + i + k]);
                NT_UNROLL
                for (int v = 0; v < vectors; ++v)
                    s.v[r][v] = subtract(s.v[r][v], multiply(scale, s.v[k][v]));
            }
            if (on_diagonal) make_unit_lower<float>(s.v[r], i + r - j);
            if (bandwidth < leaf - 1) clear_prefix(s.v[r], i + r - bandwidth - j);
            NT_UNROLL
            for (int v = 0; v < vectors; ++v)
                store(x + (i + r) * row + j + v * F::lanes, s.v[r][v]);
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
        const size_t int16_matrices = 4 * Left<Bits>::kParts + 3 * Right<Bits>::kParts;
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
        take(ones_);
        take(seed_);
        take(seed_wide_);
    }

    QuantizedResult run() {
        load_a();
        code_a();
        seed();
        if (plan_.terms > 1) sum_leaves();
        for (int side = leaf_; side < n_; side *= 2) join(side);
        for (int step = 0; step < plan_.refinements; ++step) refine();
        store_x();
        alignas(kCacheLine) int32_t lanes[I::lanes];
        store(lanes, beyond_);
        int64_t saturated = 0;
        for (int32_t lane : lanes) saturated += lane;
        return {1 / n_of_x_, saturated};
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

    // visit(r, c, beyond) codes two rows and counts what saturates.
    template <class Visit>
    void for_codes(Block block, Visit visit) {
        I beyond = beyond_;  // in a register
        block.for_pairs([&](int r, int c) { visit(r, c, beyond); });
        beyond_ = beyond;
    }
    static Two<I> codes(Two<F> scaled, float lowest, I& beyond) {
        const F low = broadcast(lowest), high = broadcast(kHighest<Bits>);
        return {codes_of(scaled.even, low, high, beyond), codes_of(scaled.odd, low, high, beyond)};
    }
    static Two<I> codes(Two<F> scaled, I& beyond) { return codes(scaled, kLowest<Bits>, beyond); }

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

    // The numbers of A to v: no NaN, within the limit, zero above the diagonal and after the rows.
    void load_a() {
        const F unit = broadcast(job_.codes_in_a ? grids_.a_scale() : 1.0f);
        const F limit = broadcast(kLimitOfA), least = broadcast(-kLimitOfA);
        for (int first = 0; first < n_; first += kBlock) {
            const int count = std::min(std::max(chunk_.rows - first, 0), kBlock);
            job_.load(chunk_.a, job_.a_row_stride, job_.a_column_stride, first, count, strip_);
            for (int r = 0; r < kBlock; ++r) {
                float* to = v_.at(first + r, 0);
                const float* from = strip_ + r * kMaxChunk;
                if (r >= count) {
                    std::fill(to, to + first + kBlock, 0.0f);
                    continue;
                }
                for (int c = 0; c < first + kBlock; c += F::lanes) {
                    const F number = zero_if_nan(multiply(load(from + c), unit));
                    store(to + c, minimum(maximum(number, least), limit));
                }
                keep_lower(to + first, r);
            }
        }
    }

    // Visits the blocks of A that are operands: all, or those below the leaves.
    template <class Visit>
    void for_operands(Visit visit) const {
        if (forms_m_) {
            diagonal(n_).for_each(visit);
        } else {
            for (int side = leaf_; side < n_; side *= 2) lower_left(side).for_each(visit);
        }
    }

    void code_a() {
        const auto largest_operand = [&] {
            F found = broadcast(0.0f);
            for_operands([&](Block block) { found = largest(block, v_, found); });
            return largest_lane(found);
        };
        a_grid_ = grids_.a(largest_operand, forms_m_);
        const F scale = broadcast(-a_grid_.inverse);
        for_operands([&](Block block) {
            for_codes(block, [&](int r, int c, I& beyond) {
                a_.put(r, c, codes(multiply(v_.get(r, c), scale), -kHighest<Bits>, beyond));
            });
        });
        if (forms_m_)
            for (int i = 0; i < n_; ++i) a_.put_number(i, i, -static_cast<int>(a_grid_.one));
    }

    // --- X

    // X as numbers in some blocks goes to codes on X's grid, chosen for all that is known of X.
    void code_x() {
        n_of_x_ = grids_.x(largest_in(diagonal(known_), wide_));
        const F n = broadcast(n_of_x_);
        diagonal(known_).for_each([&](Block block) {
            for_codes(block, [&](int r, int c, I& beyond) {
                put_x(r, c, codes(multiply(wide_.get(r, c), n), beyond));
            });
        });
    }
    void put_x(int r, int c, Two<I> x) const {
        x_.put(r, c, x);
        x_right_.put(r, c, x);
    }

    // Sums become part of X.
    void put_sums(Blocks blocks, float multiplier) {
        const F to_wide = broadcast(multiplier);
        if constexpr (Grids::kDynamic) {
            blocks.for_each([&](Block block) {
                block.for_pairs(
                    [&](int r, int c) { wide_.put(r, c, multiply(v_.get(r, c), to_wide)); });
            });
            code_x();
        } else {
            const F to_x = broadcast(grids_.to_x());
            blocks.for_each([&](Block block) {
                for_codes(block, [&](int r, int c, I& beyond) {
                    const Two<F> v = v_.get(r, c);
                    wide_.put(r, c, multiply(v, to_wide));
                    put_x(r, c, codes(multiply(v, to_x), beyond));
                });
            });
        }
    }

    void seed() {
        diagonal(leaf_).for_each([&](Block leaf) {
            for (int i = 0; i < leaf_; i += kRows)
                seed_rows<kRows>(v_.at(leaf.row, leaf.row), wide_.at(leaf.row, leaf.row), n_, i,
                                 leaf_, plan_.bandwidth);
            leaf.for_pairs([&](int r, int c) {
                const Two<F> x = wide_.get(r, c);
                wide_.put(r, c, {finite(x.even), finite(x.odd)});
            });
        });
        known_ = leaf_;
        code_x();
    }

    // --- products

    void product(Blocks blocks, Left<Bits> f, Right<Bits> g) {
        blocks.for_each([&](Block block) {
            sum_products<Bits>(block, v_, [&](Sums<Bits>& sums, int i, int j) {
                add_triangular(sums, f, g, i, j, block.row, block.row + block.size);
            });
        });
    }
    // f g + h ones, for blocks on the diagonal.
    void product_and(Blocks blocks, Left<Bits> f, Right<Bits> g, Left<Bits> h) {
        constexpr int width = Sums<Bits>::kVectors * F::lanes;
        blocks.for_each([&](Block block) {
            sum_products<Bits>(block, v_, [&](Sums<Bits>& sums, int i, int j) {
                add_triangular(sums, f, g, i, j, block.row, block.row + block.size);
                sums.add_products(h, ones_, i, j, j, j + width);
            });
        });
    }

    // ones = the identity with the code `one`, of which only blocks on the diagonal are read.
    void set_ones(float one) {
        alignas(kCacheLine) float rows[2][kBlock] = {};
        diagonal(kBlock).for_each([&](Block block) {
            block.for_pairs([&](int r, int c) {
                rows[0][r - block.row] = rows[1][r + 1 - block.row] = one;
                const int at = c - block.column;
                ones_.put(r, c, {to_integer(load(rows[0] + at)), to_integer(load(rows[1] + at))});
                rows[0][r - block.row] = rows[1][r + 1 - block.row] = 0;
            });
        });
    }

    // v becomes the codes of the next intermediate.
    template <class Put>
    void code_v(Blocks blocks, float to_grid, Put put) {
        const F scale = broadcast(to_grid);
        blocks.for_each([&](Block block) {
            for_codes(block, [&](int r, int c, I& beyond) {
                put(r, c, codes(multiply(v_.get(r, c), scale), beyond));
            });
        });
    }
    // The same, as both factors; returns the code of a one.
    float code_residual(Blocks blocks, float one_of_v) {
        const UnitGrid grid = grids_.unit(largest_in(blocks, v_), one_of_v);
        code_v(blocks, grid.to_grid, [&](int r, int c, Two<I> codes) {
            r_.put(r, c, codes);
            r_right_.put(r, c, codes);
        });
        set_ones(grid.one);
        return grid.one;
    }

    // R = I - M X of the blocks on the diagonal.
    float residual(Blocks blocks) {
        product(blocks, a_, x_right_);
        for (int i = 0; i < n_; ++i) *v_.at(i, i) = 0;  // -m n, and one is m n
        return code_residual(blocks, a_grid_.one * n_of_x_);
    }

    void sum_leaves() {
        const Blocks leaves = diagonal(leaf_);
        float one = residual(leaves);
        if (plan_.form == NT_FORM_SEQUENTIAL) return horner(leaves, one);
        for (int power = 2; power <= plan_.terms; power *= 2) {
            if (power > 2) {
                product(leaves, r_, r_right_);
                one = code_residual(leaves, one * one);
            }
            product_and(leaves, x_, r_right_, x_);
            put_sums(leaves, grids_.wide(n_of_x_, one));
        }
    }

    // Y = X0 + Y R, terms - 1 times; every Y lives on X's grid, and so does X0.
    void horner(Blocks leaves, float one) {
        leaves.for_each([&](Block block) {
            block.for_pairs([&](int r, int c) { seed_wide_.put(r, c, wide_.get(r, c)); });
        });
        for (int term = 1; term < plan_.terms; ++term) {
            const F n = broadcast(n_of_x_);
            I uncounted = broadcast(int32_t(0));
            leaves.for_each([&](Block block) {
                block.for_pairs([&](int r, int c) {
                    seed_.put(r, c, codes(multiply(seed_wide_.get(r, c), n), uncounted));
                });
            });
            product_and(leaves, x_, r_right_, seed_);
            put_sums(leaves, grids_.wide(n_of_x_, one));
        }
    }

    // X21 = X22 T, T = -A21 X11
    void join(int side) {
        const Blocks blocks = lower_left(side);
        blocks.for_each([&](Block block) {
            sum_products<Bits>(block, v_, [&](Sums<Bits>& sums, int i, int j) {
                add_triangular(sums, a_, x_right_, i, j, block.column, block.row);
            });
        });
        const FreeGrid grid = grids_.free(largest_in(blocks, v_), a_grid_.scale / n_of_x_);
        code_v(blocks, grid.to_grid,
               [&](int r, int c, Two<I> codes) { r_right_.put(r, c, codes); });
        product(blocks, x_, r_right_);
        known_ = 2 * side;
        put_sums(blocks, grids_.join(n_of_x_, grid.scale));
    }

    // X <- X (I + E), E = I - M X
    void refine() {
        const Blocks whole = diagonal(n_);
        const float one = residual(whole);
        product_and(whole, x_, r_right_, x_);
        put_sums(whole, grids_.wide(n_of_x_, one));
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

    float* strip_;         // rows of A as they are loaded
    Numbers v_;            // A, then the sums of a product
    Numbers wide_;         // X
    Left<Bits> a_;         // -A or -M
    Left<Bits> x_;         // X, as either factor
    Right<Bits> x_right_;
    Right<Bits> r_right_;  // R, its powers, T, E
    Left<Bits> r_;
    Right<Bits> ones_;
    Left<Bits> seed_;  // X0 in sequential form
    Numbers seed_wide_;

    OperandGrid a_grid_;
    float n_of_x_;  // the code of a one in X
    int known_;     // X is known in blocks of so many rows on the diagonal
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
