#include "tensor.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>
#include <torch/version.h>

#include <cstring>
#include <unordered_map>

namespace amalgam {
namespace {

// JavaScript's own state is that of one thread: a worker has classes, scopes and counts of its own.
thread_local Napi::FunctionReference tensor_class;
thread_local Napi::FunctionReference error_class;
const napi_type_tag kTensorTag = {0x5b1f6c62a1d94c0eULL, 0x9c3ad4f08e2b7715ULL};

// Never destroyed: at exit JavaScript, which some tensors' histories refer to, is gone before static objects are.
thread_local std::vector<std::vector<std::shared_ptr<Slot>>>& scopes = *new std::vector<std::vector<std::shared_ptr<Slot>>>();
thread_local int64_t live_tensors = 0;

struct NamedType {
  const char* name;
  at::ScalarType type;
};
// Names as in torch.dtype; the list in src/torch/dtype.ts is the same.
const NamedType kTypes[] = {
    {"uint8", at::kByte},       {"int8", at::kChar},         {"int16", at::kShort},
    {"int32", at::kInt},        {"int64", at::kLong},        {"float16", at::kHalf},
    {"float32", at::kFloat},    {"float64", at::kDouble},    {"bool", at::kBool},
    {"bfloat16", at::kBFloat16}, {"complex64", at::kComplexFloat}, {"complex128", at::kComplexDouble},
    {"float8_e4m3fn", at::kFloat8_e4m3fn}, {"float8_e5m2", at::kFloat8_e5m2},
};

void tell_v8(Napi::Env env, Slot& slot) {
  if (!slot.tensor.defined() || slot.external_bytes != 0 || !slot.tensor.device().is_cpu()) return;
  if (!slot.tensor.has_storage()) return;
  slot.external_bytes = static_cast<int64_t>(slot.tensor.nbytes());
  Napi::MemoryManagement::AdjustExternalMemory(env, slot.external_bytes);
}

}  // namespace

std::string first_line(const std::string& text) {
  const size_t start = text.find_first_not_of("\n");
  return start == std::string::npos ? "no reason given" : text.substr(start, text.find('\n', start) - start);
}

const char* dtype_name(at::ScalarType type) {
  for (const auto& entry : kTypes)
    if (entry.type == type) return entry.name;
  return "unknown";
}

bool parse_dtype(const std::string& name, at::ScalarType* type) {
  for (const auto& entry : kTypes)
    if (name == entry.name) {
      *type = entry.type;
      return true;
    }
  return false;
}

void throw_torch_error(Napi::Env env, const std::string& message) {
  if (error_class.IsEmpty()) throw Napi::Error::New(env, message);
  Napi::Object error = error_class.New({Napi::String::New(env, message)});
  throw Napi::Error(env, error);
}

Slot::Slot(at::Tensor t) : tensor(std::move(t)) { ++live_tensors; }
Slot::~Slot() { release(); }
void Slot::release() {
  if (!tensor.defined()) return;
  tensor.reset();
  --live_tensors;
}

void open_scope() { scopes.emplace_back(); }

void close_scope(Napi::Env env, const std::vector<std::shared_ptr<Slot>>& keep) {
  auto closing = std::move(scopes.back());
  scopes.pop_back();
  for (auto& slot : closing) {
    bool kept = false;
    for (const auto& other : keep) kept = kept || other == slot;
    if (!kept) {
      slot->release();
    } else if (scopes.empty()) {
      tell_v8(env, *slot);
    } else {
      scopes.back().push_back(slot);
    }
  }
}

Tensor::Tensor(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Tensor>(info) {
  napi_type_tag_object(info.Env(), info.This(), &kTensorTag);
}

void Tensor::Finalize(Napi::BasicEnv env) {
  if (slot_ && slot_->external_bytes != 0) {
    int64_t total = 0;
    napi_adjust_external_memory(env, -slot_->external_bytes, &total);
    slot_->external_bytes = 0;
  }
}

Napi::Value Tensor::wrap(Napi::Env env, at::Tensor t) {
  Napi::Object object = tensor_class.New({});
  Tensor* self = Tensor::Unwrap(object);
  self->slot_ = std::make_shared<Slot>(std::move(t));
  if (scopes.empty())
    tell_v8(env, *self->slot_);
  else
    scopes.back().push_back(self->slot_);
  return object;
}

bool Tensor::is(const Napi::Value& value) {
  if (!value.IsObject()) return false;
  bool result = false;
  return napi_check_object_type_tag(value.Env(), value, &kTensorTag, &result) == napi_ok && result;
}

std::shared_ptr<Slot> Tensor::slot_of(const Napi::Value& value) {
  if (!Tensor::is(value)) throw Napi::TypeError::New(value.Env(), "expected a Tensor");
  return Tensor::Unwrap(value.As<Napi::Object>())->slot_;
}

const at::Tensor& Tensor::unwrap(const Napi::Value& value) {
  auto slot = slot_of(value);
  if (!slot || !slot->tensor.defined())
    throw_torch_error(value.Env(), "the tensor was disposed: it was made in a scope that has ended, and not returned from it");
  return slot->tensor;
}

const at::Tensor& Tensor::get(const Napi::CallbackInfo& info) const {
  if (!slot_ || !slot_->tensor.defined())
    throw_torch_error(info.Env(), "the tensor was disposed: it was made in a scope that has ended, and not returned from it");
  return slot_->tensor;
}

static Napi::Value numbers(Napi::Env env, at::IntArrayRef values) {
  auto array = Napi::Array::New(env, values.size());
  for (uint32_t k = 0; k < values.size(); ++k) array[k] = Napi::Number::New(env, static_cast<double>(values[k]));
  return array;
}

Napi::Value Tensor::shape(const Napi::CallbackInfo& info) { return numbers(info.Env(), get(info).sizes()); }
Napi::Value Tensor::strides(const Napi::CallbackInfo& info) { return numbers(info.Env(), get(info).strides()); }
Napi::Value Tensor::dtype(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), dtype_name(get(info).scalar_type()));
}
Napi::Value Tensor::device(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), get(info).device().str());
}
Napi::Value Tensor::numel(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(get(info).numel()));
}
Napi::Value Tensor::disposed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !slot_ || !slot_->tensor.defined());
}
Napi::Value Tensor::is_leaf(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), get(info).is_leaf());
}
Napi::Value Tensor::requires_grad(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), get(info).requires_grad());
}
void Tensor::set_requires_grad(const Napi::CallbackInfo& info, const Napi::Value& value) {
  guarded(info.Env(), "requiresGrad", [&] { get(info).set_requires_grad(value.ToBoolean()); });
}
Napi::Value Tensor::grad(const Napi::CallbackInfo& info) {
  const auto& gradient = get(info).grad();
  return gradient.defined() ? wrap(info.Env(), gradient) : info.Env().Null();
}
void Tensor::set_grad(const Napi::CallbackInfo& info, const Napi::Value& value) {
  at::Tensor t = get(info);
  guarded(info.Env(), "grad", [&] {
    if (value.IsNull() || value.IsUndefined()) {
      t.mutable_grad().reset();
      return;
    }
    const at::Tensor& gradient = unwrap(value);
    TORCH_CHECK(gradient.sizes() == t.sizes(), "a gradient of shape ", gradient.sizes(), " for a tensor of shape ", t.sizes());
    TORCH_CHECK(gradient.scalar_type() == t.scalar_type(), "a gradient of ", dtype_name(gradient.scalar_type()),
                " for a tensor of ", dtype_name(t.scalar_type()));
    TORCH_CHECK(gradient.device() == t.device(), "a gradient on ", gradient.device(), " for a tensor on ", t.device());
    t.mutable_grad() = gradient;
  });
}

Napi::Value Tensor::item(const Napi::CallbackInfo& info) {
  const auto& t = get(info);
  return guarded(info.Env(), "item", [&]() -> Napi::Value {
    at::Scalar scalar = t.item();
    if (scalar.isBoolean()) return Napi::Boolean::New(info.Env(), scalar.toBool());
    if (scalar.isIntegral(false)) {
      const int64_t whole = scalar.toLong();
      TORCH_CHECK(std::abs(static_cast<double>(whole)) <= 9007199254740991.0, whole,
                  " is beyond 2^53 and no JavaScript number; toArray gives it as a BigInt");
    }
    return Napi::Number::New(info.Env(), scalar.toDouble());
  });
}

Napi::Value Tensor::bytes(const Napi::CallbackInfo& info) {
  const auto& t = get(info);
  return guarded(info.Env(), "bytes", [&]() -> Napi::Value {
    at::Tensor flat = t.detach().cpu().contiguous();
    auto buffer = Napi::ArrayBuffer::New(info.Env(), flat.nbytes());
    if (flat.nbytes() > 0) std::memcpy(buffer.Data(), flat.const_data_ptr(), flat.nbytes());
    return buffer;
  });
}

Napi::Value Tensor::dispose(const Napi::CallbackInfo& info) {
  if (slot_) {
    slot_->release();
    if (slot_->external_bytes != 0) {
      Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -slot_->external_bytes);
      slot_->external_bytes = 0;
    }
  }
  return info.Env().Undefined();
}

Napi::Function Tensor::define(Napi::Env env) {
  return DefineClass(env, "Tensor",
                     {InstanceAccessor("shape", &Tensor::shape, nullptr),
                      InstanceAccessor("strides", &Tensor::strides, nullptr),
                      InstanceAccessor("dtype", &Tensor::dtype, nullptr),
                      InstanceAccessor("device", &Tensor::device, nullptr),
                      InstanceAccessor("elements", &Tensor::numel, nullptr),
                      InstanceAccessor("disposed", &Tensor::disposed, nullptr),
                      InstanceAccessor("isLeaf", &Tensor::is_leaf, nullptr),
                      InstanceAccessor("requiresGrad", &Tensor::requires_grad, &Tensor::set_requires_grad),
                      InstanceAccessor("grad", &Tensor::grad, &Tensor::set_grad),
                      InstanceMethod("item", &Tensor::item),
                      InstanceMethod("bytes", &Tensor::bytes), InstanceMethod("dispose", &Tensor::dispose)});
}

// fromBytes(TypedArray, shape, dtype): a copy of the array's bytes as a CPU tensor.
static Napi::Value from_bytes(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  auto data = info[0].As<Napi::TypedArray>();
  auto sizes = info[1].As<Napi::Array>();
  at::ScalarType type;
  if (!parse_dtype(info[2].ToString(), &type)) throw_torch_error(env, "unknown dtype " + info[2].ToString().Utf8Value());
  std::vector<int64_t> shape;
  int64_t count = 1;
  for (uint32_t k = 0; k < sizes.Length(); ++k) {
    shape.push_back(Napi::Value(sizes[k]).ToNumber().Int64Value());
    count *= shape.back();
  }
  const size_t wanted = static_cast<size_t>(count) * c10::elementSize(type);
  if (wanted != data.ByteLength())
    throw_torch_error(env, "tensor: the shape needs " + std::to_string(wanted) + " bytes, the array has " +
                               std::to_string(data.ByteLength()));
  return guarded(env, "tensor", [&] {
    at::Tensor t = at::empty(shape, at::TensorOptions().dtype(type));
    if (wanted > 0)
      std::memcpy(t.mutable_data_ptr(), static_cast<char*>(data.ArrayBuffer().Data()) + data.ByteOffset(), wanted);
    return Tensor::wrap(env, t);
  });
}

static std::vector<std::shared_ptr<Slot>> slots_in(const Napi::Value& value) {
  std::vector<std::shared_ptr<Slot>> slots;
  auto array = value.As<Napi::Array>();
  for (uint32_t k = 0; k < array.Length(); ++k) slots.push_back(Tensor::slot_of(array[k]));
  return slots;
}

void init_tensor(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = Tensor::define(env);
  tensor_class = Napi::Persistent(constructor);
  tensor_class.SuppressDestruct();
  exports["Tensor"] = constructor;
  exports["torchVersion"] = Napi::String::New(env, TORCH_VERSION);
  exports["fromBytes"] = Napi::Function::New(env, from_bytes);
  exports["isTensor"] =
      Napi::Function::New(env, [](const Napi::CallbackInfo& i) { return Napi::Boolean::New(i.Env(), Tensor::is(i[0])); });
  exports["setErrorClass"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) {
    error_class = Napi::Persistent(i[0].As<Napi::Function>());
    error_class.SuppressDestruct();
  });
  exports["openScope"] = Napi::Function::New(env, [](const Napi::CallbackInfo&) { open_scope(); });
  exports["closeScope"] =
      Napi::Function::New(env, [](const Napi::CallbackInfo& i) { close_scope(i.Env(), slots_in(i[0])); });
  exports["liveTensors"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) {
    return Napi::Number::New(i.Env(), static_cast<double>(live_tensors));
  });
  exports["setThreads"] = Napi::Function::New(
      env, [](const Napi::CallbackInfo& i) { at::set_num_threads(i[0].ToNumber().Int32Value()); });
  exports["threads"] = Napi::Function::New(
      env, [](const Napi::CallbackInfo& i) { return Napi::Number::New(i.Env(), at::get_num_threads()); });
  exports["manualSeed"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) {
    const auto seed = static_cast<uint64_t>(i[0].ToNumber().Int64Value());
    auto generator = at::globalContext().defaultGenerator(at::kCPU);
    {
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_current_seed(seed);
    }
    if (at::hasCUDA())
      for (int k = 0; k < static_cast<int>(at::detail::getCUDAHooks().deviceCount()); ++k) {
        auto cuda = at::globalContext().defaultGenerator(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(k)));
        std::lock_guard<std::mutex> lock(cuda.mutex());
        cuda.set_current_seed(seed);
      }
  });
  exports["randomState"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) {
    return guarded(i.Env(), "randomState", [&]() -> Napi::Value {
      auto generator = at::globalContext().defaultGenerator(c10::Device(i[0].ToString().Utf8Value()));
      std::lock_guard<std::mutex> lock(generator.mutex());
      return Tensor::wrap(i.Env(), generator.get_state());
    });
  });
  exports["setRandomState"] = Napi::Function::New(env, [](const Napi::CallbackInfo& i) {
    guarded(i.Env(), "setRandomState", [&] {
      auto generator = at::globalContext().defaultGenerator(c10::Device(i[1].ToString().Utf8Value()));
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_state(Tensor::unwrap(i[0]));
    });
  });
}

}  // namespace amalgam
