// Attention over a cache of pages on the processor. A page holds the keys of 32 tokens as a matrix [dim, 32] for each group of heads and
// their values as [32, depth], so that both products of attention read it where it lies. Queries that see the same page ask it
// together; each goes through its pages in the order of its text with a running softmax, and what comes out is to the last bit the
// same whoever else asks.
#include <ATen/ops/empty.h>
#include <ATen/record_function.h>

#include <array>
#include <cmath>
#include <type_traits>

#include "kernels.h"
#include "tensor.h"

namespace amalgam {
namespace paged {
namespace {

constexpr int64_t kKeys = 32;       // keys in a page
constexpr float kHidden = -1e30f;

struct Query {
  int32_t token;     // in the flat batch
  int32_t position;  // in its own text
};
// Queries [from, to) of a block see a page whose first key is at `position` of their text.
struct Step {
  int32_t from, to, page, position;
};
struct Block {
  int32_t first_query, queries, first_step, steps;
};

struct Problem {
  int64_t tokens, heads, groups, repeats, dim, depth;
  int64_t window;  // 0: none
  double scale, cap;  // 0: no cap
  const int32_t* slots;  // of each token: page * kKeys + place in it
  const Query* queries;
  const Step* steps;
  const Block* blocks;
  int64_t block_count, most_queries;

  // The keys that a query sees of a page, as [first, end).
  std::pair<int64_t, int64_t> seen(const Query& query, const Step& step) const {
    const int64_t distance = query.position - step.position;
    const int64_t first = window == 0 ? 0 : std::max<int64_t>(0, distance - window + 1);
    return {first, std::min(kKeys, distance + 1)};
  }
};

#define AMALGAM_KERNEL "paged-attention-kernel.h"
#include "each-instruction-set.h"
#undef AMALGAM_KERNEL

template <typename Record>
const Record* records(const Napi::Value& given, int64_t* count) {
  const auto numbers = given.As<Napi::Int32Array>();
  constexpr size_t size = sizeof(Record) / sizeof(int32_t);
  TORCH_CHECK(numbers.ElementLength() % size == 0, "records of ", size, " numbers are asked for");
  *count = static_cast<int64_t>(numbers.ElementLength() / size);
  return reinterpret_cast<const Record*>(numbers.Data());
}

// What the kernel reads and writes lies inside the tensors.
void check(const Problem& problem, int64_t pages, int64_t queries, int64_t steps) {
  for (int64_t t = 0; t < problem.tokens; ++t)
    TORCH_CHECK(problem.slots[t] >= 0 && problem.slots[t] < pages * kKeys, "token ", t, " has no place in the pages");
  for (int64_t k = 0; k < queries; ++k)
    TORCH_CHECK(problem.queries[k].token >= 0 && problem.queries[k].token < problem.tokens, "query ", k, " is no token");
  for (int64_t b = 0; b < problem.block_count; ++b) {
    const Block& block = problem.blocks[b];
    TORCH_CHECK(block.first_query >= 0 && block.queries > 0 && block.first_query + block.queries <= queries && block.first_step >= 0 &&
                    block.steps >= 0 && block.first_step + block.steps <= steps,
                "block ", b, " is beyond what there is");
    for (int64_t s = block.first_step; s < block.first_step + block.steps; ++s) {
      const Step& step = problem.steps[s];
      TORCH_CHECK(step.from >= 0 && step.from < step.to && step.to <= block.queries && step.page >= 0 && step.page < pages,
                  "step ", s, " is beyond what there is");
    }
  }
}

// attendPages(q, k, v, keys, values, slots, queries, blocks, steps, scale, window, cap): stores k and v, gives [T, heads * dim].
Napi::Value attend_pages(const Napi::CallbackInfo& info) {
  auto env = info.Env();
  return guarded(env, "attendPages", [&]() -> Napi::Value {
    const auto q = Tensor::unwrap(info[0]).contiguous(), k = Tensor::unwrap(info[1]).contiguous(), v = Tensor::unwrap(info[2]).contiguous();
    auto keys = Tensor::unwrap(info[3]), values = Tensor::unwrap(info[4]);
    const std::array<c10::IValue, 5> given{q, k, v, keys, values};
    RECORD_FUNCTION("amalgam::attend_pages", c10::ArrayRef<const c10::IValue>(given.data(), given.size()));
    const auto type = q.scalar_type();
    TORCH_CHECK(q.device().is_cpu() && q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                    q.size(2) == k.size(2) && k.size(1) > 0 && q.size(1) % k.size(1) == 0,
                "q [T, heads, dim] and k, v [T, groups, dim] on the processor don't fit together");
    TORCH_CHECK(keys.is_contiguous() && values.is_contiguous() && keys.dim() == 4 && values.dim() == 4 && keys.size(0) == values.size(0) &&
                    keys.size(1) == k.size(1) && values.size(1) == k.size(1) && keys.size(2) == k.size(2) && keys.size(3) == kKeys &&
                    values.size(2) == kKeys && values.size(3) >= k.size(2) && values.size(3) % 16 == 0,
                "pages of keys [pages, groups, dim, 32] and of values [pages, groups, 32, depth] don't fit q, k and v");
    for (const auto& other : {k, v, keys, values}) TORCH_CHECK(other.scalar_type() == type, "tensors of different types");
    Problem problem{};
    problem.tokens = q.size(0);
    problem.heads = q.size(1);
    problem.groups = k.size(1);
    problem.repeats = problem.heads / problem.groups;
    problem.dim = q.size(2);
    problem.depth = values.size(3);
    int64_t slots, queries, steps;
    problem.slots = records<int32_t>(info[5], &slots);
    problem.queries = records<Query>(info[6], &queries);
    problem.blocks = records<Block>(info[7], &problem.block_count);
    problem.steps = records<Step>(info[8], &steps);
    problem.scale = info[9].ToNumber().DoubleValue();
    problem.window = info[10].ToNumber().Int64Value();
    problem.cap = info[11].ToNumber().DoubleValue();
    TORCH_CHECK(slots == problem.tokens, "a place in the pages is wanted for each token");
    check(problem, keys.size(0), queries, steps);
    for (int64_t b = 0; b < problem.block_count; ++b)
      problem.most_queries = std::max<int64_t>(problem.most_queries, problem.blocks[b].queries);
    auto out = at::empty({q.size(0), q.size(1) * q.size(2)}, q.options());
    with_kernels(type, [&](auto kernels, auto zero) {
      using In = decltype(zero);
      In* key_pages = keys.mutable_data_ptr<In>();
      In* value_pages = values.mutable_data_ptr<In>();
      kernels.store_pages(problem, k.const_data_ptr<In>(), v.const_data_ptr<In>(), key_pages, value_pages);
      kernels.attend(problem, q.const_data_ptr<In>(), const_cast<const In*>(key_pages), const_cast<const In*>(value_pages),
                     out.mutable_data_ptr<In>());
    });
    return Tensor::wrap(env, out);
  });
}

}  // namespace
}  // namespace paged

void init_paged_attention(Napi::Env env, Napi::Object exports) {
  exports["attendPages"] = Napi::Function::New(env, paged::attend_pages);
}

}  // namespace amalgam
