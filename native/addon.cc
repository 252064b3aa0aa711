// One translation unit: libtorch's headers, which take most of the compile time, are read once.
#include "memory.cc"
#include "tensor.cc"
#include "values.cc"
#include "dispatch.cc"
#include "autograd.cc"
#include "attention.cc"
#include "paged-attention.cc"
#include "product.cc"
#include "elementwise.cc"
#include "log-probs.cc"
#include "profile.cc"
#include "distributed.cc"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  amalgam::init_memory(env, exports);
  amalgam::init_tensor(env, exports);
  amalgam::init_dispatch(env, exports);
  amalgam::init_autograd(env, exports);
  amalgam::init_attention(env, exports);
  amalgam::init_paged_attention(env, exports);
  amalgam::init_product(env, exports);
  amalgam::init_elementwise(env, exports);
  amalgam::init_log_probs(env, exports);
  amalgam::init_profile(env, exports);
  amalgam::init_distributed(env, exports);
  return exports;
}

NODE_API_MODULE(amalgam, init)
