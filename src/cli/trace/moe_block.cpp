#include "cli/trace/moe_block.h"

#include <fmt/format.h>

#include <memory>
#include <numeric>
#include <string_view>
#include <type_traits>

#include "kernels/expert_groups.h"
#include "kernels/reference/reference_backend.h"

namespace qwen3::cli {
namespace {

constexpr int64_t kHidden = 2, kExperts = 4, kTopK = 2;

// torch.manual_seed(42); nn.Linear(2, 4, bias=False)
constexpr float kRouter[] = {0.5406103730201721f,
                             0.5869042277336121f,
                             -0.16565565764904022f,
                             0.6495562791824341f,
                             -0.15492962300777435f,
                             0.14268755912780762f,
                             -0.34425848722457886f,
                             0.4152715504169464f};

std::string matrix_text(const std::vector<float>& values, int64_t columns) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    const bool first = static_cast<int64_t>(i) % columns == 0;
    text += first ? (i == 0 ? "[" : "], [") : ", ";
    text += fmt::format("{:.4f}", values[i]);
  }
  return text + "]]";
}

template <typename T>
std::string pair_text(const std::vector<T>& values, size_t token) {
  const size_t at = token * static_cast<size_t>(kTopK);
  if constexpr (std::is_floating_point_v<T>) {
    return fmt::format("[{:.6f}, {:.6f}]", values[at], values[at + 1]);
  } else {
    return fmt::format("[{}, {}]", values[at], values[at + 1]);
  }
}

void print_case(std::string& out, const MoeBlockCase& input, bool english) {
  const MoeBlockResult result = run_moe_block(input);
  const int64_t n_tokens = input.batch * input.length;
  const auto line = [&](const std::string& text) { out += text + '\n'; };
  const auto shape = [&](std::string_view name, int64_t rows, int64_t columns) {
    line(fmt::format("[shape] {}: ({}, {})", name, rows, columns));
  };
  const std::string cube = fmt::format("({}, {}, {})", input.batch, input.length, kHidden);
  const std::string rule(20, '-');
  line("");
  line(std::string(60, '='));
  line(fmt::format("Case: B={}, S={}, H={}", input.batch, input.length, kHidden));
  line((english ? "input x shape: " : "输入 x 形状: ") + cube);
  line(matrix_text(input.x, kHidden));
  line("[shape] hidden_states: " + cube);
  shape("flat_hidden_states", n_tokens, kHidden);
  shape("router_logits", n_tokens, kExperts);
  shape("routing_weights", n_tokens, kTopK);
  shape("selected_experts", n_tokens, kTopK);
  shape("final_hidden_init", n_tokens, kHidden);
  line(english ? "--- routing ---" : "--- 路由分配结果 ---");
  for (size_t t = 0; t < static_cast<size_t>(n_tokens); ++t) {
    line(fmt::format(fmt::runtime(english ? "Token {} chose experts: {}, with weights: {}"
                                          : "Token {} 选择了专家: {}, 权重为: {}"),
                     t,
                     pair_text(result.experts, t),
                     pair_text(result.weights, t)));
  }
  line(rule);
  for (const MoeBlockResult::Visit& visit : result.visits) {
    line(fmt::format(
        fmt::runtime(english ? "Expert E{} wakes and handles Token=[{}] | current_state=({}, 2) "
                               "-> expert_out=({}, 2)"
                             : "专家 E{} 被唤醒，处理 Token=[{}] | current_state=({}, 2) -> "
                               "expert_out=({}, 2)"),
        visit.expert,
        fmt::join(visit.tokens, ", "),
        visit.tokens.size(),
        visit.tokens.size()));
  }
  line("[shape] final_hidden_out: " + cube);
  line(fmt::format("[shape] router_logits_out: ({}, {}, {})", input.batch, input.length, kExperts));
  line(rule);
  line((english ? "output shape: " : "输出形状: ") + cube);
  line((english ? "output: " : "输出: ") + matrix_text(result.output, kHidden));
  line(fmt::format("{}({}, {}, {})",
                   english ? "router_logits shape: " : "router_logits 形状: ",
                   input.batch,
                   input.length,
                   kExperts));
  line("router_logits: " + matrix_text(result.router_logits, kExperts));
}

}  // namespace

std::vector<MoeBlockCase> moe_block_cases() {
  std::vector<float> counting(16);
  std::iota(counting.begin(), counting.end(), 1.0f);
  return {{.batch = 1, .length = 3, .x = {1, 1, 2, 2, 3, 3}},
          {.batch = 2, .length = 4, .x = counting},
          {.batch = 3, .length = 1, .x = {1, -1, 2, -2, 3, -3}}};
}

MoeBlockResult run_moe_block(const MoeBlockCase& input) {
  const std::unique_ptr<Backend> backend = make_reference_backend();
  const int64_t n_tokens = input.batch * input.length;
  const auto n = static_cast<size_t>(n_tokens);
  MoeBlockResult result;
  result.router_logits.resize(n * kExperts);
  result.weights.resize(n * kTopK);
  result.experts.resize(n * kTopK);
  result.output.resize(n * kHidden);

  std::vector<float> x = input.x, router(std::begin(kRouter), std::end(kRouter));
  std::vector<float> ones(kHidden * kHidden, 1.0f);
  const Tensor flat = Tensor::view(x, {n_tokens, kHidden});
  const Tensor logits = Tensor::view(result.router_logits, {n_tokens, kExperts});
  const Routing routing{Tensor::view(result.weights, {n_tokens, kTopK}),
                        Tensor(result.experts.data(), DType::i32, {n_tokens, kTopK})};
  backend->linear(logits, flat, {reference_weight(router, {kExperts, kHidden}), {}});
  backend->route_top_k(routing, logits, Backend::Renormalise::yes);

  ExpertGroups groups;
  groups.build(routing, 0, kExperts);
  for (const ExpertGroups::Group& group : groups.groups()) {
    const auto n_rows = static_cast<int64_t>(group.rows.size());
    std::vector<float> states(group.rows.size() * kHidden), outputs(states.size());
    const Tensor state = Tensor::view(states, {n_rows, kHidden});
    const Tensor output = Tensor::view(outputs, {n_rows, kHidden});
    const Tensor rows = Tensor::view(group.rows);
    backend->gather_rows(state, flat, rows);
    backend->linear(output, state, {reference_weight(ones, {kHidden, kHidden}), {}});
    std::vector<float> scales(group.weights.begin(), group.weights.end());
    backend->scatter_add_rows(Tensor::view(result.output, {n_tokens, kHidden}),
                              output,
                              rows,
                              Tensor::view(scales, {n_rows}));
    result.visits.push_back(
        {static_cast<int32_t>(group.expert), {group.rows.begin(), group.rows.end()}});
  }
  return result;
}

std::string moe_block_demo(bool english) {
  std::string out;
  for (const MoeBlockCase& input : moe_block_cases()) print_case(out, input, english);
  return out;
}

}  // namespace qwen3::cli
