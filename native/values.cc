// JavaScript values become what a parameter of a schema takes, and what libtorch returns becomes JavaScript.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "tensor.h"

namespace amalgam {
namespace {

using c10::IValue;
using c10::TypeKind;

enum class Kind { tensor, integer, floating, boolean, scalar, text, device, dtype, layout, memory_format, generator, list, other };

struct Parameter {
  std::string name;
  Kind kind;
  Kind element = Kind::other;      // of a list
  bool optional = false;
  bool element_optional = false;
  bool keyword_only = false;
  bool sized = false;              // int[2]: a single number stands for a list of it
  c10::TypePtr element_type;
  std::optional<IValue> otherwise;
};

Kind kind_of(const c10::TypePtr& type) {
  switch (type->kind()) {
    case TypeKind::TensorType: return Kind::tensor;
    case TypeKind::IntType:
    case TypeKind::SymIntType: return Kind::integer;
    case TypeKind::FloatType: return Kind::floating;
    case TypeKind::BoolType: return Kind::boolean;
    case TypeKind::NumberType: return Kind::scalar;
    case TypeKind::StringType:
    case TypeKind::AnyType:  // the collectives' group, which is given by its name
      return Kind::text;
    case TypeKind::DeviceObjType: return Kind::device;
    case TypeKind::ScalarTypeType: return Kind::dtype;
    case TypeKind::LayoutType: return Kind::layout;
    case TypeKind::MemoryFormatType: return Kind::memory_format;
    case TypeKind::GeneratorType: return Kind::generator;
    case TypeKind::ListType: return Kind::list;
    default: return Kind::other;
  }
}

Parameter read_parameter(const c10::Argument& argument) {
  Parameter p;
  p.name = argument.name();
  p.keyword_only = argument.kwarg_only();
  p.otherwise = argument.default_value();
  c10::TypePtr type = argument.real_type();
  if (type->kind() == TypeKind::OptionalType) {
    p.optional = true;
    type = type->castRaw<c10::OptionalType>()->getElementType();
  }
  p.kind = kind_of(type);
  if (p.kind == Kind::list) {
    p.sized = argument.N().has_value();
    p.element_type = argument.type()->kind() == TypeKind::OptionalType
                         ? argument.type()->castRaw<c10::OptionalType>()->getElementType()->castRaw<c10::ListType>()->getElementType()
                         : argument.type()->castRaw<c10::ListType>()->getElementType();
    c10::TypePtr element = type->castRaw<c10::ListType>()->getElementType();
    if (element->kind() == TypeKind::OptionalType) {
      p.element_optional = true;
      element = element->castRaw<c10::OptionalType>()->getElementType();
    }
    p.element = kind_of(element);
  }
  return p;
}

bool is_whole(double value) { return value == std::trunc(value) && std::abs(value) <= 9007199254740992.0; }

bool number_of(const Napi::Value& value, double* out) {
  if (!value.IsNumber()) return false;
  *out = value.As<Napi::Number>().DoubleValue();
  return true;
}

bool layout_of(const std::string& name, int64_t* out) {
  if (name == "strided") *out = static_cast<int64_t>(at::kStrided);
  else if (name == "sparse_coo") *out = static_cast<int64_t>(at::kSparse);
  else return false;
  return true;
}

bool memory_format_of(const std::string& name, int64_t* out) {
  if (name == "contiguous") *out = static_cast<int64_t>(at::MemoryFormat::Contiguous);
  else if (name == "preserve") *out = static_cast<int64_t>(at::MemoryFormat::Preserve);
  else if (name == "channels_last") *out = static_cast<int64_t>(at::MemoryFormat::ChannelsLast);
  else return false;
  return true;
}

// False where the value is not of the kind: the next overload is tried.
bool convert_single(Napi::Env env, const Napi::Value& value, Kind kind, IValue* out) {
  double number = 0;
  switch (kind) {
    case Kind::tensor:
      if (!Tensor::is(value)) return false;
      *out = Tensor::unwrap(value);
      return true;
    case Kind::integer:
      if (value.IsBigInt()) {
        bool lossless = true;
        *out = value.As<Napi::BigInt>().Int64Value(&lossless);
        return lossless;
      }
      if (!number_of(value, &number) || !is_whole(number)) return false;
      *out = static_cast<int64_t>(number);
      return true;
    case Kind::floating:
      if (!number_of(value, &number)) return false;
      *out = number;
      return true;
    case Kind::boolean:
      if (!value.IsBoolean()) return false;
      *out = value.As<Napi::Boolean>().Value();
      return true;
    case Kind::scalar:
      if (value.IsBigInt()) {
        bool lossless = true;
        *out = value.As<Napi::BigInt>().Int64Value(&lossless);
        return lossless;
      }
      if (value.IsBoolean()) {
        *out = value.As<Napi::Boolean>().Value();
        return true;
      }
      if (!number_of(value, &number)) return false;
      // A whole number is an integer scalar, as in Python; -0 would lose its sign.
      if (is_whole(number) && !(number == 0 && std::signbit(number)))
        *out = static_cast<int64_t>(number);
      else
        *out = number;
      return true;
    case Kind::text:
      if (!value.IsString()) return false;
      *out = value.As<Napi::String>().Utf8Value();
      return true;
    case Kind::device:
      if (!value.IsString()) return false;
      try {
        *out = c10::Device(value.As<Napi::String>().Utf8Value());
      } catch (const std::exception&) {
        return false;
      }
      return true;
    case Kind::dtype: {
      at::ScalarType type;
      if (!value.IsString() || !parse_dtype(value.As<Napi::String>(), &type)) return false;
      *out = static_cast<int64_t>(type);
      return true;
    }
    case Kind::layout:
    case Kind::memory_format: {
      int64_t code = 0;
      if (!value.IsString()) return false;
      const std::string name = value.As<Napi::String>();
      if (!(kind == Kind::layout ? layout_of(name, &code) : memory_format_of(name, &code))) return false;
      *out = code;
      return true;
    }
    case Kind::generator:
      if (!value.IsExternal()) return false;
      *out = *value.As<Napi::External<at::Generator>>().Data();
      return true;
    default:
      return false;
  }
}

bool convert_list(Napi::Env env, const Napi::Value& value, const Parameter& p, IValue* out) {
  std::vector<IValue> items;
  if (value.IsArray()) {
    auto array = value.As<Napi::Array>();
    const uint32_t length = array.Length();
    items.reserve(length);
    for (uint32_t k = 0; k < length; ++k) {
      Napi::Value item = array[k];
      IValue converted;
      if (p.element_optional && (item.IsNull() || item.IsUndefined()))
        converted = IValue();
      else if (!convert_single(env, item, p.element, &converted))
        return false;
      items.push_back(std::move(converted));
    }
  } else {
    IValue single;
    if (!p.sized || !convert_single(env, value, p.element, &single)) return false;
    items.push_back(single);
  }
  if (p.element == Kind::tensor && !p.element_optional) {
    c10::List<at::Tensor> list;
    list.reserve(items.size());
    for (auto& item : items) list.push_back(item.toTensor());
    *out = list;
  } else if (p.element == Kind::integer) {
    c10::List<int64_t> list;
    list.reserve(items.size());
    for (auto& item : items) list.push_back(item.toInt());
    *out = list;
  } else {
    c10::impl::GenericList list(p.element_type);
    list.reserve(items.size());
    for (auto& item : items) list.push_back(item);
    *out = list;
  }
  return true;
}

bool convert(Napi::Env env, const Napi::Value& value, const Parameter& p, IValue* out) {
  if (value.IsNull() || value.IsUndefined()) {
    if (p.kind == Kind::tensor && p.optional) {
      *out = IValue();
      return true;
    }
    if (value.IsUndefined() && p.otherwise) {
      *out = *p.otherwise;
      return true;
    }
    if (!p.optional) return false;
    *out = IValue();
    return true;
  }
  return p.kind == Kind::list ? convert_list(env, value, p, out) : convert_single(env, value, p.kind, out);
}

Napi::Value to_js(Napi::Env env, const IValue& value) {
  if (value.isTensor()) return value.toTensor().defined() ? Tensor::wrap(env, value.toTensor()) : env.Null();
  if (value.isNone()) return env.Null();
  if (value.isInt()) return Napi::Number::New(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return Napi::Number::New(env, value.toDouble());
  if (value.isBool()) return Napi::Boolean::New(env, value.toBool());
  if (value.isString()) return Napi::String::New(env, value.toStringRef());
  if (value.isScalar()) return Napi::Number::New(env, value.toScalar().toDouble());
  if (value.isList()) {
    auto list = value.toList();
    auto array = Napi::Array::New(env, list.size());
    uint32_t k = 0;
    for (const IValue& item : list) array[k++] = to_js(env, item);
    return array;
  }
  return env.Undefined();
}

}  // namespace
}  // namespace amalgam
