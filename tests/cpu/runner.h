// The main function of a native test program. Usage: PROGRAM [NAME... | -NAME...] runs the tests
// named, or all but those.
#pragma once

#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>

#include "neumann_tril.h"

struct Test {
    const char* name;
    void (*run)();

    bool wanted(int argc, char** argv) const {
        bool wanted = argc == 1 || argv[1][0] == '-';
        for (int i = 1; i < argc; ++i) {
            wanted |= std::strcmp(argv[i], name) == 0;
            wanted &= argv[i][0] != '-' || std::strcmp(argv[i] + 1, name) != 0;
        }
        return wanted;
    }
    bool passes() const {
        try {
            run();
            std::printf("ok %s\n", name);
            return true;
        } catch (const std::exception& error) {
            std::printf("FAILED %s: %s\n", name, error.what());
            return false;
        }
    }
};
#define TEST(name) \
    Test { #name, name }

// The exit status: 0 if every test passes.
inline int run_tests(std::initializer_list<Test> tests, int argc, char** argv) {
    std::printf("isa %s\n", nt_cpu_isa());
    bool passed = true;
    for (const Test& test : tests) {
        if (test.wanted(argc, argv)) passed &= test.passes();
        std::fflush(stdout);
    }
    return passed ? 0 : 1;
}
