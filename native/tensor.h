// The JavaScript face of at::Tensor, and the scopes that free it.
#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

namespace amalgam {

// What a JavaScript tensor holds. A scope and the JavaScript object share it, so that the scope can let go of the
// memory while the (small) object waits for the garbage collector.
struct Slot {
  at::Tensor tensor;
  int64_t external_bytes = 0;  // told to V8; only where the collector, not a scope, decides over the lifetime
  explicit Slot(at::Tensor t);
  ~Slot();
  void release();
};

class Tensor : public Napi::ObjectWrap<Tensor> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value wrap(Napi::Env env, at::Tensor t);
  static bool is(const Napi::Value& value);
  // Throws a JavaScript TypeError where `value` is no tensor or was disposed.
  static const at::Tensor& unwrap(const Napi::Value& value);
  static std::shared_ptr<Slot> slot_of(const Napi::Value& value);

  explicit Tensor(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  std::shared_ptr<Slot> slot_;
  const at::Tensor& get(const Napi::CallbackInfo& info) const;

  Napi::Value shape(const Napi::CallbackInfo& info);
  Napi::Value strides(const Napi::CallbackInfo& info);
  Napi::Value dtype(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value numel(const Napi::CallbackInfo& info);
  Napi::Value disposed(const Napi::CallbackInfo& info);
  Napi::Value requires_grad(const Napi::CallbackInfo& info);
  void set_requires_grad(const Napi::CallbackInfo& info, const Napi::Value& value);
  Napi::Value is_leaf(const Napi::CallbackInfo& info);
  Napi::Value grad(const Napi::CallbackInfo& info);
  void set_grad(const Napi::CallbackInfo& info, const Napi::Value& value);
  Napi::Value item(const Napi::CallbackInfo& info);
  Napi::Value bytes(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
};

// Scopes nest; every tensor made while one is open belongs to the innermost.
void open_scope();
// Frees the innermost scope's tensors but those in `keep`, which pass to the scope around it, or to the collector.
void close_scope(Napi::Env env, const std::vector<std::shared_ptr<Slot>>& keep);

const char* dtype_name(at::ScalarType type);
bool parse_dtype(const std::string& name, at::ScalarType* type);

// Throws the TypeScript class TorchError (registered by `setErrorClass`).
[[noreturn]] void throw_torch_error(Napi::Env env, const std::string& message);
// Runs `body`; what libtorch throws becomes a TorchError "where: first line".
template <typename Body>
auto guarded(Napi::Env env, const std::string& where, Body body) -> decltype(body());
std::string first_line(const std::string& text);
// What a TypeScript closure threw while libtorch ran is thrown again, as it was; returns where there is none.
void rethrow_closure_error(Napi::Env env);

void init_memory(Napi::Env env, Napi::Object exports);
void init_tensor(Napi::Env env, Napi::Object exports);
void init_dispatch(Napi::Env env, Napi::Object exports);
void init_autograd(Napi::Env env, Napi::Object exports);
void init_attention(Napi::Env env, Napi::Object exports);
void init_paged_attention(Napi::Env env, Napi::Object exports);
void init_product(Napi::Env env, Napi::Object exports);
void init_elementwise(Napi::Env env, Napi::Object exports);
void init_log_probs(Napi::Env env, Napi::Object exports);
void init_profile(Napi::Env env, Napi::Object exports);
void init_distributed(Napi::Env env, Napi::Object exports);

template <typename Body>
auto guarded(Napi::Env env, const std::string& where, Body body) -> decltype(body()) {
  std::string reason;
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const c10::Error& error) {
    reason = first_line(error.what_without_backtrace());
  } catch (const std::exception& error) {
    reason = first_line(error.what());
  }
  rethrow_closure_error(env);
  throw_torch_error(env, where + ": " + reason);
}

}  // namespace amalgam
