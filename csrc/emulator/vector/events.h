// The flags between the pipes that fill and empty a buffer, and the event ids that they take.
#pragma once

#include <array>

#include "ascendc/sync.h"

namespace emulator {

// The pipe that fills and the pipe that empties a buffer between two positions.
constexpr AscendC::EventPipes queue_pipes(AscendC::TPosition source,
                                          AscendC::TPosition destination) {
    using P = AscendC::TPosition;
    const auto fills = [](P position) {
        switch (position) {
            case P::VECIN:
            case P::A1:
            case P::B1:
            case P::C1:
            case P::TSCM:
                return PIPE_MTE2;
            case P::A2:
            case P::B2:
            case P::C2:
                return PIPE_MTE1;
            case P::CO1:
                return PIPE_M;
            case P::C2PIPE2GM:
                return PIPE_FIX;
            default:
                return PIPE_V;
        }
    };
    const auto empties = [](P position) {
        switch (position) {
            case P::A1:
            case P::B1:
            case P::C1:
            case P::TSCM:
                return PIPE_MTE1;
            case P::A2:
            case P::B2:
            case P::C2:
                return PIPE_M;
            case P::CO1:
            case P::CO2:
            case P::C2PIPE2GM:
                return PIPE_FIX;
            case P::VECOUT:
                return PIPE_MTE3;
            default:
                return PIPE_V;
        }
    };
    if (source == P::GM) return {fills(destination), empties(destination)};
    if (destination == P::GM || source == P::CO1) return {fills(source), empties(source)};
    if (source == P::VECIN && destination == P::VECOUT) return {PIPE_MTE2, PIPE_MTE3};
    return {fills(destination), empties(destination)};
}

// Event ids of one core, lowest free id first, for every pair of pipes.
struct EventPool {
    std::array<std::array<uint8_t, kPipes>, kPipes> used{};
    std::array<std::array<uint8_t, kPipes>, kPipes> next{};

    int find(pipe_t from, pipe_t to, Site site) const {
        for (int id = 0; id < 8; ++id) {
            if ((used[from][to] >> id & 1) == 0) return id;
        }
        fail(site, "no event id is left between the pipes %s and %s: all 8 are in use",
             pipe_name(from), pipe_name(to));
    }
    int take(pipe_t from, pipe_t to, Site site) {
        const int id = find(from, to, site);
        used[from][to] = static_cast<uint8_t>(used[from][to] | 1u << id);
        return id;
    }
    // For a buffer of a queue: the id it had last, so that the flag's last wait is certain to be
    // over when it is raised again; the first time an id of its own, as long as there are enough.
    int take_for_buffer(pipe_t from, pipe_t to, int last, Site site) {
        int id = last;
        if (id < 0) id = next[from][to]++ % 8;
        if ((used[from][to] >> id & 1) != 0) id = find(from, to, site);
        used[from][to] = static_cast<uint8_t>(used[from][to] | 1u << id);
        return id;
    }
    void give_back(pipe_t from, pipe_t to, int id) {
        used[from][to] = static_cast<uint8_t>(used[from][to] & ~(1u << id));
    }
};

}  // namespace emulator
