// Every operator of libtorch, called by its schema: JavaScript arguments become IValues as the schema says.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <sstream>
#include <unordered_map>

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

struct Overload {
  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;
  size_t positional = 0;
};

struct Operator {
  std::string name;
  std::vector<Overload> overloads;
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

bool is_options(const Napi::Value& value) {
  return value.IsObject() && !value.IsArray() && !value.IsExternal() && !value.IsTypedArray() && !Tensor::is(value);
}

bool bind(const Napi::CallbackInfo& info, const Overload& overload, torch::jit::Stack* stack) {
  auto env = info.Env();
  size_t given = info.Length();
  Napi::Object options;
  if (given > 0 && is_options(info[given - 1])) options = info[--given].As<Napi::Object>();
  while (given > 0 && info[given - 1].IsUndefined()) --given;
  if (given > overload.positional) return false;
  size_t used = 0;
  stack->clear();
  for (size_t k = 0; k < overload.parameters.size(); ++k) {
    const Parameter& p = overload.parameters[k];
    Napi::Value value = env.Undefined();
    if (!p.keyword_only && k < given) {
      value = info[k];
    } else if (!options.IsEmpty() && options.Has(p.name)) {
      value = options.Get(p.name);
      ++used;
    } else if (!p.otherwise) {
      return false;
    }
    IValue converted;
    if (!convert(env, value, p, &converted)) return false;
    stack->push_back(std::move(converted));
  }
  return options.IsEmpty() || options.GetPropertyNames().Length() == used;
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

std::string describe(const Napi::Value& value, int depth = 0) {
  if (Tensor::is(value)) {
    auto slot = Tensor::slot_of(value);
    if (!slot || !slot->tensor.defined()) return "disposed tensor";
    std::ostringstream text;
    text << dtype_name(slot->tensor.scalar_type()) << "[";
    for (int64_t k = 0; k < slot->tensor.dim(); ++k) text << (k ? ", " : "") << slot->tensor.size(k);
    text << "]";
    if (!slot->tensor.device().is_cpu()) text << " on " << slot->tensor.device().str();
    return text.str();
  }
  if (value.IsArray()) {
    auto array = value.As<Napi::Array>();
    std::string text = "(";
    const uint32_t shown = depth > 1 ? 0 : std::min<uint32_t>(array.Length(), 6);
    for (uint32_t k = 0; k < shown; ++k) text += (k ? ", " : "") + describe(array[k], depth + 1);
    return text + (shown < array.Length() ? ", …)" : ")");
  }
  if (value.IsExternal()) return "generator";
  if (value.IsString()) return "\"" + value.As<Napi::String>().Utf8Value() + "\"";
  if (value.IsObject()) {
    auto object = value.As<Napi::Object>();
    auto names = object.GetPropertyNames();
    std::string text = "{";
    for (uint32_t k = 0; k < names.Length(); ++k) {
      Napi::Value name = names[k];
      text += (k ? ", " : "") + name.ToString().Utf8Value() + ": " + describe(object.Get(name), depth + 1);
    }
    return text + "}";
  }
  return value.ToString().Utf8Value();
}

std::string describe_call(const Operator& op, const Napi::CallbackInfo& info) {
  std::string text = op.name.rfind("aten::", 0) == 0 ? op.name.substr(6) : op.name;
  text += "(";
  for (size_t k = 0; k < info.Length(); ++k) text += (k ? ", " : "") + describe(info[k]);
  return text + ")";
}

Napi::Value call(const Operator& op, const Napi::CallbackInfo& info) {
  auto env = info.Env();
  torch::jit::Stack stack;
  for (const Overload& overload : op.overloads) {
    if (!bind(info, overload, &stack)) continue;
    std::string reason;
    try {
      overload.handle.callBoxed(stack);
    } catch (const Napi::Error&) {
      throw;
    } catch (const c10::Error& error) {
      reason = first_line(error.what_without_backtrace());
    } catch (const std::exception& error) {
      reason = first_line(error.what());
    }
    if (!reason.empty()) rethrow_closure_error(env);
    if (!reason.empty()) throw_torch_error(env, describe_call(op, info) + ": " + reason);
    if (stack.empty()) return env.Undefined();
    if (stack.size() == 1) return to_js(env, stack[0]);
    auto array = Napi::Array::New(env, stack.size());
    for (size_t k = 0; k < stack.size(); ++k) array[k] = to_js(env, stack[k]);
    return array;
  }
  std::ostringstream known;
  const char* separator = "";
  for (const Overload& overload : op.overloads) {
    known << separator << overload.handle.schema();
    separator = "; ";
  }
  throw_torch_error(env, describe_call(op, info) + ": the arguments fit no signature of the operator: " + known.str());
}

// Signatures are tried in this order: without `out` first, then as PyTorch lists them, by name.
const std::unordered_map<std::string, std::vector<c10::OperatorName>>& operators_by_name() {
  static const auto* table = [] {
    auto* result = new std::unordered_map<std::string, std::vector<c10::OperatorName>>();
    for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) (*result)[name.name].push_back(name);
    auto rank = [](const c10::OperatorName& name) {
      const std::string& overload = name.overload_name;
      const bool out = overload == "out" || overload.size() > 4 && overload.compare(overload.size() - 4, 4, "_out") == 0;
      const bool names = overload.find("Dimname") != std::string::npos || overload.find("names") != std::string::npos;
      return std::make_pair(out + 2 * names, overload);
    };
    for (auto& entry : *result)
      std::sort(entry.second.begin(), entry.second.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    return result;
  }();
  return *table;
}

// op(name): a function that calls the first overload whose schema the arguments fit.
Napi::Value make_op(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  auto op = std::make_shared<Operator>();
  op->name = info[0].ToString();
  const auto& table = operators_by_name();
  auto found = table.find(op->name);
  if (found != table.end())
    for (const auto& name : found->second) {
      auto handle = c10::Dispatcher::singleton().findSchema(name);
      if (!handle) continue;
      Overload overload{*handle, {}, 0};
      for (const auto& argument : handle->schema().arguments()) {
        overload.parameters.push_back(read_parameter(argument));
        if (!argument.kwarg_only()) ++overload.positional;
      }
      op->overloads.push_back(std::move(overload));
    }
  if (op->overloads.empty()) throw_torch_error(env, "this libtorch has no operator " + op->name);
  return Napi::Function::New(
      env, [op](const Napi::CallbackInfo& i) { return call(*op, i); }, op->name);
}

Napi::Value schemas(const Napi::CallbackInfo& info) {
  auto array = Napi::Array::New(info.Env());
  uint32_t k = 0;
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    auto handle = c10::Dispatcher::singleton().findSchema(name);
    if (!handle) continue;
    std::ostringstream text;
    text << handle->schema();
    array[k++] = Napi::String::New(info.Env(), text.str());
  }
  return array;
}

}  // namespace

void init_dispatch(Napi::Env env, Napi::Object exports) {
  exports["op"] = Napi::Function::New(env, make_op);
  exports["schemas"] = Napi::Function::New(env, schemas);
  exports["generator"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) {
    auto* generator = new at::Generator(
        at::detail::createCPUGenerator(static_cast<uint64_t>(i[0].ToNumber().Int64Value())));
    return Napi::External<at::Generator>::New(i.Env(), generator,
                                              [](Napi::BasicEnv, at::Generator* data) { delete data; });
  });
}

}  // namespace amalgam
