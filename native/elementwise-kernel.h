// Norms, rotations and gates for one instruction set (see each-instruction-set.h): each reads its tensors once and writes them once.
namespace AMALGAM_ISA {

#include "vectors.h"

constexpr int64_t kTaskNumbers = 1 << 14;  // of a task, about

// Rows of a task, all tasks but the last of the same number, whatever the threads are.
inline int64_t rows_of_task(int64_t width) { return std::max<int64_t>(1, kTaskNumbers / std::max<int64_t>(1, width)); }

template <typename In>
AMALGAM_TARGET void rms_norm_row(const In* x, const In* weight, int64_t n, Real epsilon, In* out, Real* scale) {
  Vec squares{};
  Real sum = 0;
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    const Vec v = read(x + j);
    squares += v * v;
  }
  for (; j < n; ++j) sum += static_cast<Real>(x[j]) * static_cast<Real>(x[j]);
  const Real r = 1 / std::sqrt((sum + sum_of(squares)) / static_cast<Real>(n) + epsilon);
  *scale = r;
  for (j = 0; j + kLanes <= n; j += kLanes) write(out + j, read(x + j) * r * read(weight + j));
  for (; j < n; ++j) out[j] = static_cast<In>(static_cast<Real>(x[j]) * r * static_cast<Real>(weight[j]));
}

// With r = (mean x^2 + epsilon)^(-1/2): dx = r (g w) - x r^3 mean(g w x), and g x r is added to `grad_weight`.
template <typename In>
AMALGAM_TARGET void rms_norm_row_backward(const In* grad, const In* x, const In* weight, Real r, int64_t n, In* grad_x, Real* grad_weight) {
  Vec products{};
  Real sum = 0;
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    const Vec g = read(grad + j), v = read(x + j);
    products += g * read(weight + j) * v;
    if (grad_weight != nullptr) store(grad_weight + j, load(grad_weight + j) + g * v * r);
  }
  for (; j < n; ++j) {
    const Real g = static_cast<Real>(grad[j]), v = static_cast<Real>(x[j]);
    sum += g * static_cast<Real>(weight[j]) * v;
    if (grad_weight != nullptr) grad_weight[j] += g * v * r;
  }
  const Real back = (sum + sum_of(products)) / static_cast<Real>(n) * r * r * r;
  for (j = 0; j + kLanes <= n; j += kLanes) write(grad_x + j, read(grad + j) * read(weight + j) * r - read(x + j) * back);
  for (; j < n; ++j)
    grad_x[j] = static_cast<In>(static_cast<Real>(grad[j]) * static_cast<Real>(weight[j]) * r - static_cast<Real>(x[j]) * back);
}

template <typename In>
void rms_norm(const In* x, const In* weight, int64_t rows, int64_t n, double epsilon, In* out, Real* scales) {
  const int64_t each = rows_of_task(n);
  in_parallel((rows + each - 1) / each, [&](auto next) {
    for (int64_t task; next(&task);)
      for (int64_t row = task * each; row < std::min(rows, (task + 1) * each); ++row)
        rms_norm_row(x + row * n, weight, n, static_cast<Real>(epsilon), out + row * n, scales + row);
  });
}

// `grad_weight` may be null. It is summed task by task, so that it does not depend on the threads.
template <typename In>
void rms_norm_backward(const In* grad, const In* x, const In* weight, const Real* scales, int64_t rows, int64_t n, In* grad_x, Real* grad_weight) {
  const int64_t each = std::max(rows_of_task(n), (rows + 63) / 64);
  const int64_t tasks = (rows + each - 1) / each;
  const Buffer<Real> parts(grad_weight == nullptr ? 1 : tasks * n);
  in_parallel(tasks, [&](auto next) {
    for (int64_t task; next(&task);) {
      Real* part = grad_weight == nullptr ? nullptr : parts.data() + task * n;
      if (part != nullptr) std::fill(part, part + n, Real{0});
      for (int64_t row = task * each; row < std::min(rows, (task + 1) * each); ++row)
        rms_norm_row_backward(grad + row * n, x + row * n, weight, scales[row], n, grad_x + row * n, part);
    }
  });
  if (grad_weight == nullptr) return;
  std::fill(grad_weight, grad_weight + n, Real{0});
  for (int64_t task = 0; task < tasks; ++task)
    for (int64_t j = 0; j < n; ++j) grad_weight[j] += parts.data()[task * n + j];
}

template <typename In>
AMALGAM_TARGET void rotate_head(const In* x, const In* cosines, const In* sines, Real direction, int64_t half, int64_t dim, In* out) {
  int64_t d = 0;
  for (; d + kLanes <= half; d += kLanes) {
    const Vec first = read(x + d), second = read(x + half + d), c = read(cosines + d), s = read(sines + d) * direction;
    write(out + d, first * c - second * s);
    write(out + half + d, second * c + first * s);
  }
  for (; d < half; ++d) {
    const Real first = static_cast<Real>(x[d]), second = static_cast<Real>(x[half + d]);
    const Real c = static_cast<Real>(cosines[d]), s = static_cast<Real>(sines[d]) * direction;
    out[d] = static_cast<In>(first * c - second * s);
    out[half + d] = static_cast<In>(second * c + first * s);
  }
  std::copy(x + 2 * half, x + dim, out + 2 * half);
}

template <typename In>
void rotate(const In* x, int64_t token_stride, int64_t head_stride, const In* cosines, const In* sines, double direction, int64_t tokens,
            int64_t heads, int64_t half, int64_t dim, In* out) {
  const int64_t each = rows_of_task(heads * dim);
  in_parallel((tokens + each - 1) / each, [&](auto next) {
    for (int64_t task; next(&task);)
      for (int64_t t = task * each; t < std::min(tokens, (task + 1) * each); ++t)
        for (int64_t h = 0; h < heads; ++h)
          rotate_head(x + t * token_stride + h * head_stride, cosines + t * half, sines + t * half, static_cast<Real>(direction), half, dim,
                      out + (t * heads + h) * dim);
  });
}

struct Activated {
  Vec value, slope;
};

AMALGAM_INLINE Vec magnitude(Vec x) { return x < 0 ? -x : x; }

// x sigma(x) and its derivative.
AMALGAM_INLINE Activated silu(Vec x) {
  const Vec e = exponential(-magnitude(x));
  const Vec sigmoid = (x < 0 ? e : all(1)) / (e + 1);
  const Vec value = x * sigmoid;
  return {value, sigmoid + value * (1 - sigmoid)};
}

// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), and its derivative.
AMALGAM_INLINE Activated gelu_tanh(Vec x) {
  const Real factor = static_cast<Real>(0.79788456080286535588), cubic = static_cast<Real>(0.044715);
  const Vec u = (x + x * x * x * cubic) * factor;
  const Vec e = exponential(magnitude(u) * -2);
  const Vec size = (1 - e) / (1 + e);
  const Vec tanh = u < 0 ? -size : size;
  const Vec half = (tanh + 1) * static_cast<Real>(0.5);
  return {x * half, half + x * (1 - tanh * tanh) * (x * x * (3 * cubic) + 1) * (factor * static_cast<Real>(0.5))};
}

template <bool Silu>
AMALGAM_INLINE Activated activate(Vec x) {
  if constexpr (Silu) return silu(x);
  else return gelu_tanh(x);
}

// Runs `body` over whole vectors of `count` numbers from `from`; the last, incomplete one on copies.
template <bool Silu, typename In>
AMALGAM_TARGET void gate_part(const In* gate, const In* up, int64_t count, In* out) {
  int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes) write(out + k, activate<Silu>(read(gate + k)).value * read(up + k));
  if (k == count) return;
  In g[kLanes] = {}, u[kLanes] = {}, o[kLanes];
  std::copy(gate + k, gate + count, g);
  std::copy(up + k, up + count, u);
  write(o, activate<Silu>(read(g)).value * read(u));
  std::copy(o, o + (count - k), out + k);
}

template <bool Silu, typename In>
AMALGAM_TARGET void gate_part_backward(const In* grad, const In* gate, const In* up, int64_t count, In* grad_gate, In* grad_up) {
  int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    const Activated at = activate<Silu>(read(gate + k));
    const Vec g = read(grad + k);
    write(grad_gate + k, g * read(up + k) * at.slope);
    write(grad_up + k, g * at.value);
  }
  for (; k < count; ++k) {
    In one[3][kLanes] = {{grad[k]}, {gate[k]}, {up[k]}}, back[2][kLanes];
    const Activated at = activate<Silu>(read(one[1]));
    write(back[0], read(one[0]) * read(one[2]) * at.slope);
    write(back[1], read(one[0]) * at.value);
    grad_gate[k] = back[0][0];
    grad_up[k] = back[1][0];
  }
}

template <typename Part>
void in_parts(int64_t count, const Part& part) {
  in_parallel((count + kTaskNumbers - 1) / kTaskNumbers, [&](auto next) {
    for (int64_t task; next(&task);) part(task * kTaskNumbers, std::min(kTaskNumbers, count - task * kTaskNumbers));
  });
}

template <typename In>
void gate(bool is_silu, const In* gates, const In* up, int64_t count, In* out) {
  in_parts(count, [&](int64_t from, int64_t some) {
    if (is_silu) gate_part<true>(gates + from, up + from, some, out + from);
    else gate_part<false>(gates + from, up + from, some, out + from);
  });
}

template <typename In>
void gate_backward(bool is_silu, const In* grad, const In* gates, const In* up, int64_t count, In* grad_gate, In* grad_up) {
  in_parts(count, [&](int64_t from, int64_t some) {
    if (is_silu) gate_part_backward<true>(grad + from, gates + from, up + from, some, grad_gate + from, grad_up + from);
    else gate_part_backward<false>(grad + from, gates + from, up + from, some, grad_gate + from, grad_up + from);
  });
}

// A type that stands for the namespace.
struct Kernels {
  using Real = AMALGAM_ISA::Real;
  template <typename... Given>
  static void rms_norm(const Given&... given) { AMALGAM_ISA::rms_norm(given...); }
  template <typename... Given>
  static void rms_norm_backward(const Given&... given) { AMALGAM_ISA::rms_norm_backward(given...); }
  template <typename... Given>
  static void rotate(const Given&... given) { AMALGAM_ISA::rotate(given...); }
  template <typename... Given>
  static void gate(const Given&... given) { AMALGAM_ISA::gate(given...); }
  template <typename... Given>
  static void gate_backward(const Given&... given) { AMALGAM_ISA::gate_backward(given...); }
};

}  // namespace AMALGAM_ISA
