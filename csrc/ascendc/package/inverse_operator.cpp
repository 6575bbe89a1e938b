// The custom operator NeumannTrilInverse for CANN's graph engine and its aclnn interface: what it
// takes, shapes and dtypes of its result, and its tiling, which is that of the C interface.
//
//     a            the chunk matrices, contiguous; layout says how
//     first_row    int64 (chunks), only for packed layouts: nt_chunk_table() on the device
//     valid_rows   int64 (chunks), likewise
//     x            like a; the inverses of I + tril(a, -1)
//
//     layout         "dense" (..., C, C), "bthc", "bhtc", "thc" or "htc"
//     plan           "exact", "fast", "paper", or the fields of a plan as text
//     compute_dtype  dtype of the products' operands; "": a's, or float16 if a is float32
//     output_dtype   dtype of x in graphs; "": a's. (aclnn takes the dtype of its tensor.)
//
// Rows of packed layouts that belong to no chunk are not written.
#include <algorithm>
#include <cstring>
#include <vector>

#include "../inverse/tiling.h"
#include "registration.h"

namespace neumann_tril {
namespace {

constexpr const char* kType = "NeumannTrilInverse";
enum Input { kA, kFirstRow, kValidRows };
enum Attribute { kLayout, kPlan, kComputeDtype, kOutputDtype };

// Time layouts, by the places of their axes; batch -1: packed.
struct TimeLayout {
    const char* name;
    size_t dims;
    int32_t code, batch, time, heads;
};
constexpr TimeLayout kTimeLayouts[] = {{"bthc", 4, NT_BTHC, 0, 1, 2},
                                       {"bhtc", 4, NT_BHTC, 0, 2, 1},
                                       {"thc", 3, NT_BTHC, -1, 0, 1},
                                       {"htc", 3, NT_BHTC, -1, 1, 0}};

// Tiling only asks whether there is a table; its numbers are on the device.
constexpr int64_t kTableOnDevice = 0;

const char* DescribeDense(const gert::Shape& shape, nt_chunks* chunks) {
    const size_t dims = shape.GetDimNum();
    if (dims < 2 || shape.GetDim(dims - 1) != shape.GetDim(dims - 2)) {
        return "a must have shape (..., C, C) in layout dense";
    }
    int64_t count = 1;
    for (size_t d = 0; d + 2 < dims; ++d) count *= shape.GetDim(d);
    return nt_chunks_dense(chunks, static_cast<int32_t>(shape.GetDim(dims - 1)), count);
}

const char* DescribeTime(const gert::Shape& shape, const TimeLayout& layout, int64_t table,
                         nt_chunks* chunks) {
    if (shape.GetDimNum() != layout.dims) return "a must have the dimensions of its layout";
    const auto chunk_size = static_cast<int32_t>(shape.GetDim(layout.dims - 1));
    const int64_t length = shape.GetDim(layout.time), heads = shape.GetDim(layout.heads);
    if (layout.batch >= 0) {
        if (table >= 0) return "first_row and valid_rows are for the packed layouts thc and htc";
        return nt_chunks_time(chunks, chunk_size, layout.code, shape.GetDim(layout.batch), length,
                              heads);
    }
    if (table < 0) return "layouts thc and htc need first_row and valid_rows";
    return nt_chunks_packed(chunks, chunk_size, layout.code, length, heads, table, &kTableOnDevice,
                            &kTableOnDevice);
}

// `table`: the chunks in the table, -1 if there is none.
const char* Describe(const gert::Shape& shape, const char* layout, int64_t table,
                     nt_chunks* chunks) {
    const size_t dims = shape.GetDimNum();
    if (dims == 0 || shape.GetDim(dims - 1) < 1 || shape.GetDim(dims - 1) > 128) {
        return "the last dimension of a must be a chunk size";
    }
    if (std::strcmp(layout, "dense") == 0) {
        return table < 0 ? DescribeDense(shape, chunks)
                         : "first_row and valid_rows are for the packed layouts thc and htc";
    }
    for (const TimeLayout& known : kTimeLayouts) {
        if (std::strcmp(known.name, layout) == 0) return DescribeTime(shape, known, table, chunks);
    }
    return "layout must be dense, bthc, bhtc, thc or htc";
}

// The chunks in the table of a packed layout; -1 if there is none, -2 if it is no table.
int64_t TableSize(const gert::TilingContext& context) {
    const gert::StorageShape* tables[] = {context.GetOptionalInputShape(kFirstRow),
                                          context.GetOptionalInputShape(kValidRows)};
    if (tables[0] == nullptr && tables[1] == nullptr) return -1;
    for (const gert::StorageShape* table : tables) {
        if (table == nullptr || table->GetStorageShape().GetDimNum() != 1) return -2;
    }
    const int64_t count = tables[0]->GetStorageShape().GetDim(0);
    return count == tables[1]->GetStorageShape().GetDim(0) ? count : -2;
}

// What the call asks for, but for its pointers.
const char* Request(const gert::TilingContext& context, nt_npu_inversion* inversion) {
    const gert::RuntimeAttrs* attributes = context.GetAttrs();
    const gert::StorageShape* shape = context.GetInputShape(kA);
    const gert::CompileTimeTensorDesc* a = context.GetInputDesc(kA);
    const gert::CompileTimeTensorDesc* x = context.GetOutputDesc(0);
    if (attributes == nullptr || shape == nullptr || a == nullptr || x == nullptr) {
        return "the context is incomplete";
    }
    inversion->a_dtype = DtypeCode(a->GetDataType());
    inversion->x_dtype = DtypeCode(x->GetDataType());
    const int32_t standard =
        inversion->a_dtype == NT_FLOAT32 ? int32_t{NT_FLOAT16} : inversion->a_dtype;
    const Dtype* compute = DtypeNamed(attributes->GetAttrPointer<char>(kComputeDtype), standard);
    if (compute == nullptr) return "compute_dtype must be float16, bfloat16 or float32";
    inversion->compute_dtype = compute->code;

    const int64_t table = TableSize(context);
    if (table < -1) return "first_row and valid_rows must be two vectors of one length";
    const gert::Shape& extents = shape->GetStorageShape();
    if (const char* reason = Describe(extents, attributes->GetAttrPointer<char>(kLayout), table,
                                      &inversion->chunks)) {
        return reason;
    }
    const auto chunk_size = static_cast<int32_t>(extents.GetDim(extents.GetDimNum() - 1));
    return nt_plan_named(&inversion->plan, attributes->GetAttrPointer<char>(kPlan), chunk_size,
                         compute->code);
}

ge::graphStatus TileOperator(gert::TilingContext* context) {
    nt_npu_inversion inversion{};
    if (const char* reason = Request(*context, &inversion)) return Refuse(kType, reason);
    const platform_ascendc::PlatformAscendC platform(context->GetPlatformInfo());
    inversion.cube_cores = static_cast<int32_t>(platform.GetCoreNumAic());
    const Tiling tiling = Tile(inversion);
    if (tiling.refusal != nullptr) return Refuse(kType, tiling.refusal);

    *context->GetTilingData<InverseTask>() = tiling.task;
    context->SetTilingKey(1000 * tiling.operands + inversion.plan.chunk_size);
    context->SetBlockDim(std::max(1, tiling.blocks));  // without work, one that finds none
    context->GetWorkspaceSizes(1)[0] =
        platform.GetLibApiWorkSpaceSize() + static_cast<size_t>(tiling.workspace_bytes);
    return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferShape(gert::InferShapeContext* context) {
    *context->GetOutputShape(0) = *context->GetInputShape(kA);
    return ge::GRAPH_SUCCESS;
}

ge::graphStatus InferDataType(gert::InferDataTypeContext* context) {
    const gert::RuntimeAttrs* attributes = context->GetAttrs();
    if (attributes == nullptr) return Refuse(kType, "the context is incomplete");
    const Dtype* dtype = DtypeNamed(attributes->GetAttrPointer<char>(kOutputDtype),
                                    DtypeCode(context->GetInputDataType(kA)));
    if (dtype == nullptr) return Refuse(kType, "output_dtype must be float16, bfloat16 or float32");
    return context->SetOutputDataType(0, dtype->ge);
}

}  // namespace
}  // namespace neumann_tril

namespace ops {

class NeumannTrilInverse : public OpDef {
  public:
    explicit NeumannTrilInverse(const char* name) : OpDef(name) {
        // The i-th entries of all lists belong together.
        const std::vector<ge::DataType> a{ge::DT_FLOAT16, ge::DT_FLOAT16, ge::DT_BF16, ge::DT_BF16,
                                          ge::DT_FLOAT};
        const std::vector<ge::DataType> x{ge::DT_FLOAT16, ge::DT_FLOAT, ge::DT_BF16, ge::DT_FLOAT,
                                          ge::DT_FLOAT};
        const std::vector<ge::DataType> table(a.size(), ge::DT_INT64);
        const std::vector<ge::Format> plain(a.size(), ge::FORMAT_ND);
        this->Input("a").ParamType(REQUIRED).DataType(a).Format(plain).AutoContiguous();
        this->Input("first_row").ParamType(OPTIONAL).DataType(table).Format(plain);
        this->Input("valid_rows").ParamType(OPTIONAL).DataType(table).Format(plain);
        this->Output("x").ParamType(REQUIRED).DataType(x).Format(plain);
        this->Attr("layout").AttrType(OPTIONAL).String("dense");
        this->Attr("plan").AttrType(OPTIONAL).String("exact");
        this->Attr("compute_dtype").AttrType(OPTIONAL).String("");
        this->Attr("output_dtype").AttrType(OPTIONAL).String("");

        this->SetInferShape(neumann_tril::InferShape).SetInferDataType(neumann_tril::InferDataType);
        this->AICore()
            .SetTiling(neumann_tril::TileOperator)
            .AddConfig("ascend910b")
            .AddConfig("ascend910_93")
            .AddConfig("ascend950");
    }
};
OP_ADD(NeumannTrilInverse);

}  // namespace ops
