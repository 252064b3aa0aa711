// Attention over bundles on the processor: every token of a prompt sees the prompt up to itself, every token of a response sees
// the prompt and its own response up to itself. Blocks of queries meet blocks of keys (Dao et al. 2022, "FlashAttention"): scores
// never leave the processor's cache, what nobody sees is not computed, and the heads that share keys ask them together.
#include <ATen/ops/empty_like.h>
#include <ATen/record_function.h>

#include <array>
#include <cmath>

#include "kernels.h"
#include "tensor.h"

namespace amalgam {
namespace attention {
namespace {

constexpr int64_t kKeys = 64;         // keys in a block
constexpr int64_t kQueryRows = 96;    // rows of queries in a block, one for each token and head of a group
constexpr int64_t kDepthStep = 16;    // head dimensions are filled up with zeros to a multiple of it
constexpr float kHidden = -1e30f;

// Up to kKeys keys that follow one another in a segment.
struct Keys {
  int64_t block;     // place among all blocks
  int64_t token;     // of the first key
  int64_t count;
  int64_t position;  // of the first key, in the sequence it belongs to
  int64_t share = 0; // where the gradients that one segment gives to these keys are gathered
};

// Queries of one segment and group that are computed together.
struct Queries {
  int64_t group;
  int64_t token;
  int64_t count;
  int64_t position;
  const std::vector<Keys>* visible;  // those of the prompt and of the segment itself
};

struct Shape {
  int64_t heads, groups, repeats, dim, depth, blocks = 0;
  int64_t window;  // 0: none
  double scale;

  int64_t queries_together() const { return std::max<int64_t>(1, kQueryRows / repeats); }
  int64_t query_rows() const { return queries_together() * repeats; }
  // The keys of the block that the query sees, as [first, end): those before it and not farther away than the window.
  std::pair<int64_t, int64_t> seen(const Queries& at, const Keys& keys, int64_t query) const {
    const int64_t distance = at.position + query - keys.position;
    const int64_t first = window == 0 ? 0 : std::max<int64_t>(0, distance - window + 1);
    return {first, std::min(keys.count, distance + 1)};
  }
  bool any_seen(const Queries& at, const Keys& keys) const {
    if (at.position + at.count <= keys.position) return false;
    return window == 0 || at.position - (keys.position + keys.count - 1) < window;
  }
};

// The query blocks of one segment in one group, and the places of what they give to the gradients of keys.
struct Run {
  int64_t group, first_query, end_query, first_share, shares;
};

// What is to be computed for a packed batch.
struct Plan {
  Shape shape;
  std::vector<Keys> keys;
  std::vector<std::vector<Keys>> visible;  // by segment
  std::vector<Queries> queries;
  std::vector<Run> runs;
  std::vector<std::vector<int64_t>> shares_of;  // by block of keys, always in the same order
  int64_t shares = 0;

  Plan() = default;
  Plan(Plan&&) = default;  // a copy's queries would point into the original
  Plan& operator=(Plan&&) = default;
};

// `segments`: three numbers each, the first token, the length, and the prompt's segment (-1 for a prompt).
Plan plan_of(const at::Tensor& q, const at::Tensor& k, const int32_t* segments, size_t count, double scale, int64_t window) {
  Plan plan;
  Shape& shape = plan.shape;
  shape.heads = q.size(1);
  shape.groups = k.size(1);
  shape.repeats = shape.heads / shape.groups;
  shape.dim = q.size(2);
  shape.depth = (shape.dim + kDepthStep - 1) / kDepthStep * kDepthStep;
  shape.window = window;
  shape.scale = scale;
  plan.visible.resize(count);
  int64_t tokens = 0;
  for (size_t s = 0; s < count; ++s) {
    const int64_t token = segments[3 * s], length = segments[3 * s + 1], prompt = segments[3 * s + 2];
    TORCH_CHECK(token == tokens && length >= 0, "the segments don't follow one another");
    TORCH_CHECK(prompt < static_cast<int64_t>(s) && (prompt < 0 || segments[3 * prompt + 2] < 0), "segment ", s, " has no prompt before it");
    tokens += length;
    const int64_t position = prompt < 0 ? 0 : segments[3 * prompt + 1];
    std::vector<Keys>& visible = plan.visible[s];
    if (prompt >= 0) visible = plan.visible[prompt];
    for (int64_t j = 0; j < length; j += kKeys) {
      const Keys keys{shape.blocks++, token + j, std::min(kKeys, length - j), position + j};
      plan.keys.push_back(keys);
      plan.shares_of.emplace_back();
      visible.push_back(keys);
    }
    const int64_t first_share = plan.shares;
    for (Keys& keys : visible) {
      keys.share = plan.shares++;
      plan.shares_of[keys.block].push_back(keys.share);
    }
    for (int64_t g = 0; g < shape.groups; ++g) {
      const auto first_query = static_cast<int64_t>(plan.queries.size());
      for (int64_t i = 0; i < length; i += shape.queries_together())
        plan.queries.push_back({g, token + i, std::min(shape.queries_together(), length - i), position + i, &visible});
      plan.runs.push_back({g, first_query, static_cast<int64_t>(plan.queries.size()), first_share, plan.shares - first_share});
    }
  }
  TORCH_CHECK(tokens == q.size(0), "the segments have ", tokens, " tokens, the queries ", q.size(0));
  return plan;
}

#define AMALGAM_KERNEL "attention-kernel.h"
#include "each-instruction-set.h"
#undef AMALGAM_KERNEL

struct Problem {
  at::Tensor q, k, v;
  Plan plan;
};

Problem problem_of(const Napi::CallbackInfo& info, size_t from) {
  Problem problem;
  problem.q = Tensor::unwrap(info[from]).contiguous();
  problem.k = Tensor::unwrap(info[from + 1]).contiguous();
  problem.v = Tensor::unwrap(info[from + 2]).contiguous();
  auto segments = info[from + 3].As<Napi::Int32Array>();
  const auto& [q, k, v, _] = problem;
  TORCH_CHECK(q.device().is_cpu() && q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                  q.size(2) == k.size(2) && k.size(1) > 0 && q.size(1) % k.size(1) == 0 && q.scalar_type() == k.scalar_type() &&
                  k.scalar_type() == v.scalar_type(),
              "q [T, heads, dim] and k, v [T, groups, dim] on the processor don't fit together");
  problem.plan = plan_of(q, k, segments.Data(), segments.ElementLength() / 3, info[from + 4].ToNumber().DoubleValue(),
                         info[from + 5].ToNumber().Int64Value());
  return problem;
}

// attendBundles(q, k, v, segments, scale, window): [output [T, heads * dim], log-sum-exp [T, heads]].
Napi::Value attend_bundles(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  return guarded(env, "attendBundles", [&]() -> Napi::Value {
    const Problem problem = problem_of(info, 0);
    const auto &q = problem.q, &k = problem.k, &v = problem.v;
    const std::array<c10::IValue, 3> given{q, k, v};
    RECORD_FUNCTION("amalgam::attend_bundles", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    const auto type = q.scalar_type();
    auto out = at::empty({q.size(0), q.size(1) * q.size(2)}, q.options());
    auto lse = at::empty({q.size(0), q.size(1)}, q.options().dtype(type == at::kDouble ? at::kDouble : at::kFloat));
    with_kernels(type, [&](auto kernels, auto zero) {
      using In = decltype(zero);
      kernels.attend(problem.plan, q.const_data_ptr<In>(), k.const_data_ptr<In>(), v.const_data_ptr<In>(), out.mutable_data_ptr<In>(),
                     lse.mutable_data_ptr<typename decltype(kernels)::Real>());
    });
    auto result = Napi::Array::New(env, 2);
    result[0u] = Tensor::wrap(env, out);
    result[1u] = Tensor::wrap(env, lse);
    return result;
  });
}

// attendBundlesBackward(gradOut, out, lse, q, k, v, segments, scale, window): the gradients of q, k and v.
Napi::Value attend_bundles_backward(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  return guarded(env, "attendBundlesBackward", [&]() -> Napi::Value {
    const auto grad = Tensor::unwrap(info[0]).contiguous();
    const auto out = Tensor::unwrap(info[1]).contiguous();
    const auto lse = Tensor::unwrap(info[2]).contiguous();
    const Problem problem = problem_of(info, 3);
    const auto &q = problem.q, &k = problem.k, &v = problem.v;
    const std::array<c10::IValue, 3> given{q, k, v};
    RECORD_FUNCTION("amalgam::attend_bundles_backward", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    const auto type = q.scalar_type();
    TORCH_CHECK(grad.scalar_type() == type && grad.numel() == q.numel() && out.numel() == q.numel(),
                "the gradient is not that of the output");
    auto grad_q = at::empty_like(q), grad_k = at::empty_like(k), grad_v = at::empty_like(v);
    with_kernels(type, [&](auto kernels, auto zero) {
      using In = decltype(zero);
      kernels.differentiate(problem.plan, q.const_data_ptr<In>(), k.const_data_ptr<In>(), v.const_data_ptr<In>(), out.const_data_ptr<In>(),
                            grad.const_data_ptr<In>(), lse.const_data_ptr<typename decltype(kernels)::Real>(),
                            grad_q.mutable_data_ptr<In>(), grad_k.mutable_data_ptr<In>(), grad_v.mutable_data_ptr<In>());
    });
    auto result = Napi::Array::New(env, 3);
    result[0u] = Tensor::wrap(env, grad_q);
    result[1u] = Tensor::wrap(env, grad_k);
    result[2u] = Tensor::wrap(env, grad_v);
    return result;
  });
}

}  // namespace
}  // namespace attention

void init_attention(Napi::Env env, Napi::Object exports) {
  exports["attendBundles"] = Napi::Function::New(env, attention::attend_bundles);
  exports["attendBundlesBackward"] = Napi::Function::New(env, attention::attend_bundles_backward);
}

}  // namespace amalgam
