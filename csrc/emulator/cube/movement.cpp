// Data movement by the transfer engines: plain runs, ND to NZ, constant fill.
#include <algorithm>
#include <cstring>

#include "cube/atomic.h"
#include "cube/cube.h"
#include "cube/loop_mode.h"

namespace emulator {

using AscendC::DataCopyParams;

namespace {

constexpr uint64_t kBlock = 32;

void check_copy(const DataCopyParams& params, Site site) {
    require_field("DataCopy", "blockCount", params.blockCount, 0, 4095, site);
}

// Runs of `run` bytes, `pitch` bytes from start to start.
Region runs(uint64_t run, uint64_t count, uint64_t pitch) {
    return {0, run, count, static_cast<int64_t>(pitch), 1, 0};
}

// The runs of a copy; the destination counts in `unit` bytes.
struct Pieces {
    uint64_t run, count, src_pitch, dst_pitch;

    explicit Pieces(const DataCopyParams& params, uint64_t unit = kBlock)
        : run(params.blockLen * unit),
          count(params.blockCount),
          src_pitch(run + params.srcGap * kBlock),
          dst_pitch(run + params.dstGap * unit) {}

    Region in_source() const { return runs(run, count, src_pitch); }
    Region in_destination() const { return runs(run, count, dst_pitch); }
};

}  // namespace

DataCopyParams contiguous(uint32_t count, uint64_t bytes, Site site) {
    if (bytes % kBlock != 0) {
        fail(site, "DataCopy: %u elements are %llu bytes, not a multiple of 32", count,
             static_cast<unsigned long long>(bytes));
    }
    if (bytes / kBlock > 65535) {
        fail(site, "DataCopy: %llu bytes, at most 65535 x 32",
             static_cast<unsigned long long>(bytes));
    }
    return {1, static_cast<uint32_t>(bytes / kBlock), 0, 0};
}

void copy_gm_to_local(const LocalOperand& dst, const GlobalOperand& src,
                      const DataCopyParams& params, Site site) {
    check_copy(params, site);
    if (params.blockCount == 0 || params.blockLen == 0) return;
    const View to = view_of(dst, 32, "dst", site);
    if (to.buffer() != Buffer::L1 && to.buffer() != Buffer::UB) {
        fail(site, "DataCopy: there is no path from GM to %s", buffer_name(to.buffer()));
    }
    const View from = view_of(src, "src", site);
    const Pieces pieces(params);
    Instruction copy(PIPE_MTE2, "DataCopy", site);
    const auto once = [&](const View& there, const View& here) {
        copy.reads(here, pieces.in_source());
        copy.writes(there, pieces.in_destination());
        for (uint32_t i = 0; i < params.blockCount; ++i) {
            std::memcpy(there.data(i * pieces.dst_pitch), here.data(i * pieces.src_pitch),
                        pieces.run);
        }
    };
    for_each_iteration(true, to, from, pieces.in_destination(), site, once);
    copy.issue(0, 0);
}

void copy_local_to_gm(const GlobalOperand& dst, const LocalOperand& src,
                      const DataCopyParams& params, Site site) {
    check_copy(params, site);
    if (params.blockCount == 0 || params.blockLen == 0) return;
    const View from = view_of(src, 32, "src", site);
    const int arch = current_core().machine.soc().arch;
    if (from.buffer() != Buffer::UB && !(from.buffer() == Buffer::L1 && arch == 2201)) {
        fail(site, "DataCopy: there is no path from %s to GM on architecture %d",
             buffer_name(from.buffer()), arch);
    }
    const View to = view_of(dst, "dst", site);
    const Pieces pieces(params);
    Instruction copy(PIPE_MTE3, "DataCopy", site);
    for_each_iteration(
        false, to, from, pieces.in_destination(), site, [&](const View& there, const View& here) {
            store_runs(copy, there, pieces.in_destination(), here, pieces.in_source(), dst.type);
        });
    copy.issue(0, 0);
}

namespace {

// L1 to the bias table: a half source is widened to float on the way.
void copy_to_bias(const View& to, const View& from, const LocalOperand& dst,
                  const LocalOperand& src, const DataCopyParams& params, Site site) {
    Instruction copy(PIPE_MTE1, "DataCopy", site);
    const Soc& soc = copy.core().machine.soc();
    // dst units: 64 bytes on 2201; 32 bytes and an even length on 3510.
    const uint64_t unit = soc.arch == 2201 ? 64 : 32;
    if (soc.arch == 3510 && params.blockLen % 2 != 0) {
        fail(site, "DataCopy to BT: blockLen %u must be even", uint32_t{params.blockLen});
    }
    const bool widen = size_of(src.type) == 2 && size_of(dst.type) == 4;
    if (!widen && size_of(src.type) != size_of(dst.type)) {
        fail(site, "DataCopy to BT: from %s to %s", dtype_name(src.type), dtype_name(dst.type));
    }
    const uint64_t run = params.blockLen * unit;
    const uint64_t out = widen ? run * 2 : run;
    const uint64_t src_pitch = run + params.srcGap * kBlock;
    const uint64_t dst_pitch = out + params.dstGap * unit;
    copy.reads_raw(from, runs(run, params.blockCount, src_pitch));
    copy.writes_raw(to, runs(out, params.blockCount, dst_pitch));
    for (uint32_t i = 0; i < params.blockCount; ++i) {
        if (!widen) {
            Instruction::copy_raw(to, i * dst_pitch, from, i * src_pitch, run);
            continue;
        }
        for (uint64_t e = 0; e < run / 2; ++e) {
            const uint64_t source = i * src_pitch + e * 2, target = i * dst_pitch + e * 4;
            uint16_t bits;
            std::memcpy(&bits, from.data(source), 2);
            const float value =
                src.type == DType::BF16 ? float_of_bfloat16_bits(bits) : float_of_half_bits(bits);
            std::memcpy(to.data(target), &value, 4);
            std::memset(to.written(target), from.written(source)[0] & from.written(source)[1], 4);
        }
    }
    copy.issue({&Costs::mte1_gap, static_cast<double>(out * params.blockCount), &Costs::l1_to_bias,
                &Costs::mte1_latency});
}

}  // namespace

void copy_local_to_local(const LocalOperand& dst, const LocalOperand& src,
                         const DataCopyParams& params, Site site) {
    check_copy(params, site);
    if (params.blockCount == 0 || params.blockLen == 0) return;
    const Buffer to_buffer = buffer_of(dst.position, site);
    const Buffer from_buffer = buffer_of(src.position, site);
    const View from = view_of(src, 32, "src", site);
    const Machine& machine = current_core().machine;
    if (from_buffer == Buffer::L1 && to_buffer == Buffer::BT) {
        return copy_to_bias(view_of(dst, 64, "dst", site), from, dst, src, params, site);
    }
    // L1 to the Fixpipe buffer counts in 128 bytes; UB to UB in blocks, on the vector unit.
    uint64_t unit = kBlock;
    Work work;
    pipe_t pipe;
    const uint64_t blocks = uint64_t{params.blockLen} * params.blockCount;
    if (from_buffer == Buffer::L1 && to_buffer == Buffer::FB) {
        pipe = PIPE_FIX;
        unit = machine.soc().arch == 2201 ? 128 : 64;
        work = {&Costs::fixpipe_gap, static_cast<double>(blocks * unit),
                &Costs::l1_to_fixpipe_buffer, &Costs::fixpipe_latency};
    } else if (from_buffer == Buffer::UB && to_buffer == Buffer::UB) {
        pipe = PIPE_V;
        work = {&Costs::vector_gap, static_cast<double>(blocks * kBlock),
                &Costs::vector_bytes_per_cycle, &Costs::vector_latency};
    } else if (from_buffer == Buffer::UB && to_buffer == Buffer::L1 && machine.soc().arch == 3510) {
        pipe = PIPE_MTE3;  // to L1 of the block's cube core; the rate is assumed
        work = {&Costs::mte1_gap, static_cast<double>(blocks * kBlock), &Costs::l1_to_l0a,
                &Costs::mte1_latency};
    } else {
        fail(site, "DataCopy: there is no path from %s to %s", buffer_name(from_buffer),
             buffer_name(to_buffer));
    }
    const View to = pipe == PIPE_MTE3
                        ? block_view(Buffer::L1, -1, dst.address, dst.bytes, 32, "dst", site)
                        : view_of(dst, to_buffer == Buffer::FB ? 128 : 32, "dst", site);
    const Pieces pieces(params, unit);
    Instruction copy(pipe, "DataCopy", site);
    copy.reads_raw(from, pieces.in_source());
    copy.writes_raw(to, pieces.in_destination());
    for (uint32_t i = 0; i < params.blockCount; ++i) {
        Instruction::copy_raw(to, i * pieces.dst_pitch, from, i * pieces.src_pitch, pieces.run);
    }
    copy.issue(work);
}

// for matrix, row: the row is cut into blocks of 32 bytes; block j goes to
//     dst + matrix * dstNzMatrixStride + j * dstNzC0Stride + row * dstNzNStride
// the tail of the last block is zero.
void copy_nd_to_nz(const LocalOperand& dst, const GlobalOperand& src,
                   const AscendC::Nd2NzParams& params, Site site) {
    const char* name = "DataCopy ND2NZ";
    const int arch = current_core().machine.soc().arch;
    require_field(name, "ndNum", params.ndNum, 0, 4095, site);
    require_field(name, "nValue", params.nValue, 0, 16384, site);
    require_field(name, "dValue", params.dValue, 0, arch == 2201 ? 65535 : (1ll << 32) - 1, site);
    if (params.ndNum == 0 || params.nValue == 0 || params.dValue == 0) return;
    const int64_t wide = arch == 2201 ? 65535 : INT64_MAX;
    require_field(name, "srcNdMatrixStride", static_cast<int64_t>(params.srcNdMatrixStride), 0,
                  wide, site);
    require_field(name, "srcDValue", static_cast<int64_t>(params.srcDValue), 1, wide, site);
    require_field(name, "dstNzC0Stride", params.dstNzC0Stride, 1, 16384, site);
    require_field(name, "dstNzNStride", params.dstNzNStride, 1, 16384, site);
    require_field(name, "dstNzMatrixStride", params.dstNzMatrixStride, 0,
                  arch == 2201 ? 16384 : (1ll << 32) - 1, site);
    const View to = view_of(dst, 32, "dst", site);
    if (to.buffer() != Buffer::L1 && to.buffer() != Buffer::UB) {
        fail(site, "DataCopy ND2NZ: there is no path from GM to %s", buffer_name(to.buffer()));
    }
    const View from = view_of(src, "src", site);
    const uint64_t size = size_of(dst.type);
    const uint64_t row_bytes = params.dValue * size;
    const uint64_t blocks = (row_bytes + kBlock - 1) / kBlock;
    const uint64_t src_row = params.srcDValue * size;
    const uint64_t src_matrix = params.srcNdMatrixStride * size;
    const uint64_t dst_block = params.dstNzC0Stride * kBlock;
    const uint64_t dst_row = params.dstNzNStride * kBlock;
    const uint64_t dst_matrix = params.dstNzMatrixStride * size;
    if (params.ndNum > 1 && dst_matrix % kBlock != 0) {
        fail(site, "DataCopy ND2NZ: dstNzMatrixStride %llu elements is not a multiple of 32 bytes",
             static_cast<unsigned long long>(params.dstNzMatrixStride));
    }
    Instruction copy(PIPE_MTE2, name, site);
    copy.reads(from, {0, row_bytes, params.nValue, static_cast<int64_t>(src_row), params.ndNum,
                      static_cast<int64_t>(src_matrix)});
    for (uint32_t matrix = 0; matrix < params.ndNum; ++matrix) {
        copy.writes(to, {matrix * dst_matrix, kBlock, params.nValue, static_cast<int64_t>(dst_row),
                         blocks, static_cast<int64_t>(dst_block)});
        for (uint32_t row = 0; row < params.nValue; ++row) {
            const uint8_t* line = from.data(matrix * src_matrix + row * src_row);
            for (uint64_t j = 0; j < blocks; ++j) {
                uint8_t* at = to.data(matrix * dst_matrix + j * dst_block + row * dst_row);
                const uint64_t count = std::min(kBlock, row_bytes - j * kBlock);
                std::memcpy(at, line + j * kBlock, count);
                std::memset(at + count, 0, kBlock - count);
            }
        }
    }
    copy.issue(0, 0);
}

void fill(const LocalOperand& dst, uint32_t repeat, uint32_t blocks, uint32_t gap,
          const void* value, Site site) {
    require_field("Fill", "repeatTimes", repeat, 0, 32767, site);
    require_field("Fill", "blockNum", blocks, 0, 32767, site);
    require_field("Fill", "dstGap", gap, 0, 32767, site);
    const uint64_t size = size_of(dst.type);
    if (size != 2 && size != 4) fail(site, "Fill: %s is not supported", dtype_name(dst.type));
    if (repeat == 0 || blocks == 0) return;
    const Buffer buffer = buffer_of(dst.position, site);
    const Soc& soc = current_core().machine.soc();
    const bool level0 = buffer == Buffer::L0A || buffer == Buffer::L0B;
    if (buffer != Buffer::L1 && !(level0 && soc.arch == 2201)) {
        fail(site, "Fill: %s cannot be filled on architecture %d", buffer_name(buffer), soc.arch);
    }
    const uint64_t unit = level0 ? 512 : 32;
    const View to = view_of(dst, unit, "dst", site);
    const uint64_t run = blocks * unit;
    const uint64_t pitch = run + gap * unit;
    Instruction set(level0 ? PIPE_MTE1 : PIPE_MTE2, "Fill", site);
    set.writes(to, runs(run, repeat, pitch));
    for (uint32_t r = 0; r < repeat; ++r) {
        for (uint64_t at = 0; at < run; at += size) {
            std::memcpy(to.data(r * pitch + at), value, size);
        }
    }
    set.issue({&Costs::mte1_gap, static_cast<double>(run * repeat),
               buffer == Buffer::L0B ? &Costs::l1_to_l0b : &Costs::l1_to_l0a,
               &Costs::mte1_latency});
}

}  // namespace emulator
