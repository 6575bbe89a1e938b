// A stand-in for CANN's header of that name: the names that our operator registration uses, in our
// own words, so that it compiles and can be tested without CANN. What it says of CANN's behaviour
// is no more than what CANN's documentation does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace ge {
using graphStatus = uint32_t;
constexpr graphStatus GRAPH_SUCCESS = 0;
constexpr graphStatus GRAPH_FAILED = 0xFFFFFFFF;
enum DataType { DT_FLOAT = 0, DT_FLOAT16 = 1, DT_INT32 = 3, DT_INT64 = 9, DT_BF16 = 27 };
enum Format { FORMAT_ND = 2 };
}  // namespace ge

namespace fe {
struct PlatFormInfos {
    uint32_t cube_cores = 0, library_workspace = 0;
};
}  // namespace fe

namespace gert {

class Shape {
  public:
    Shape() = default;
    explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}
    size_t GetDimNum() const { return dims_.size(); }
    int64_t GetDim(size_t index) const { return dims_.at(index); }
    bool operator==(const Shape& other) const { return dims_ == other.dims_; }

  private:
    std::vector<int64_t> dims_;
};

class StorageShape {
  public:
    explicit StorageShape(Shape shape) : shape_(std::move(shape)) {}
    const Shape& GetStorageShape() const { return shape_; }

  private:
    Shape shape_;
};

class CompileTimeTensorDesc {
  public:
    explicit CompileTimeTensorDesc(ge::DataType dtype) : dtype_(dtype) {}
    ge::DataType GetDataType() const { return dtype_; }

  private:
    ge::DataType dtype_;
};

class RuntimeAttrs {
  public:
    std::vector<std::variant<std::string, float, bool>> values;  // in the order of their definition
    template <typename T>
    const T* GetAttrPointer(size_t index) const {
        if constexpr (std::is_same_v<T, char>) {
            return std::get<std::string>(values.at(index)).c_str();
        } else {
            return &std::get<T>(values.at(index));
        }
    }
};

// Inputs are counted as they are defined; one that is absent is a null pointer.
class TilingContext {
  public:
    RuntimeAttrs attributes;
    std::vector<std::unique_ptr<StorageShape>> shapes;
    std::vector<CompileTimeTensorDesc> inputs, outputs;  // of absent inputs, too
    fe::PlatFormInfos platform;
    uint64_t tiling_key = 0;
    uint32_t blocks = 0;
    size_t workspace = 0;
    std::vector<uint8_t> tiling_data;

    const RuntimeAttrs* GetAttrs() const { return &attributes; }
    const StorageShape* GetInputShape(size_t index) const { return shapes.at(index).get(); }
    const StorageShape* GetOptionalInputShape(size_t index) const {
        return index < shapes.size() ? shapes[index].get() : nullptr;
    }
    const CompileTimeTensorDesc* GetInputDesc(size_t index) const { return &inputs.at(index); }
    const CompileTimeTensorDesc* GetOptionalInputDesc(size_t index) const {
        return GetOptionalInputShape(index) == nullptr ? nullptr : &inputs.at(index);
    }
    const CompileTimeTensorDesc* GetOutputDesc(size_t index) const { return &outputs.at(index); }
    fe::PlatFormInfos* GetPlatformInfo() { return &platform; }
    ge::graphStatus SetTilingKey(uint64_t key) {
        tiling_key = key;
        return ge::GRAPH_SUCCESS;
    }
    ge::graphStatus SetBlockDim(uint32_t count) {
        blocks = count;
        return ge::GRAPH_SUCCESS;
    }
    size_t* GetWorkspaceSizes(size_t) { return &workspace; }
    template <typename T>
    T* GetTilingData() {
        tiling_data.resize(sizeof(T));
        return reinterpret_cast<T*>(tiling_data.data());
    }
};

class InferShapeContext {
  public:
    RuntimeAttrs attributes;
    std::vector<std::unique_ptr<Shape>> inputs;
    std::vector<Shape> outputs;
    const RuntimeAttrs* GetAttrs() const { return &attributes; }
    const Shape* GetInputShape(size_t index) const { return inputs.at(index).get(); }
    const Shape* GetOptionalInputShape(size_t index) const {
        return index < inputs.size() ? inputs[index].get() : nullptr;
    }
    Shape* GetOutputShape(size_t index) { return &outputs.at(index); }
};

class InferDataTypeContext {
  public:
    RuntimeAttrs attributes;
    ge::DataType input = ge::DT_FLOAT16;  // of all inputs
    std::map<size_t, ge::DataType> outputs;
    const RuntimeAttrs* GetAttrs() const { return &attributes; }
    ge::DataType GetInputDataType(size_t) const { return input; }
    ge::graphStatus SetOutputDataType(size_t index, ge::DataType dtype) {
        outputs[index] = dtype;
        return ge::GRAPH_SUCCESS;
    }
};

}  // namespace gert

namespace ops {

enum Option { OPTIONAL, REQUIRED, DYNAMIC };

struct OpParamDef {
    std::string name;
    Option option = OPTIONAL;
    std::vector<ge::DataType> dtypes;
    std::vector<ge::Format> formats;
    bool contiguous = false;
    OpParamDef& ParamType(Option value) {
        option = value;
        return *this;
    }
    OpParamDef& DataType(std::vector<ge::DataType> values) {
        dtypes = std::move(values);
        return *this;
    }
    OpParamDef& Format(std::vector<ge::Format> values) {
        formats = std::move(values);
        return *this;
    }
    OpParamDef& AutoContiguous() {
        contiguous = true;
        return *this;
    }
};

struct OpAttrDef {
    std::string name;
    std::variant<std::string, float, bool> value;
    Option option = REQUIRED;
    OpAttrDef& AttrType(Option given) {
        option = given;
        return *this;
    }
    OpAttrDef& String(const char* standard) {
        value = std::string(standard);
        return *this;
    }
    OpAttrDef& Bool(bool standard) {
        value = standard;
        return *this;
    }
    OpAttrDef& Float(float standard = 0) {
        value = standard;
        return *this;
    }
};

struct OpAICoreDef {
    ge::graphStatus (*tiling)(gert::TilingContext*) = nullptr;
    std::vector<std::string> chips;
    OpAICoreDef& SetTiling(ge::graphStatus (*function)(gert::TilingContext*)) {
        tiling = function;
        return *this;
    }
    OpAICoreDef& AddConfig(const char* chip) {
        chips.emplace_back(chip);
        return *this;
    }
};

class OpDef {
  public:
    std::string name;
    std::vector<OpParamDef> inputs, outputs;
    std::vector<OpAttrDef> attributes;
    ge::graphStatus (*infer_shape)(gert::InferShapeContext*) = nullptr;
    ge::graphStatus (*infer_dtype)(gert::InferDataTypeContext*) = nullptr;
    OpAICoreDef core;

    explicit OpDef(const char* type) : name(type) {}
    OpParamDef& Input(const char* parameter) { return Add(inputs, parameter); }
    OpParamDef& Output(const char* parameter) { return Add(outputs, parameter); }
    OpAttrDef& Attr(const char* attribute) {
        attributes.emplace_back();
        attributes.back().name = attribute;
        return attributes.back();
    }
    OpDef& SetInferShape(ge::graphStatus (*function)(gert::InferShapeContext*)) {
        infer_shape = function;
        return *this;
    }
    OpDef& SetInferDataType(ge::graphStatus (*function)(gert::InferDataTypeContext*)) {
        infer_dtype = function;
        return *this;
    }
    OpAICoreDef& AICore() { return core; }

  private:
    static OpParamDef& Add(std::vector<OpParamDef>& list, const char* parameter) {
        list.emplace_back();
        list.back().name = parameter;
        return list.back();
    }
};

// Every operator that OP_ADD has registered, by its type.
inline std::map<std::string, OpDef>& Registered() {
    static std::map<std::string, OpDef> operators;
    return operators;
}

}  // namespace ops

#define OP_ADD(Type) \
    static const bool registered_##Type = Registered().emplace(#Type, Type(#Type)).second
