// Every operator of libtorch, called by its schema.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <sstream>
#include <unordered_map>

#include "tensor.h"

namespace amalgam {
namespace {

struct Overload {
  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;
  size_t positional = 0;
};

struct Operator {
  std::string name;
  std::vector<Overload> overloads;
};

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
