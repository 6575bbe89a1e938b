// What plans can be evaluated, and what their names stand for; python/neumann_tril/plan.py says the
// same, and a test compares the two.
#include <cstdlib>
#include <cstring>

#include "neumann_tril.h"

namespace {

constexpr int32_t kLargestChunk = 128;
constexpr int32_t kLeafRows = 16;
constexpr int32_t kMostSplits = 3;

// Leaves of 16 rows, or of what is left after three halvings, seeded by their 16-blocks' inverses.
nt_plan Blocked(int32_t chunk_size, int32_t refinements) {
    int32_t splits = 0;
    while (splits < kMostSplits && (chunk_size >> splits) % (2 * kLeafRows) == 0) ++splits;
    const int32_t blocks = (chunk_size >> splits) / kLeafRows;
    int32_t terms = 1;
    while (terms < blocks) terms *= 2;
    return {chunk_size, kLeafRows - 1, terms, NT_FORM_DOUBLING, splits, refinements};
}

nt_plan Exact(int32_t chunk_size, int32_t dtype) {
    constexpr int32_t kRefinements[] = {1, 2, 1, 0};  // by dtype code
    return Blocked(chunk_size, chunk_size > kLeafRows ? kRefinements[dtype] : 0);
}

nt_plan Fast(int32_t chunk_size, int32_t dtype) {
    if (dtype == NT_FLOAT32 || dtype == NT_FLOAT64) {
        return {chunk_size, chunk_size - 1, 1, NT_FORM_DOUBLING, 0, 0};
    }
    return Blocked(chunk_size, 0);
}

const char* Paper(nt_plan* plan, int32_t chunk_size) {
    constexpr nt_plan kPlans[] = {{16, 7, 2, NT_FORM_SEQUENTIAL, 0, 0},
                                  {32, 4, 3, NT_FORM_SEQUENTIAL, 0, 0},
                                  {64, 3, 8, NT_FORM_SEQUENTIAL, 0, 0},
                                  {128, 3, 8, NT_FORM_SEQUENTIAL, 1, 0}};
    for (const nt_plan& known : kPlans) {
        if (known.chunk_size == chunk_size) {
            *plan = known;
            return nullptr;
        }
    }
    return "plan \"paper\" exists for chunk sizes 16, 32, 64 and 128";
}

constexpr char kNoName[] =
    "plan must be exact, fast, paper or chunk_size:bandwidth:terms:form:splits:refinements";

// Reads up to the separator, or to the end of the text, and moves behind it.
bool ReadField(const char*& text, char separator, int32_t& value) {
    char* end = nullptr;
    const long number = std::strtol(text, &end, 10);
    if (end == text || *end != separator || number < -1000 || number > 1000) return false;
    value = static_cast<int32_t>(number);
    text = separator == '\0' ? end : end + 1;
    return true;
}

bool ReadForm(const char*& text, int32_t& form) {
    constexpr const char* kForms[] = {"sequential:", "doubling:"};  // by code
    for (form = NT_FORM_SEQUENTIAL; form <= NT_FORM_DOUBLING; ++form) {
        const size_t length = std::strlen(kForms[form]);
        if (std::strncmp(text, kForms[form], length) == 0) {
            text += length;
            return true;
        }
    }
    return false;
}

const char* FromFields(nt_plan* plan, const char* text, int32_t chunk_size) {
    nt_plan read{};
    if (!ReadField(text, ':', read.chunk_size) || !ReadField(text, ':', read.bandwidth) ||
        !ReadField(text, ':', read.terms) || !ReadForm(text, read.form) ||
        !ReadField(text, ':', read.splits) || !ReadField(text, '\0', read.refinements)) {
        return kNoName;
    }
    if (const char* error = nt_plan_error(&read)) return error;
    if (read.chunk_size != chunk_size) return "the plan is for another chunk size";
    *plan = read;
    return nullptr;
}

}  // namespace

extern "C" const char* nt_plan_error(const nt_plan* plan) {
    if (!plan) return "plan is NULL";
    const int32_t n = plan->chunk_size;
    if (n < kLeafRows || n > kLargestChunk || n % kLeafRows != 0)
        return "chunk_size must be a multiple of 16 from 16 to 128";
    if (plan->splits < 0 || plan->splits > kMostSplits) return "splits must be 0, 1, 2 or 3";
    const int32_t leaf = n >> plan->splits;
    if (leaf << plan->splits != n || leaf % kLeafRows != 0)
        return "splits must leave a leaf, chunk_size / 2^splits, that is a multiple of 16";
    if (plan->bandwidth < 0 || plan->bandwidth >= leaf)
        return "bandwidth must be at least 0 and below the leaf, chunk_size / 2^splits";
    if (plan->terms < 1 || plan->terms > leaf)
        return "terms must be at least 1 and at most the leaf, chunk_size / 2^splits";
    if (plan->form != NT_FORM_SEQUENTIAL && plan->form != NT_FORM_DOUBLING)
        return "form must be NT_FORM_SEQUENTIAL or NT_FORM_DOUBLING";
    if (plan->form == NT_FORM_DOUBLING && (plan->terms & (plan->terms - 1)) != 0)
        return "terms must be a power of two in doubling form";
    if (plan->refinements < 0 || plan->refinements > 8) return "refinements must be 0 to 8";
    return nullptr;
}

extern "C" const char* nt_plan_named(nt_plan* plan, const char* name, int32_t chunk_size,
                                     int32_t compute_dtype) {
    if (!plan) return "plan is NULL";
    if (!name) return "name is NULL";
    if (chunk_size < kLeafRows || chunk_size > kLargestChunk || chunk_size % kLeafRows != 0)
        return "chunk_size must be a multiple of 16 from 16 to 128";
    if (compute_dtype < NT_FLOAT16 || compute_dtype > NT_FLOAT64)
        return "compute_dtype is not a dtype code";
    if (std::strchr(name, ':')) return FromFields(plan, name, chunk_size);
    if (std::strcmp(name, "paper") == 0) return Paper(plan, chunk_size);
    if (std::strcmp(name, "exact") == 0) {
        *plan = Exact(chunk_size, compute_dtype);
    } else if (std::strcmp(name, "fast") == 0) {
        *plan = Fast(chunk_size, compute_dtype);
    } else {
        return kNoName;
    }
    return nullptr;
}
