// The custom operator NeumannTrilChunkGatedDeltaRule for CANN's graph engine and its aclnn
// interface: what it takes, shapes and dtypes of its results, and its tiling, which is that of the
// C interface.
//
//     q, k           (B, T, H, K)      float16 or bfloat16, all tensors contiguous
//     v              (B, T, HV, V)     of q's dtype; value head h uses query head h / (HV / H)
//     beta           (B, T, HV)        float32 or q's dtype
//     g              (B, T, HV)        logarithm of the decay, likewise; absent: nothing decays
//     initial_state  (N, HV, K, V)     float32; absent: zero
//     cu_seqlens     (N + 1)           int64, starts of packed sequences and the end of the last: B
//                                      is 1; absent: N is B
//     o              (B, T, HV, V)     of q's dtype
//     final_state    (N, HV, K, V)     float32
//     chunk_states   (B, NT, HV, K, V) float32, the state before every chunk: NT = ceil(T / 64), or
//                                      packed T / 64 + N, those of all sequences one after another
//     x              (B, T, HV, 64)    float32, row t of (I + A)^-1 of the chunk of t
//
//     scale                            factor of q
//     use_qk_l2norm_in_kernel          false; true: q and k are divided by their lengths
//     output_final_state, output_chunk_states, output_x
//                                      false: that result is empty, of shape (0)
//     plan           "exact"           of the inverse: or "fast", "paper", or its fields as text
//     compute_dtype  ""                of the products' operands: float16, or "bfloat16" with such
//                                      tokens
//
// Rows of no sequence are not written, nor the states of sequences without tokens.
#include <algorithm>
#include <vector>

#include "../gated_delta/tiling.h"
#include "registration.h"

namespace neumann_tril {
namespace {

constexpr const char* kType = "NeumannTrilChunkGatedDeltaRule";
// The required ones first: of those, CANN counts only what is there.
enum Input { kQ, kK, kV, kBeta, kG, kInitialState, kCuSeqlens };
enum Output { kO, kFinalState, kChunkStates, kX, kOutputs };
enum Attribute {
    kScale,
    kNormalize,
    kOutputFinalState,
    kOutputChunkStates,
    kOutputX,
    kPlan,
    kComputeDtype
};

bool Has(const gert::Shape& shape, std::initializer_list<int64_t> sizes) {
    size_t d = 0;
    for (int64_t size : sizes) {
        if (d >= shape.GetDimNum() || shape.GetDim(d++) != size) return false;
    }
    return d == shape.GetDimNum();
}

// What the shapes of q, v and cu_seqlens (nullptr: absent) say; the others must fit.
struct Sizes {
    int64_t batch, length, heads, key_size, value_heads, value_size, sequences;
    bool packed;

    Sizes(const gert::Shape& q, const gert::Shape& v, const gert::Shape* cu_seqlens)
        : batch(q.GetDim(0)),
          length(q.GetDim(1)),
          heads(q.GetDim(2)),
          key_size(q.GetDim(3)),
          value_heads(v.GetDim(2)),
          value_size(v.GetDim(3)),
          sequences(cu_seqlens == nullptr ? batch : Unless(cu_seqlens->GetDim(0), -1)),
          packed(cu_seqlens != nullptr) {}

    // Chunks for which chunk_states has room.
    int64_t Slots() const {
        if (length < 0 || sequences < 0) return kUnknown;
        return packed ? length / kRuleChunk + sequences : (length + kRuleChunk - 1) / kRuleChunk;
    }

  private:
    // As CANN says it of a size that is not known yet.
    static constexpr int64_t kUnknown = -1;
    static int64_t Unless(int64_t size, int64_t added) {
        return size < 0 ? kUnknown : size + added;
    }
};

bool AreTokens(const gert::Shape& q, const gert::Shape& v, const gert::Shape* cu_seqlens) {
    return q.GetDimNum() == 4 && v.GetDimNum() == 4 &&
           (cu_seqlens == nullptr || cu_seqlens->GetDimNum() == 1);
}

const gert::Shape* ShapeOf(const gert::StorageShape* shape) {
    return shape == nullptr ? nullptr : &shape->GetStorageShape();
}

// The shapes of a call, all of them there and of one call.
const char* CheckShapes(const gert::TilingContext& context) {
    const gert::Shape* required[4];
    for (size_t n = kQ; n <= kBeta; ++n) {
        required[n] = ShapeOf(context.GetInputShape(n));
        if (required[n] == nullptr) return "the context is incomplete";
    }
    const gert::Shape& q = *required[kQ];
    const gert::Shape& v = *required[kV];
    const gert::Shape* cu_seqlens = ShapeOf(context.GetOptionalInputShape(kCuSeqlens));
    if (!AreTokens(q, v, cu_seqlens)) {
        return "q and v must have shapes (B, T, H, K) and (B, T, HV, V), cu_seqlens (N + 1)";
    }
    const Sizes sizes(q, v, cu_seqlens);
    if (sizes.packed && (sizes.batch != 1 || sizes.sequences < 0)) {
        return "with cu_seqlens (N + 1) the batch must be 1";
    }
    if (!Has(*required[kK], {sizes.batch, sizes.length, sizes.heads, sizes.key_size})) {
        return "k must have the shape of q";
    }
    if (!Has(v, {sizes.batch, sizes.length, sizes.value_heads, sizes.value_size})) {
        return "v must have the batch and length of q";
    }
    const gert::Shape* g = ShapeOf(context.GetOptionalInputShape(kG));
    for (const gert::Shape* numbers : {required[kBeta], g}) {
        if (numbers != nullptr && !Has(*numbers, {sizes.batch, sizes.length, sizes.value_heads})) {
            return "beta and g must have shape (B, T, HV)";
        }
    }
    const gert::Shape* state = ShapeOf(context.GetOptionalInputShape(kInitialState));
    if (state != nullptr &&
        !Has(*state, {sizes.sequences, sizes.value_heads, sizes.key_size, sizes.value_size})) {
        return "initial_state must have shape (N, HV, K, V)";
    }
    return nullptr;
}

nt_token_strides Contiguous(int64_t length, int64_t heads, int64_t size) {
    return {length * heads * size, heads * size, size};
}

// What the call asks for, but for its pointers.
const char* Request(const gert::TilingContext& context, nt_npu_rule* rule) {
    const gert::RuntimeAttrs* attributes = context.GetAttrs();
    if (attributes == nullptr) return "the context is incomplete";
    if (const char* reason = CheckShapes(context)) return reason;
    const gert::Shape* cu_seqlens = ShapeOf(context.GetOptionalInputShape(kCuSeqlens));
    const Sizes sizes(*ShapeOf(context.GetInputShape(kQ)), *ShapeOf(context.GetInputShape(kV)),
                      cu_seqlens);
    rule->heads = static_cast<int32_t>(sizes.heads);
    rule->value_heads = static_cast<int32_t>(sizes.value_heads);
    rule->key_size = static_cast<int32_t>(sizes.key_size);
    rule->value_size = static_cast<int32_t>(sizes.value_size);
    rule->sequences = sizes.sequences;
    rule->length = sizes.length;
    rule->q = rule->k = Contiguous(sizes.length, sizes.heads, sizes.key_size);
    rule->v = Contiguous(sizes.length, sizes.value_heads, sizes.value_size);
    rule->g.strides = rule->beta.strides = Contiguous(sizes.length, sizes.value_heads, 1);
    rule->packed = sizes.packed;

    const gert::CompileTimeTensorDesc* g = context.GetOptionalInputDesc(kG);
    rule->dtype = DtypeCode(context.GetInputDesc(kQ)->GetDataType());
    for (size_t n : {kK, kV}) {
        if (DtypeCode(context.GetInputDesc(n)->GetDataType()) != rule->dtype) {
            return "k and v must have the dtype of q";
        }
    }
    rule->beta.data_dtype = DtypeCode(context.GetInputDesc(kBeta)->GetDataType());
    rule->g.data_dtype = g == nullptr ? NT_NONE : DtypeCode(g->GetDataType());
    const char* named = attributes->GetAttrPointer<char>(kComputeDtype);
    const Dtype* compute = DtypeNamed(named, NT_FLOAT16);
    if (compute == nullptr) return "compute_dtype must be float16 or bfloat16";
    rule->compute_dtype = compute->code;

    rule->initial_state = context.GetOptionalInputShape(kInitialState) != nullptr;
    rule->scale = *attributes->GetAttrPointer<float>(kScale);
    rule->normalize = *attributes->GetAttrPointer<bool>(kNormalize);
    rule->final_state = *attributes->GetAttrPointer<bool>(kOutputFinalState);
    rule->chunk_states = *attributes->GetAttrPointer<bool>(kOutputChunkStates);
    rule->x = *attributes->GetAttrPointer<bool>(kOutputX);
    const char* plan = attributes->GetAttrPointer<char>(kPlan);
    return nt_plan_named(&rule->plan, plan, kRuleChunk, compute->code);
}

ge::graphStatus TileOperator(gert::TilingContext* context) {
    nt_npu_rule rule{};
    if (const char* reason = Request(*context, &rule)) return Refuse(kType, reason);
    const platform_ascendc::PlatformAscendC platform(context->GetPlatformInfo());
    rule.cube_cores = static_cast<int32_t>(platform.GetCoreNumAic());
    const RuleTiling tiling = Tile(rule);
    if (tiling.refusal != nullptr) return Refuse(kType, tiling.refusal);

    *context->GetTilingData<RuleTask>() = tiling.task;
    context->SetTilingKey(1000 * rule.compute_dtype + kRuleChunk);
    context->SetBlockDim(std::max(1, tiling.blocks));  // without work, one that finds none
    context->GetWorkspaceSizes(1)[0] =
        platform.GetLibApiWorkSpaceSize() + static_cast<size_t>(tiling.workspace_bytes);
    return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferShape(gert::InferShapeContext* context) {
    const gert::RuntimeAttrs* attributes = context->GetAttrs();
    const gert::Shape* q = context->GetInputShape(kQ);
    const gert::Shape* v = context->GetInputShape(kV);
    const gert::Shape* cu_seqlens = context->GetOptionalInputShape(kCuSeqlens);
    if (attributes == nullptr || q == nullptr || v == nullptr) {
        return Refuse(kType, "the context is incomplete");
    }
    if (!AreTokens(*q, *v, cu_seqlens)) {
        return Refuse(kType, "q and v must have four dimensions, cu_seqlens one");
    }
    const auto result = [&](Attribute asked, gert::Shape shape) {
        return *attributes->GetAttrPointer<bool>(asked) ? shape : gert::Shape({0});
    };
    const Sizes sizes(*q, *v, cu_seqlens);
    const int64_t heads = sizes.value_heads, key_size = sizes.key_size, value = sizes.value_size;
    *context->GetOutputShape(kO) = *v;
    *context->GetOutputShape(kFinalState) =
        result(kOutputFinalState, gert::Shape({sizes.sequences, heads, key_size, value}));
    *context->GetOutputShape(kChunkStates) = result(
        kOutputChunkStates, gert::Shape({sizes.batch, sizes.Slots(), heads, key_size, value}));
    *context->GetOutputShape(kX) =
        result(kOutputX, gert::Shape({sizes.batch, sizes.length, heads, kRuleChunk}));
    return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
    context->SetOutputDataType(kO, context->GetInputDataType(kQ));
    for (size_t n = kFinalState; n < kOutputs; ++n) context->SetOutputDataType(n, ge::DT_FLOAT);
    return ge::GRAPH_SUCCESS;
}

}  // namespace
}  // namespace neumann_tril

namespace ops {

class NeumannTrilChunkGatedDeltaRule : public OpDef {
  public:
    explicit NeumannTrilChunkGatedDeltaRule(const char* name) : OpDef(name) {
        // The i-th entries of all lists belong together.
        std::vector<ge::DataType> tokens, beta, g;
        for (ge::DataType dtype : {ge::DT_FLOAT16, ge::DT_BF16}) {
            for (ge::DataType of_beta : {ge::DT_FLOAT, dtype}) {
                for (ge::DataType of_g : {ge::DT_FLOAT, dtype}) {
                    tokens.push_back(dtype);
                    beta.push_back(of_beta);
                    g.push_back(of_g);
                }
            }
        }
        const std::vector<ge::DataType> states(tokens.size(), ge::DT_FLOAT);
        const std::vector<ge::DataType> bounds(tokens.size(), ge::DT_INT64);
        const std::vector<ge::Format> plain(tokens.size(), ge::FORMAT_ND);
        for (const char* input : {"q", "k", "v"}) {
            this->Input(input).ParamType(REQUIRED).DataType(tokens).Format(plain).AutoContiguous();
        }
        this->Input("beta").ParamType(REQUIRED).DataType(beta).Format(plain).AutoContiguous();
        this->Input("g").ParamType(OPTIONAL).DataType(g).Format(plain).AutoContiguous();
        this->Input("initial_state")
            .ParamType(OPTIONAL)
            .DataType(states)
            .Format(plain)
            .AutoContiguous();
        this->Input("cu_seqlens")
            .ParamType(OPTIONAL)
            .DataType(bounds)
            .Format(plain)
            .AutoContiguous();
        this->Output("o").ParamType(REQUIRED).DataType(tokens).Format(plain);
        for (const char* output : {"final_state", "chunk_states", "x"}) {
            this->Output(output).ParamType(REQUIRED).DataType(states).Format(plain);
        }
        this->Attr("scale").AttrType(REQUIRED).Float();
        for (const char* choice :
             {"use_qk_l2norm_in_kernel", "output_final_state", "output_chunk_states", "output_x"}) {
            this->Attr(choice).AttrType(OPTIONAL).Bool(false);
        }
        this->Attr("plan").AttrType(OPTIONAL).String("exact");
        this->Attr("compute_dtype").AttrType(OPTIONAL).String("");

        this->SetInferShape(neumann_tril::InferShape).SetInferDataType(neumann_tril::InferDataType);
        this->AICore()
            .SetTiling(neumann_tril::TileOperator)
            .AddConfig("ascend910b")
            .AddConfig("ascend910_93")
            .AddConfig("ascend950");
    }
};
OP_ADD(NeumannTrilChunkGatedDeltaRule);

}  // namespace ops
