#include "cli/verify/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include "eval/likelihood/logit_rows.h"

namespace qwen3::cli {
namespace {

constexpr int64_t kFewTokens = 32;

std::string_view rounding_name(Backend::InputRounding rounding) {
  switch (rounding) {
    case Backend::InputRounding::none:
      return "float32";
    case Backend::InputRounding::bfloat16:
      return "bfloat16";
    case Backend::InputRounding::int8:
      return "int8";
  }
  return "?";
}

// "Q4_K (28, int8), Q6_K (4, int8)"
std::string kept_text(const VerifiedModel& model) {
  std::vector<std::string> types;
  for (const auto& [type, kept] : model.kept()) {
    types.push_back(fmt::format("{} x {} (inputs {})",
                                kept.n_matrices,
                                weight_type_name(type),
                                rounding_name(kept.rounding)));
  }
  return fmt::format("{}", fmt::join(types, ", "));
}

std::string full_name(const TensorCheck& check) {
  return check.name + (check.fused ? " (fused)" : "");
}

bool is_routing(const TensorCheck& check) { return check.name.ends_with("selected_experts"); }

// How far up its bound it is; beyond 1 out of it.
double share(const TensorCheck& check) {
  if (!check.problem.empty() || std::isnan(check.error)) return INFINITY;
  return check.error == 0 ? 0 : check.error / check.bound;
}

std::string family_lines(const Verification& found) {
  std::string text = fmt::format("  {:<12} {:<38} {:>9}  {:>9}  {:>9}\n",
                                 "family",
                                 "worst tensor",
                                 "error",
                                 "yardstick",
                                 "bound");
  for (const std::string_view family : kFamilies) {
    const TensorCheck* worst = nullptr;
    for (const TensorCheck& check : found.tensors) {
      if (family_of(check.name) != family || is_routing(check)) continue;
      if (worst == nullptr || share(check) > share(*worst)) worst = &check;
    }
    if (worst == nullptr) continue;
    text += fmt::format("  {:<12} {:<38} {:>9.2e}  {:>9.2e}  {:>9.2e}\n",
                        family,
                        full_name(*worst),
                        worst->error,
                        worst->yardstick,
                        worst->bound);
  }
  return text;
}

std::string mean_text(const BlockMean& mean, double factor = 1) {
  const auto error = mean.standard_error();
  return error ? fmt::format("{:.3g} ± {:.1g}", factor * mean.mean(), factor * *error)
               : fmt::format("{:.3g}", factor * mean.mean());
}

std::string why(const TensorCheck& check) {
  if (!check.problem.empty()) return check.problem;
  if (is_routing(check)) {
    return fmt::format(
        "token {} went to an expert whose router logit is {:.3g} below that of one it left; a tie "
        "is at most {:.3g}: twice the bound of router_logits",
        check.row,
        check.error,
        check.bound);
  }
  return fmt::format(
      "error {:.3g}, bound {:.3g} = {} x the larger of the yardstick's {:.3g} and float32's; worst "
      "at row {}, column {}: {:.6g}, expected {:.6g}",
      check.error,
      check.bound,
      kSlack,
      check.yardstick,
      check.row,
      check.column,
      check.got,
      check.expected);
}

std::string remedy(const VerifiedPass& pass, const Verification& found) {
  if (!found.expected_is_finite) {
    return "the expected numbers are NaN or infinite themselves: the file is damaged; compare its "
           "sha256 with the publisher's and download it again";
  }
  if (pass.n_tokens < kFewTokens) {
    return fmt::format("run over at least {} tokens first: so few leave room for chance",
                       kFewTokens);
  }
  if (!pass.against.empty()) {
    return "run without --against: if that is within bounds, the weights are not those that the "
           "other program had: compare the files' sha256 and the quantisation";
  }
  return "the weights are read, but computed wrongly here: use --backend reference or another "
         "--cpu-isa, and report this line";
}

std::string routing_line(const Verification& found) {
  if (found.n_routed == 0) return {};
  std::string line =
      fmt::format("routing    {} tokens x layers, {} went elsewhere, {} of them ties",
                  found.n_routed,
                  found.n_flips,
                  found.n_ties);
  if (found.rows_until) {
    line += fmt::format("; rows from {} on were not compared after that", *found.rows_until);
  }
  if (found.fused_left_at) {
    line += fmt::format(
        "; the fused pass is not compared from layer {} on, where it went "
        "elsewhere than the observed one",
        *found.fused_left_at);
  }
  return line + "\n";
}

Json finite(double value) { return finite_or_null(value); }

Json check_json(const TensorCheck& check) {
  Json json{{"name", check.name},
            {"family", family_of(check.name)},
            {"fused", check.fused},
            {"error", finite(check.error)},
            {"yardstick", finite(check.yardstick)},
            {"bound", finite(check.bound)},
            {"within", check.within()},
            {"row", check.row},
            {"column", check.column},
            {"got", finite(check.got)},
            {"expected", finite(check.expected)}};
  if (!check.problem.empty()) json["problem"] = check.problem;
  return json;
}

Json mean_json(const std::optional<BlockMean>& mean) {
  if (!mean) return nullptr;
  return {{"mean", finite(mean->mean())}, {"error", finite_or_null(mean->standard_error())}};
}

std::string_view verdict(const Verification& found) {
  return found.within() ? "within" : "outside";
}

}  // namespace

std::string verification_report(const VerifiedModel& model,
                                const VerifiedPass& pass,
                                const Verification& found) {
  const ModelInfo& info = model.judged().info();
  std::string text = fmt::format("model      {} ({})\n", info.name, info.model_type);
  text += fmt::format("judged     {}\n", info.backend);
  text += fmt::format(
      "against    {}\n",
      pass.against.empty() ? "reference, the same weights widened exactly" : pass.against);
  text += fmt::format("weights    {}\n", kept_text(model));
  text += fmt::format("text       {} tokens, {}\n", pass.n_tokens, pass.text);
  text += family_lines(found);
  text += routing_line(found);
  if (found.kl) {
    text += fmt::format(
        "logits     KL {} nats{}, same top token {} %\n",
        mean_text(*found.kl),
        found.yardstick_kl ? fmt::format(" (yardstick {:.2g})", *found.yardstick_kl) : "",
        mean_text(*found.same_top, 100));
  }
  const TensorCheck* first = found.first_outside();
  if (first == nullptr) {
    return text + fmt::format("verdict    within bounds: {} tensors\n", found.tensors.size());
  }
  int64_t n_outside = 0;
  for (const TensorCheck& check : found.tensors) n_outside += check.within() ? 0 : 1;
  text +=
      fmt::format("verdict    OUTSIDE BOUNDS: {} of {} tensors\n", n_outside, found.tensors.size());
  text += fmt::format("first      {}: {}\n", full_name(*first), why(*first));
  return text + fmt::format("what now   {}\n", remedy(pass, found));
}

std::string verification_tensors(const Verification& found) {
  std::string text;
  for (const TensorCheck& check : found.tensors) {
    text += fmt::format("{:<44} error {:.2e}  yardstick {:.2e}  bound {:.2e}{}\n",
                        full_name(check),
                        check.error,
                        check.yardstick,
                        check.bound,
                        check.within() ? "" : "  OUTSIDE");
  }
  return text;
}

Json verification_json(const VerifiedModel& model,
                       const VerifiedPass& pass,
                       const Verification& found) {
  const ModelInfo& info = model.judged().info();
  Json weights = Json::array();
  for (const auto& [type, kept] : model.kept()) {
    weights.push_back({{"type", weight_type_name(type)},
                       {"matrices", kept.n_matrices},
                       {"inputs", rounding_name(kept.rounding)}});
  }
  const TensorCheck* first = found.first_outside();
  Json json{
      {"model", info.name},
      {"model_type", info.model_type},
      {"judged", info.backend},
      {"against", pass.against.empty() ? "reference" : pass.against},
      {"weights", weights},
      {"text", pass.text},
      {"n_tokens", pass.n_tokens},
      {"verdict", verdict(found)},
      {"first_outside", first == nullptr ? Json() : check_json(*first)},
      {"kl", mean_json(found.kl)},
      {"yardstick_kl", finite_or_null(found.yardstick_kl)},
      {"same_top", mean_json(found.same_top)},
      {"routing", {{"routed", found.n_routed}, {"flips", found.n_flips}, {"ties", found.n_ties}}},
      {"tensors", Json::array()}};
  if (found.rows_until) json["routing"]["rows_until"] = *found.rows_until;
  if (found.fused_left_at) json["routing"]["fused_left_at"] = *found.fused_left_at;
  if (first != nullptr) {
    json["why"] = why(*first);
    json["what_now"] = remedy(pass, found);
  }
  for (const TensorCheck& check : found.tensors) json["tensors"].push_back(check_json(check));
  return json;
}

}  // namespace qwen3::cli
